"""Pull tasks through their whole cycle, beside two other queues that need no server.

`python benchmarks/taskqueue.py` adds tasks by 100, leases 1,000 and deletes them while others wait,
here, in huey over SQLite and in persist-queue, in one run; then it measures how a lease grows from
1,000 to 1,000,000 waiting tasks. The figures are written to benchmarks/RESULTS-taskqueue.md.
"""

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import huey
import persistqueue

# Not this folder, where this file has the package's name.
sys.path[0] = str(Path(__file__).parents[1])

from taskqueue import Queue, Task, TaskQueueService, parse_config  # noqa: E402  # after the path

PAYLOAD = bytes(range(100))
ADDED, LEASED = 100, 1000  # at a time
RESULTS = Path(__file__).with_name("RESULTS-taskqueue.md")

Cycle = Callable[[int], None]


class Cost(NamedTuple):
    """What a task costs: seconds by the clock, and of this process's CPU time."""

    wall: float
    cpu: float


def open_queue(folder: str) -> Queue:
    """An embedded store with one pull queue."""
    config = parse_config("queue:\n- {name: work, mode: pull}\n")
    return Queue("work", service=TaskQueueService(f"sqlite:///{folder}/queue.db", config))


def add(queue: Queue, number: int) -> None:
    """Add tasks, 100 at a time."""
    for _ in range(0, number, ADDED):
        queue.add([Task(PAYLOAD, method="PULL") for _ in range(ADDED)])


def ours(folder: str, waiting: int) -> Cycle:
    """The queue of this project."""
    queue = open_queue(folder)
    add(queue, waiting)

    def cycle(number: int) -> None:
        add(queue, number)
        for _ in range(0, number, LEASED):
            tasks = queue.lease_tasks(600, LEASED)
            assert len(tasks) == LEASED
            queue.delete_tasks(tasks)

    return cycle


def hueys(folder: str, waiting: int) -> Cycle:
    """Huey over SQLite: a message is gone when it is taken, there is no lease."""
    storage = huey.SqliteHuey(filename=f"{folder}/huey.db").storage
    for _ in range(waiting):
        storage.enqueue(PAYLOAD)

    def cycle(number: int) -> None:
        for _ in range(number):
            storage.enqueue(PAYLOAD)
        for _ in range(number):
            assert storage.dequeue() is not None

    return cycle


def persist_queues(folder: str, waiting: int) -> Cycle:
    """persist-queue, its SQLite queue with commits of many items: no lease and no acknowledgement.

    Its queue with acknowledgements commits each item, and is more than ten times slower.
    """
    queue = persistqueue.FIFOSQLiteQueue(f"{folder}/persist", auto_commit=False)

    def put(number: int) -> None:
        for at in range(1, number + 1):
            queue.put(PAYLOAD)
            if at % ADDED == 0:
                queue.task_done()

    put(waiting)

    def cycle(number: int) -> None:
        put(number)
        for at in range(1, number + 1):
            queue.get(block=False)
            if at % LEASED == 0:
                queue.task_done()

    return cycle


def compare(number: int, waiting: int, rounds: int) -> dict[str, Cost]:
    """What a task costs in each, the medians of rounds that take turns."""
    makers = {"taskqueue": ours, "huey": hueys, "persist-queue": persist_queues}
    costs: dict[str, list[Cost]] = {name: [] for name in makers}
    with TemporaryDirectory() as folder:
        cycles = {name: make(folder, waiting) for name, make in makers.items()}
        for _ in range(rounds):
            for name, cycle in cycles.items():
                start, cpu = time.perf_counter(), time.process_time()
                cycle(number)
                wall, cpu = time.perf_counter() - start, time.process_time() - cpu
                costs[name].append(Cost(wall / number, cpu / number))
    return {
        name: Cost(*map(statistics.median, zip(*found, strict=True)))
        for name, found in costs.items()
    }


def lease_growth(sizes: list[int]) -> dict[int, float]:
    """Seconds to lease 1,000 of so many waiting tasks: the median of 9."""
    found = {}
    with TemporaryDirectory() as folder:
        queue = open_queue(folder)
        there = 0
        for size in sizes:
            add(queue, size - there)
            there = size
            times = []
            for _ in range(9):
                start = time.perf_counter()
                tasks = queue.lease_tasks(600, LEASED)
                times.append(time.perf_counter() - start)
                assert len(tasks) == LEASED
                queue.delete_tasks(tasks)
                add(queue, LEASED)
            found[size] = statistics.median(times)
    return found


def report(costs: dict[str, Cost], leases: dict[int, float], waiting: int) -> str:
    """The figures as a page of Markdown."""
    base = costs["taskqueue"]
    lines = [
        "# Pull queues: figures of a run",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {platform.machine()}, "
        f"Python {platform.python_version()}. Made by `python benchmarks/taskqueue.py`.",
        "",
        f"Added by {ADDED}, taken by {LEASED:,} and deleted, {waiting:,} waiting, "
        f"{len(PAYLOAD)} bytes each:",
        "",
        "| queue | tasks a second | CPU microseconds a task | its time / ours | its CPU / ours |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {1 / cost.wall:,.0f} | {cost.cpu * 1e6:.0f} "
            f"| {cost.wall / base.wall:.1f} | {cost.cpu / base.cpu:.1f} |"
            for name, cost in costs.items()
        ),
        "",
        f"A lease of {LEASED:,}:",
        "",
        "| waiting | milliseconds | against the first |",
        "|---|---|---|",
    ]
    first = next(iter(leases.values()), 1.0)
    for size, seconds in leases.items():
        lines.append(f"| {size:,} | {seconds * 1000:.1f} | {seconds / first:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000, help="tasks in one round")
    parser.add_argument("--waiting", type=int, default=100_000, help="tasks that wait meanwhile")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--most", type=int, default=1_000_000, help="waiting tasks at most")
    options = parser.parse_args()
    costs = compare(options.tasks, options.waiting, options.rounds)
    sizes = [size for size in (1_000, 10_000, 100_000, 1_000_000) if size <= options.most]
    page = report(costs, lease_growth(sizes), options.waiting)
    print(page)
    if options.most == 1_000_000:
        RESULTS.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
