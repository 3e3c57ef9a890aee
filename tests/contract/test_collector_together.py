"""Many fetches at the same time keep to one limit together, and store each post once."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from collector.fetching.accounts import Accounts
from collector.fetching.fetching import Context, Outcome, fetch
from collector.fetching.limits import SOON
from tests.support.collecting import settings_for, stored_posts
from tests.support.network_server import serving_networks, window
from tests.support.networks import World

NOW = datetime(2026, 3, 5, 12, 0, tzinfo=UTC)
LIMIT = 9
THREADS = 4
POSTS = 8
SECONDS = 120


class Clock:
    """Stands still but for the wait for a limit that is not known yet."""

    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> datetime:
        return self.time


@pytest.mark.parametrize("network", ["x", "bluesky", "mastodon"])
def test_one_limit_for_all(client: Any, network: str) -> None:
    world, clock, rng = World(), Clock(), random.Random(3)
    users = {"x": "u{}", "bluesky": "u{}.test", "mastodon": "u{}"}[network]
    names = [users.format(number) for number in range(THREADS)]
    for name in names:
        timeline = f"@{name}" if network == "x" else name
        for _ in range(POSTS):
            created = NOW - timedelta(minutes=rng.randrange(10, 2000))
            world.post(network, [timeline], name, created, "text")
    accounts = [f"{network}:@{n}" if network == "x" else f"{network}:{n}" for n in names]
    for account in accounts:
        Accounts(client).follow(account, NOW)
    bucket = {"x": "x/user", "bluesky": "bluesky", "mastodon": "mastodon"}[network]
    with serving_networks(world, clock) as networks:
        networks.page = 2
        networks.windows = {bucket: window(LIMIT, 5)}
        # Each has its own client of the network, as processes have.
        contexts = [
            Context(client, settings_for(networks, rate_headroom=0), clock) for _ in accounts
        ]

        def until_limited(context: Context, account: str) -> Outcome:
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                outcome = fetch(context, account, limit_seconds=60)
                if outcome.is_finished or outcome.retry_at != clock() + SOON:
                    return outcome
            pytest.fail("the limit is not learned in time")

        for _ in range(9):
            with ThreadPoolExecutor(THREADS) as pool:
                outcomes = list(pool.map(until_limited, contexts, accounts))
            assert networks.over_the_limit == []
            assert networks.windows[bucket].used <= LIMIT
            if all(outcome.is_finished for outcome in outcomes):
                break
            clock.time += timedelta(minutes=5, seconds=1)
        assert networks.windows[bucket].begun > NOW.timestamp()
        assert stored_posts(client) == world.expected(clock())
    assert sum(account.posts for account in Accounts(client).all()) == POSTS * THREADS
