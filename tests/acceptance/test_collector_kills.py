"""Two processes fetch the same accounts and are killed again and again: nothing is lost."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from collector.fetching.accounts import Accounts
from collector.fetching.dead_letters import DeadLetters
from collector.ingest.intake import Intake
from collector.ingest.worker import IngestWorker
from taskqueue import TaskQueueService
from tests.support.collecting import stored_posts
from tests.support.collectors import GOOD
from tests.support.network_server import Fault, Networks, serving_networks, window
from tests.support.networks import Life, World
from tests.support.processes import ROOT, wait_until

# Leases what it gets, as an ingest worker does, and is killed with it in hand.
KILLED_WITH_A_LEASE = """
import os, signal, sys, time
from taskqueue import Queue, TaskQueueService
queue = Queue("ingest", service=TaskQueueService(sys.argv[1], "queue.yaml"))
while not queue.lease_tasks(0.1, 500):
    time.sleep(0.02)
os.kill(os.getpid(), signal.SIGKILL)
"""
NAMES = ["x:@anna", "bluesky:ben.test", "mastodon:carl"]


@pytest.fixture
def networks() -> Iterator[Networks]:
    world = World()
    start = datetime.now(UTC) - timedelta(days=2)
    life = Life(world, random.Random(3), [])
    for network, timeline, user in [
        ("x", "@anna", "anna"),
        ("bluesky", "ben.test", "ben.test"),
        ("mastodon", "carl", "carl"),
    ]:
        life.live(network, [timeline], user, start, 1.9, 100)
    with serving_networks(world, lambda: datetime.now(UTC)) as networks:
        networks.page = 5
        # Learned by one process, kept to by both.
        networks.windows = {"x/user": window(100_000, 60), "mastodon": window(100_000, 60)}
        rng = random.Random(5)
        faults: list[Fault] = [500, 503, "broken", "cut", "garbage"]
        networks.fault = lambda path: rng.choice(faults) if rng.random() < 0.03 else None
        yield networks


def test_two_workers_killed_again_and_again(
    networks: Networks, client: Any, store_url: str, is_embedded: bool
) -> None:
    accounts = Accounts(client)
    now = datetime.now(UTC)
    for name in NAMES:
        accounts.follow(name, now)
    words = [sys.executable, "-m", "tests.support.collector_worker", store_url, networks.url]
    rng = random.Random(11)
    workers = [start(words, NAMES), start(words, NAMES[::-1])]
    try:
        for number in range(4 if is_embedded else 2):
            wait_for_some(networks, rng.randrange(5, 25))
            victim = number % 2
            os.kill(workers[victim].pid, signal.SIGKILL)
            workers[victim].wait()
            workers[victim] = start(words, NAMES)
        networks.fault = lambda path: None
        wait_until(lambda: all(is_whole(accounts.get(name)) for name in NAMES), 120)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert stored_posts(client) == networks.world.expected(datetime.now(UTC))
    assert networks.over_the_limit == []


def test_what_was_acknowledged_outlives_eleven_workers_that_held_it(
    client: Any, store_url: str
) -> None:
    service = TaskQueueService(store_url, ROOT / "queue.yaml")
    posts = [{**GOOD, "tid": tid} for tid in range(1, 6)]
    assert len(Intake(service, 10).take(json.dumps(posts).encode()).lines) == 5
    words = [sys.executable, "-c", KILLED_WITH_A_LEASE, store_url]
    killed = [subprocess.Popen(words, cwd=ROOT) for _ in range(11)]
    try:
        wait_until(lambda: all(process.poll() is not None for process in killed), 60)
    finally:
        for process in killed:
            process.kill()
    assert [process.wait() for process in killed] == [-signal.SIGKILL] * 11
    worker = IngestWorker(service)
    wait_until(lambda: worker.work() is not None, 60)
    assert set(stored_posts(client)) == {1, 2, 3, 4, 5}
    assert service.store.tasks("ingest", 10) == []
    assert list(DeadLetters(client).list()) == []


def start(argv: list[str], names: list[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([*argv, *names], cwd=ROOT, stdin=subprocess.PIPE)


def wait_for_some(networks: Networks, more: int) -> None:
    """Until so many more requests came, or there is nothing left to ask for."""
    wanted = len(networks.requests) + more
    wait_until(lambda: len(networks.requests) >= wanted, 120)


def is_whole(account: Any) -> bool:
    return account.watermark is not None and account.progress is None and not account.error
