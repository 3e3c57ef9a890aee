"""A month of fifty accounts ends with exactly the posts that the networks have, on both stores."""

import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.fetching.accounts import Accounts
from collector.fetching.dead_letters import DeadLetters
from tests.support.collecting import Clock, Growing, Simulation, fill, settings_for, stored_posts
from tests.support.network_server import Networks, serving_networks, window
from tests.support.networks import Life, World

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 30
# All slots of the month, one in 17 minutes, take long.
IS_WHOLE = "COLLECTOR_WHOLE_MONTH" in os.environ


def limit(networks: Networks, page: int) -> None:
    """Limits so tight that the tasks of one slot go over them."""
    networks.page = page
    networks.windows = {
        "x/user": window(60, 15),
        "x/home": window(5, 15),
        "x/lookup": window(30, 15),
        "x/me": window(75, 15),
        "bluesky": window(60, 5),
        "bluesky/session": window(30, 5),
        "mastodon": window(60, 5),
    }


def slot_times(days: int) -> Iterator[datetime]:
    """When cron calls: two slots after each other every so many days, or all of the month."""
    slot = timedelta(minutes=17)
    for number in range(1, int(timedelta(days=DAYS) / slot)):
        if IS_WHOLE or number % int(timedelta(days=days) / slot) < 2:
            yield START + number * slot


@pytest.fixture
def simulation(client: Any, is_embedded: bool) -> Any:
    world, clock, rng = World(), Clock(START), random.Random(5)
    with serving_networks(world, clock.peek) as networks:
        limit(networks, 3 if is_embedded else 10)
        settings = settings_for(networks, rate_headroom=0)
        yield Simulation(networks, client, settings, clock, rng)


def test_a_month_ends_with_what_the_networks_have(
    simulation: Simulation, client: Any, is_embedded: bool, tmp_path: Path
) -> None:
    world, clock = simulation.networks.world, simulation.clock
    slots = list(slot_times(3 if is_embedded else 15))
    names = fill(
        world, Life(world, random.Random(7), slots), START, DAYS, 20 if is_embedded else 10
    )
    archive = Growing(tmp_path / "growing.jsonl", random.Random(9))
    names.append(f"archive:{tmp_path}/growing.jsonl")
    accounts = Accounts(client)
    assert [accounts.follow(name, START) for name in names] == [True] * 50
    for slot in slots:
        simulation.run_until(slot)
        archive.grow(clock.peek())
        simulation.cron()
    finish(simulation, archive)
    check(simulation, client, archive)


def finish(simulation: Simulation, archive: Growing) -> None:
    """Two more hours, and no more faults."""
    simulation.chance_of_fault = simulation.chance_of_kill = 0
    simulation._start_process()
    end = max(START + timedelta(days=DAYS, hours=2), simulation.clock.peek())
    simulation.run_until(end)
    archive.write()
    simulation.cron()
    simulation.run_until(end + timedelta(days=1))
    assert simulation.tasks == []


def check(simulation: Simulation, client: Any, archive: Growing) -> None:
    networks, now = simulation.networks, simulation.clock.peek()
    stored = stored_posts(client)
    expected = networks.world.expected(now) | archive.expected
    assert set(stored) - set(expected) == set()
    assert set(expected) - set(stored) == set()
    assert stored == expected
    assert networks.over_the_limit == []
    accounts = Accounts(client).all()
    assert all(account.is_active and account.progress is None for account in accounts)
    assert sum(account.posts for account in accounts) >= len(expected)
    letters = list(DeadLetters(client).list())
    found = {n for n in networks.world.malformed() for letter in letters if names(letter.raw, n)}
    assert found == networks.world.malformed()
    # It was no smooth month.
    assert simulation.kills > 0
    assert simulation.failures


def names(raw: bytes, number: int) -> bool:
    return str(number).encode() in raw
