"""Pull tasks through their whole cycle, beside two other queues that need no server.

`python benchmarks/taskqueue.py` adds, leases and deletes tasks while others wait, here, in huey
over SQLite and in persist-queue, in one run: in batches and one by one, with files on disk and in
memory. Then it measures how a lease grows from 1,000 to 1,000,000 waiting tasks. The figures are
written to benchmarks/RESULTS-taskqueue.md.
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
MEMORY = Path("/dev/shm")  # files without a disk
RESULTS = Path(__file__).with_name("RESULTS-taskqueue.md")

EXPLANATION = """\
The queues promise different things. A task of taskqueue survives the death of the worker that
leased it, and can have a name, a tag and a time. huey and persist-queue forget a task when it is
taken; only the second queue of persist-queue waits for an acknowledgement. taskqueue commits all
tasks of a call at once, and a power loss can undo its last commits (`synchronous = NORMAL`). The
others keep SQLite's default, which waits for the disk, and commit each put.

On disk, commits take most of the time: the slower the disk, the further taskqueue is ahead. In
memory they cost nothing, so that CPU time decides, and a queue that does less for a task is faster.
A machine with a faster disk lies between the two. Add and lease in batches where speed matters.
"""

Cycle = Callable[[int], None]


class Sizes(NamedTuple):
    """How many tasks one call or commit adds, and how many it takes."""

    added: int
    taken: int


ONE, BATCHES = Sizes(1, 1), Sizes(100, 1000)


class Cost(NamedTuple):
    """What a task costs: seconds by the clock, and of this process's CPU time."""

    wall: float
    cpu: float


def open_queue(folder: str) -> Queue:
    """An embedded store with one pull queue."""
    config = parse_config("queue:\n- {name: work, mode: pull}\n")
    return Queue("work", service=TaskQueueService(f"sqlite:///{folder}/queue.db", config))


def add(queue: Queue, number: int, at_once: int = BATCHES.added) -> None:
    """Add tasks, so many in one call."""
    for _ in range(0, number, at_once):
        queue.add([Task(PAYLOAD, method="PULL") for _ in range(at_once)])


def ours(folder: str, waiting: int, sizes: Sizes) -> Cycle:
    """The queue of this project."""
    queue = open_queue(folder)
    add(queue, waiting)

    def cycle(number: int) -> None:
        add(queue, number, sizes.added)
        for _ in range(0, number, sizes.taken):
            tasks = queue.lease_tasks(600, sizes.taken)
            assert len(tasks) == sizes.taken
            queue.delete_tasks(tasks)

    return cycle


def hueys(folder: str, waiting: int, _: Sizes) -> Cycle:
    """Huey over SQLite: a message is gone when it is taken, and each has its own commits."""
    storage = huey.SqliteHuey(filename=f"{folder}/huey.db").storage
    for _ in range(waiting):
        storage.enqueue(PAYLOAD)

    def cycle(number: int) -> None:
        for _ in range(number):
            storage.enqueue(PAYLOAD)
        for _ in range(number):
            assert storage.dequeue() is not None

    return cycle


def persist_queues(folder: str, waiting: int, sizes: Sizes) -> Cycle:
    """persist-queue over SQLite: a message is gone when it is taken, without lease.

    It commits each put; without auto_commit it removes what was taken in one commit.
    """
    queue = persistqueue.FIFOSQLiteQueue(f"{folder}/persist", auto_commit=sizes == ONE)
    for _ in range(waiting):
        queue.put(PAYLOAD)

    def cycle(number: int) -> None:
        for _ in range(number):
            queue.put(PAYLOAD)
        for at in range(1, number + 1):
            queue.get(block=False)
            if at % sizes.taken == 0:
                queue.task_done()

    return cycle


