"""One store and several processes: readers, writers, forks and sudden death."""

import multiprocessing
import os
import random
import signal
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from google.cloud.datastore import Entity
from google.cloud.datastore.query import PropertyFilter

from dfpipe.datastore import connect, count, run_in_transaction

BATCH = 50
spawn = multiprocessing.get_context("spawn")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/s.db"


def batch_of(client: Any, number: int) -> list[Entity]:
    entities = []
    for n in range(BATCH):
        entity = Entity(client.key("Kind", number * BATCH + n + 1))
        entity.update(batch=number, text="x" * 200)
        entities.append(entity)
    return entities


def write_batches(url: str, started: Any, batches: int) -> None:
    client = connect(url)
    for number in range(batches):
        client.put_multi(batch_of(client, number))
        started.set()


def increment(url: str, times: int) -> None:
    client = connect(url)
    key = client.key("Counter", 1)

    def once() -> None:
        entity = client.get(key) or Entity(key)
        entity["n"] = entity.get("n", 0) + 1
        client.put(entity)

    for _ in range(times):
        run_in_transaction(client, once, first_wait=0.001, longest_wait=0.05)


def test_no_increment_of_two_processes_is_lost(url: str) -> None:
    workers = [spawn.Process(target=increment, args=(url, 100)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    client = connect(url, create=False)
    assert client.get(client.key("Counter", 1))["n"] == 200


def test_readers_see_whole_batches_while_another_writes(url: str) -> None:
    client = connect(url)
    started = spawn.Event()
    writer = spawn.Process(target=write_batches, args=(url, started, 60))
    writer.start()
    assert started.wait(60)
    seen = []
    while writer.is_alive() or not seen:
        seen.append(count(client, client.query(kind="Kind")))
        with client.transaction(read_only=True):
            numbers = [entity["batch"] for entity in client.query(kind="Kind").fetch()]
        assert len(numbers) % BATCH == 0
    writer.join(60)
    assert all(number % BATCH == 0 for number in seen)
    assert seen == sorted(seen)
    assert count(client, client.query(kind="Kind")) == 60 * BATCH


def write_new_properties(url: str, entities: int) -> None:
    client = connect(url)
    for number in range(entities):
        entity = Entity(client.key("Kind", 1))
        entity[f"property{number}"] = number
        client.put(entity)


def test_a_reader_knows_the_properties_that_another_process_brings_in(url: str) -> None:
    write_new_properties(url, 1)
    client = connect(url)
    writer = spawn.Process(target=write_new_properties, args=(url, 400))
    writer.start()
    while writer.is_alive():
        assert len(client.get(client.key("Kind", 1))) == 1
        assert [len(entity) for entity in client.query(kind="Kind").fetch()] == [1]
    assert writer.exitcode == 0


def test_killed_writers_leave_whole_batches(url: str, tmp_path: Path) -> None:
    moments = random.Random(7)
    for _ in range(4):
        started = spawn.Event()
        writer = spawn.Process(target=write_batches, args=(url, started, 100_000))
        writer.start()
        assert started.wait(60)
        writer.join(moments.uniform(0, 0.2))
        os.kill(writer.pid or 0, signal.SIGKILL)
        writer.join(60)
        with sqlite3.connect(tmp_path / "s.db") as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        client = connect(url, create=False)
        entities = list(client.query(kind="Kind").fetch())
        assert len(entities) % BATCH == 0
        last = entities[-1]["batch"]
        query = client.query(kind="Kind")
        query.add_filter(filter=PropertyFilter("batch", "=", last))
        assert count(client, query) == BATCH
        client.close()


def test_a_forked_process_goes_on_with_the_client(url: str) -> None:
    client = connect(url)
    client.put_multi(batch_of(client, 0))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            client.put_multi(batch_of(client, 1))
            status = 0 if count(client, client.query(kind="Kind")) == 2 * BATCH else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    client.put_multi(batch_of(client, 2))
    assert count(client, client.query(kind="Kind")) == 3 * BATCH


def test_several_may_make_the_same_store_at_once(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def make(url: str, together: threading.Barrier) -> None:
        together.wait()
        try:
            connect(url).close()
        except BaseException as error:
            failures.append(error)

    for round_number in range(60):
        together = threading.Barrier(4)
        words = (f"sqlite:///{tmp_path}/{round_number}.db", together)
        threads = [threading.Thread(target=make, args=words) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
