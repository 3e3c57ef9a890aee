"""Pull queues do what the old library's in-memory queues do, in any sequence of calls.

Where the two differ on purpose, docs/reference/taskqueue.md says why, and no step here goes there:
times fall together only where a batch shares them, no call asks for fewer tasks than there may be
where retry limits or missing tags decide, no name outlives its nine days, and no task waits to be
added.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

import taskqueue
from dfpipe.datastore import connect
from taskqueue import Queue, Task
from tests.support.queue_stub import QueueStub
from tests.support.taskqueues import YAML, Clock, make_service

QUEUES = st.sampled_from(["pull", "other", "twice", "default", "never"])
PULL_QUEUES = st.sampled_from(["pull", "pull", "pull", "twice"])
NAMES = st.sampled_from([f"n{at}" for at in range(12)] + ["bad name"])
TAGS = st.sampled_from([None, None, "", "red", "blue", "é"])
# Leases and countdowns end 1/64 s off the times of all calls, so that none ends at a call's time.
SECONDS = st.sampled_from([1, 2, 10, 60]).map(lambda seconds: seconds + 1 / 64)
LEASES = SECONDS | st.sampled_from([0, -1, 604_801])
ALL = 1000


# Where a batch has several tasks without names, the old library does not tell all their names.
TASKS = st.fixed_dictionaries(
    {"payload": st.sampled_from(["", "a", "é"]), "tag": TAGS, "name": NAMES},
    optional={"countdown": SECONDS},
)


class Compared(RuleBasedStateMachine):
    """Does each step here and there, and compares the answers."""

    stub: QueueStub

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.clock = Clock()
        self.tasks: list[Task] = []
        client = connect(f"sqlite:///{Path(self.folder.name)}/q.db")
        # The last queue has a retry limit: the old library deletes what passes it.
        taskqueue.bind(make_service(client, self.clock, f"{YAML}  dead_letters: false\n"))
        # Each name of ours that was generated, and the stub's.
        self.generated: dict[str, str] = {}
        self.call("reset")

    def teardown(self) -> None:
        taskqueue.bind(None)
        self.folder.cleanup()

    def call(self, operation: str, *args: Any) -> dict[str, Any]:
        self.clock.move(1 / 16)
        return self.stub.call(operation, self.clock.time.timestamp(), *args)

    def both(self, operation: str, queue: str, *args: Any) -> None:
        theirs = self.call(operation, queue, *args)
        try:
            ours = {"result": getattr(self, f"our_{operation}")(Queue(queue), *args)}
        except (taskqueue.Error, TypeError) as error:
            ours = {"error": type(error).__name__.replace("UnknownTaskError", "Error")}
        if operation.startswith("lease"):
            self.match_names(ours.get("result") or [], theirs.get("result") or [])
        assert ours == json.loads(json.dumps(theirs))

    def match_names(self, ours: list[Any], theirs: list[Any]) -> None:
        """Where both names were generated, let them be the same from now on."""
        for mine, other in zip(ours, theirs, strict=False):
            if mine[0].startswith("task-") and other[0].startswith("task1"):
                assert self.generated.setdefault(mine[0], other[0]) == other[0]
                mine[0] = other[0]

    def our_add(self, queue: Queue, fields: list[dict[str, Any]]) -> list[bool]:
        tasks = []
        for each in fields:
            tasks.append(Task(**each, method="PULL"))
        self.tasks += tasks
        queue.add(tasks)
        return [task.was_enqueued for task in tasks]

    def our_add_again(self, queue: Queue, number: int) -> None:
        queue.add(self.tasks[number])

    def our_lease_tasks(self, queue: Queue, *args: Any) -> list[Any]:
        return self.leased(queue.lease_tasks(*args))

    def our_lease_tasks_by_tag(self, queue: Queue, *args: Any) -> list[Any]:
        return self.leased(queue.lease_tasks_by_tag(*args))

    def leased(self, tasks: list[Task]) -> list[Any]:
        self.tasks += tasks
        return [[t.name, t.payload.decode(), t.tag, t.retry_count, usec(t.eta)] for t in tasks]

    def our_modify_task_lease(self, queue: Queue, number: int, seconds: float) -> int:
        queue.modify_task_lease(self.tasks[number], seconds)
        return usec(self.tasks[number].eta)

    def our_delete_tasks(self, queue: Queue, numbers: list[int]) -> list[bool]:
        tasks = [self.tasks[number] for number in numbers]
        return [task.was_deleted for task in queue.delete_tasks(tasks)]

    def our_delete_tasks_by_name(self, queue: Queue, names: list[str]) -> list[bool]:
        return [task.was_deleted for task in queue.delete_tasks_by_name(names)]

    def our_purge(self, queue: Queue) -> None:
        queue.purge()

    def our_fetch_statistics(self, queue: Queue) -> list[Any]:
        found = queue.fetch_statistics()
        return [found.tasks, found.oldest_eta_usec]

    @rule(seconds=st.sampled_from([1, 2, 10, 60, 3600]))
    def time_passes(self, seconds: int) -> None:
        self.clock.move(seconds)

    @rule(queue=PULL_QUEUES, fields=st.lists(TASKS, max_size=4))
    def add(self, queue: str, fields: list[dict[str, Any]]) -> None:
        self.both("add", queue, fields)

    @rule(queue=QUEUES)
    def add_anywhere(self, queue: str) -> None:
        self.both("add", queue, [{"payload": "x"}])

    @rule(queue=PULL_QUEUES, data=st.data())
    def add_what_was_added(self, queue: str, data: st.DataObject) -> None:
        added = [at for at, task in enumerate(self.tasks) if task.was_enqueued]
        if added:
            self.both("add_again", queue, data.draw(st.sampled_from(added)))

    @rule(queue=PULL_QUEUES, seconds=LEASES)
    def lease_all(self, queue: str, seconds: float) -> None:
        self.both("lease_tasks", queue, seconds, ALL)

    @rule(seconds=SECONDS, most=st.sampled_from([1, 2, 3, 0, 1001]))
    def lease_some(self, seconds: float, most: int) -> None:
        self.both("lease_tasks", "pull", seconds, most)

    @rule(seconds=SECONDS, most=st.integers(1, 3), tag=st.sampled_from(["red", "blue", "é"]))
    def lease_a_tag(self, seconds: float, most: int, tag: str) -> None:
        self.both("lease_tasks_by_tag", "pull", seconds, most, tag)

    @rule(queue=PULL_QUEUES, seconds=LEASES)
    def lease_the_oldest_tag(self, queue: str, seconds: float) -> None:
        self.both("lease_tasks_by_tag", queue, seconds, ALL)

    @rule(queue=QUEUES)
    def lease_anywhere(self, queue: str) -> None:
        self.both("lease_tasks", queue, 1 + 1 / 64, ALL)

    @rule(queue=PULL_QUEUES, seconds=LEASES, data=st.data())
    def modify(self, queue: str, seconds: float, data: st.DataObject) -> None:
        known = [at for at, task in enumerate(self.tasks) if task.name]
        if known:
            self.both("modify_task_lease", queue, data.draw(st.sampled_from(known)), seconds)

    @rule(queue=PULL_QUEUES, data=st.data())
    def delete(self, queue: str, data: st.DataObject) -> None:
        if self.tasks:
            numbers = st.integers(0, len(self.tasks) - 1)
            self.both("delete_tasks", queue, data.draw(st.lists(numbers, max_size=4)))

    @rule(queue=QUEUES, names=st.lists(NAMES, max_size=4))
    def delete_by_name(self, queue: str, names: list[str]) -> None:
        self.both("delete_tasks_by_name", queue, names)

    @rule(queue=st.sampled_from(["pull", "twice", "never"]))
    def purge(self, queue: str) -> None:
        self.both("purge", queue)

    @rule(queue=st.sampled_from(["pull", "twice", "default"]))
    def count(self, queue: str) -> None:
        self.both("fetch_statistics", queue)


def usec(time: datetime) -> int:
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def test_any_sequence_of_calls(queue_stub: QueueStub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Compared, "stub", queue_stub, raising=False)
    run_state_machine_as_test(
        Compared,
        settings=settings(
            max_examples=100,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
