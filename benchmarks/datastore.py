"""Figures of the embedded store: posts put and read, tasks put, leased and deleted.

`python benchmarks/datastore.py [--posts 1000000] [--tasks 100000] [--folder F]`. Rates are of wall
time, and in brackets of this process's CPU time, which other programs disturb less.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from google.cloud.datastore import Entity
from google.cloud.datastore.query import PropertyFilter

from dfpipe.datastore import (
    build_indexes,
    connect,
    count,
    fetch_projection,
    fetch_values,
    run_in_transaction,
)
from dfpipe.posts.post import Post, to_entity

START = datetime(2015, 1, 7, tzinfo=UTC)
APART = timedelta(milliseconds=350)
TEXT = (
    "a post of the usual length, with words, a mention of @someone and a link http://t.co/a1b2c3d4"
)
UNINDEXED = ("payload", "retries", "created", "url", "method", "headers", "first_try")


class Watch:
    """Adds up the wall and CPU seconds of the blocks it has timed."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Time a block."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu

    def rate(self, n: int, what: str) -> str:
        """Say how many there were a second."""
        return f"{n / self.wall:,.0f} {what} a second ({n / self.cpu:,.0f})"


def _post(client: Any, n: int) -> Entity:
    urls = (f"http://example.org/{n}",) if n % 8 == 0 else ()
    made = Post(5 * 10**17 + n * 3001, f"user{n * 7919 % 19_000}", TEXT, START + n * APART, urls)
    return to_entity(made, client, made.created_at)


def _put_posts(client: Any, posts: int) -> None:
    watch = Watch()
    for start in range(0, posts, 500):
        batch = [_post(client, n) for n in range(start, min(start + 500, posts))]
        with watch.running():
            client.put_multi(batch)
    print(f"put_multi of 500 posts, {posts:,} in all: {watch.rate(posts, 'posts')}")


def _read_posts(client: Any, posts: int) -> None:
    width = min(posts, 100_000)
    for index in (("created_at",), ("created_at", "stored_at", "checksum")):
        watch = Watch()
        with watch.running():
            build_indexes(client, "Tweet", index)
        print(f"the index of {' and '.join(index)} is built: {watch.wall:.1f} s ({watch.cpu:.1f})")
    _read_state(client)
    for share in (0.0, 0.5, 0.9):
        start = START + int(share * posts) * APART
        query = client.query(kind="Tweet")
        query.add_filter(filter=PropertyFilter("created_at", ">=", start))
        query.add_filter(filter=PropertyFilter("created_at", "<", start + width * APART))
        watch = Watch()
        with watch.running():
            found = sum(1 for _ in query.fetch())
        values = Watch()
        with values.running():
            assert sum(1 for _ in fetch_values(query, "text", "urls")) == found
        print(f"two values of each: {values.rate(found, 'posts')}")
        print(f"time slice from {share:.0%}: {found:,} posts, {watch.rate(found, 'posts')}")


def _read_state(client: Any) -> None:
    """What tells whether posts have changed."""
    watch = Watch()
    with watch.running():
        query = client.query(kind="Tweet", projection=["created_at", "stored_at", "checksum"])
        found = sum(1 for _ in fetch_projection(query))
    print(f"projection of created_at and stored_at: {watch.rate(found, 'posts')}")
    watch = Watch()
    with watch.running():
        found = count(client, client.query(kind="Tweet", order=["created_at"]))
    print(f"count over created_at: {watch.rate(found, 'posts')}")
    watch = Watch()
    with watch.running():
        client.database.verify()
    print(f"check of the whole file: {watch.rate(found, 'posts')}")


def _task(client: Any, n: int) -> Entity:
    entity = Entity(client.key("Task", f"default:{n:012d}"), exclude_from_indexes=UNINDEXED)
    entity.update(queue="default", eta=START + timedelta(microseconds=n), tag=f"tag{n % 7}")
    entity.update(payload=b"x" * 100, retries=0, created=START, url="/work", method="PULL")
    entity.update(headers=[], first_try=None)
    return entity


def _due(client: Any, number: int) -> list[Entity]:
    query = client.query(kind="Task", order=["eta"])
    query.add_filter(filter=PropertyFilter("eta", "<=", START + timedelta(days=1)))
    return list(query.fetch(limit=number))


def _lease(client: Any, number: int) -> list[Entity]:
    def once() -> list[Entity]:
        tasks = _due(client, number)
        for entity in tasks:
            entity["eta"] += timedelta(days=2)
            entity["retries"] += 1
        client.put_multi(tasks)
        return tasks

    return run_in_transaction(client, once)


def _fill_tasks(client: Any, first: int, end: int) -> None:
    for start in range(first, end, 500):
        client.put_multi([_task(client, n) for n in range(start, min(start + 500, end))])


def _cycle_tasks(client: Any, first: int, size: int) -> None:
    watch = Watch()
    cycles = 10_000
    waiting = count(client, client.query(kind="Task"))
    for start in range(first, first + cycles, size):
        new = [_task(client, n) for n in range(start, start + size)]
        with watch.running():
            client.put_multi(new)
            client.delete_multi([entity.key for entity in _lease(client, size)])
    print(f"put, lease, delete by {size}, {waiting:,} waiting: {watch.rate(cycles, 'cycles')}")


def _first_due(client: Any) -> None:
    # The best of several: what is asked is whether it grows with the number waiting.
    best = min(_timed(lambda: _due(client, 1000)) for _ in range(7))
    print(f"first 1,000 due of {count(client, client.query(kind='Task')):,}: {best * 1000:.1f} ms")


def _timed(call: Any) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def main() -> None:
    """Run everything in a new folder."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--posts", type=int, default=1_000_000)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="where to make the stores (default: temporary)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        client = connect(f"sqlite:///{folder}/posts.db")
        _put_posts(client, options.posts)
        client.close()
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        print(f"size of the store: {size / options.posts:.0f} bytes a post")
        _read_posts(client, options.posts)
        client = connect(f"sqlite:///{folder}/tasks.db")
        _fill_tasks(client, 0, 1000)
        _first_due(client)
        _fill_tasks(client, 1000, options.tasks)
        _first_due(client)
        for number in (100, 500, 1000):
            _cycle_tasks(client, options.tasks + number * 1000, number)


if __name__ == "__main__":
    main()
