"""Four processes work on one pull queue, and what they did is checked task by task.

TASKQUEUE_HISTORY sets the number of tasks; `make history` runs it with 20,000 on both stores.
"""

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from tests.support.queue_worker import add, open_service

ROOT = Path(__file__).parents[2]
PROCESSES = 4
TASKS = int(os.environ.get("TASKQUEUE_HISTORY", "1000"))

Event = tuple[str, ...]


def faults(added: Iterable[str], events: Iterable[Event]) -> list[str]:
    """What is wrong with a history: for each task, leases one after another and one deletion."""
    leases: dict[str, list[tuple[int, int]]] = defaultdict(list)
    changed: dict[tuple[str, int], int] = {}
    deleted: dict[str, int] = defaultdict(int)
    for kind, name, *times in events:
        if kind == "LEASED":
            leases[name].append((int(times[0]), int(times[1])))
        elif kind == "MODIFIED":
            changed[name, int(times[0])] = int(times[1])
        else:
            deleted[name] += 1
    names = set(added)
    found = [f"{name} was never added" for name in leases.keys() - names]
    found += [f"{name} was deleted {deleted[name]} times" for name in names if deleted[name] != 1]
    for name in names:
        held = [(begin, changed.get((name, end), end)) for begin, end in sorted(leases[name])]
        found += [f"{name} was never leased"] if not held else []
        for (_, end), (begin, _) in pairwise(held):
            if begin < end:
                found.append(f"{name} was leased {end - begin} us before the last lease ended")
    return found


def test_the_checker_sees_each_fault() -> None:
    right: list[Event] = [
        ("LEASED", "a", "0", "10"),
        ("MODIFIED", "a", "10", "5"),
        ("LEASED", "a", "5", "9"),
        ("DELETED", "a"),
    ]
    assert faults(["a"], right) == []
    assert faults(["a"], right[:1] + right[2:]) == ["a was leased 5 us before the last lease ended"]
    assert faults(["a"], [*right, ("DELETED", "a")]) == ["a was deleted 2 times"]
    assert faults(["a"], right[:3]) == ["a was deleted 0 times"]
    assert faults(["a"], right[3:]) == ["a was never leased"]
    assert faults([], right[:1]) == ["a was never added"]


def test_no_task_is_lost_or_leased_twice_at_once(store_url: str, tmp_path: Path) -> None:
    added = add(open_service(store_url), TASKS)
    assert len(set(added)) == TASKS
    files = [tmp_path / f"history{at}" for at in range(PROCESSES)]
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.queue_worker", store_url, file, str(at)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for at, file in enumerate(files)
    ]
    # Each has leased something before any of them goes on.
    ready = [worker.stdout.readline() for worker in workers if worker.stdout]
    errors = [worker.communicate("go\n")[1] for worker in workers]
    assert errors == [""] * PROCESSES
    assert ready == ["ready\n"] * PROCESSES
    histories = [file.read_text().splitlines() for file in files]
    assert faults(added, (tuple(line.split()) for lines in histories for line in lines)) == []
