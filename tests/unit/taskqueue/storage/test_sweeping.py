"""What is over is removed without anybody being asked to."""

import logging
from pathlib import Path

import pytest
from google.api_core.exceptions import ServiceUnavailable

from dfpipe.datastore import connect
from taskqueue.storage.record import StoredTask, from_usec, tombstone
from taskqueue.storage.store import MOST_WRITES, TaskStore
from taskqueue.storage.sweeping import EVERY, Sweeper


@pytest.fixture
def store(tmp_path: Path) -> TaskStore:
    return TaskStore(connect(f"sqlite:///{tmp_path}/q.db"))


def leave(store: TaskStore, number: int) -> None:
    """Tombstones that are over at time 1."""
    keys = [store.key("q", f"n{n}") for n in range(number)]
    for start in range(0, number, MOST_WRITES):
        some = keys[start : start + MOST_WRITES]
        store.client.put_multi([tombstone(key, from_usec(1)) for key in some])


def left(store: TaskStore) -> int:
    return sum(1 for _ in store.client.query(kind="TaskqueueTask").fetch())


def test_many_are_removed_step_by_step(store: TaskStore) -> None:
    leave(store, MOST_WRITES + 3)
    sweeper = Sweeper(store)
    sweeper.step(1)
    assert left(store) == 3
    sweeper.step(2)
    assert left(store) == 0


def test_an_hour_passes_where_nothing_is_left_over(store: TaskStore) -> None:
    sweeper = Sweeper(store)
    sweeper.step(1)
    leave(store, 1)
    sweeper.step(EVERY)
    assert left(store) == 1
    sweeper.step(EVERY + 1)
    assert left(store) == 0


def test_tasks_stay(store: TaskStore) -> None:
    store.add([StoredTask(queue="q", name="n", eta=0, due=0, enqueued=0)], 0)
    Sweeper(store).step(1)
    assert left(store) == 1


def test_a_store_that_is_down_does_not_fail_the_caller(
    store: TaskStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def down(_: int) -> int:
        raise ServiceUnavailable("down")

    sweeper = Sweeper(store)
    leave(store, 1)
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(store, "sweep", down)
        sweeper.step(1)
    assert "cannot remove expired tombstones: 503 down" in caplog.text
    sweeper.step(2)
    assert left(store) == 1
    sweeper.step(EVERY + 1)
    assert left(store) == 0


def test_a_running_transaction_is_left_alone(store: TaskStore) -> None:
    leave(store, 1)
    sweeper = Sweeper(store)
    with store.client.transaction():
        sweeper.step(1)
    assert left(store) == 1
    sweeper.step(1)
    assert left(store) == 0