def acknowledged(folder: str, waiting: int, sizes: Sizes) -> Cycle:
    """persist-queue with acknowledgements, which survive the taker; each has its own commits."""
    queue = persistqueue.SQLiteAckQueue(f"{folder}/acknowledged", auto_commit=True)
    for _ in range(waiting):
        queue.put(PAYLOAD)

    def cycle(number: int) -> None:
        for _ in range(number):
            queue.put(PAYLOAD)
        for at in range(1, number + 1):
            queue.ack(queue.get(block=False))
            if at % BATCHES.taken == 0:
                queue.clear_acked_data(keep_latest=0)

    return cycle


MAKERS = {
    "taskqueue": ours,
    "huey": hueys,
    "persist-queue": persist_queues,
    "persist-queue, acknowledged": acknowledged,
}


def compare(
    folder: Path | None, number: int, waiting: int, rounds: int, sizes: Sizes
) -> dict[str, Cost]:
    """What a task costs in each, the medians of rounds that take turns."""
    costs: dict[str, list[Cost]] = {name: [] for name in MAKERS}
    with TemporaryDirectory(dir=folder) as place:
        cycles = {name: make(place, waiting, sizes) for name, make in MAKERS.items()}
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
                tasks = queue.lease_tasks(600, BATCHES.taken)
                times.append(time.perf_counter() - start)
                assert len(tasks) == BATCHES.taken
                queue.delete_tasks(tasks)
                add(queue, BATCHES.taken)
            found[size] = statistics.median(times)
    return found


def table(title: str, costs: dict[str, Cost]) -> list[str]:
    """The costs of one comparison, as lines of Markdown."""
    base = costs["taskqueue"]
    return [
        f"{title}:",
        "",
        "| queue | tasks a second | CPU microseconds a task | its time / ours | its CPU / ours |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {1 / cost.wall:,.0f} | {cost.cpu * 1e6:.0f} "
            f"| {cost.wall / base.wall:.1f} | {cost.cpu / base.cpu:.1f} |"
            for name, cost in costs.items()
        ),
        "",
    ]


def growth(leases: dict[int, float]) -> list[str]:
    """How a lease grows with the waiting tasks, as lines of Markdown."""
    first = next(iter(leases.values()), 1.0)
    return [
        f"A lease of {BATCHES.taken:,}:",
        "",
        "| waiting | milliseconds | against the first |",
        "|---|---|---|",
        *(
            f"| {size:,} | {seconds * 1000:.1f} | {seconds / first:.2f} |"
            for size, seconds in leases.items()
        ),
    ]


def heading(waiting: int) -> list[str]:
    """What was measured, where and how, as lines of Markdown."""
    return [
        "# Pull queues: figures of a run",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {platform.machine()}, "
        f"Python {platform.python_version()}. Made by `python benchmarks/taskqueue.py`.",
        "",
        f"Each task has {len(PAYLOAD)} bytes; it is added, taken and deleted while {waiting:,} "
        "wait. In batches: added by",
        f"{BATCHES.added}, taken and deleted by {BATCHES.taken:,}. The queues take turns; the "
        "figures are medians.",
        "",
    ]


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000, help="tasks in one round")
    parser.add_argument("--waiting", type=int, default=20_000, help="tasks that wait meanwhile")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--most", type=int, default=1_000_000, help="waiting tasks at most")
    options = parser.parse_args()
    lines = heading(options.waiting)
    places = {"on disk": None} | ({"in memory": MEMORY} if MEMORY.exists() else {})
    for place, folder in places.items():
        for how, sizes, share in (("In batches", BATCHES, 1), ("One by one", ONE, 10)):
            number = options.tasks // share
            costs = compare(folder, number, options.waiting // share, options.rounds, sizes)
            lines += table(f"{how}, files {place}", costs)
    sizes = [size for size in (1_000, 10_000, 100_000, 1_000_000) if size <= options.most]
    page = "\n".join([*lines, EXPLANATION, *growth(lease_growth(sizes))]) + "\n"
    print(page)
    if options.most == 1_000_000:
        RESULTS.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
