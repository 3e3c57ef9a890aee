"""A task leaves its queue by success, by deletion or as a dead letter, and in no other way.

Alike on both stores, for given and generated names, in queues that change their mode and under
clocks that step back.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

import taskqueue
from taskqueue import Queue, Task, TaskQueueService, TaskRetryOptions
from taskqueue.rest.resources import QueueResources
from taskqueue.storage.leasing import Outcome, Verdict
from taskqueue.storage.record import StoredTask
from tests.support.taskqueues import START, Clock, make_service, names, pull_task

PULL = "queue: [{name: q, mode: pull}]"
PUSH = "queue: [{name: q, rate: 5/s}]"
LARGE = b"x" * 2**18
NAMES = pytest.mark.parametrize("name", ["given", None], ids=["given", "generated"])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(client: Any, clock: Clock) -> Iterator[TaskQueueService]:
    service = make_service(client, clock)
    taskqueue.bind(service)
    yield service
    taskqueue.bind(None)


@pytest.fixture
def queue(service: TaskQueueService) -> Queue:
    return Queue("pull")


@NAMES
def test_a_lease_is_changed_by_name_and_eta(queue: Queue, clock: Clock, name: str | None) -> None:
    queue.add(pull_task(name=name))
    (leased,) = queue.lease_tasks(60, 1)
    again = Task(name=leased.name, eta=leased.eta)
    queue.modify_task_lease(again, 90)
    assert again.eta == START + timedelta(seconds=90)
    with pytest.raises(taskqueue.TaskLeaseExpiredError):
        queue.modify_task_lease(leased, 60)
    queue.modify_task_lease(again, 0)
    assert names(queue.lease_tasks(60, 1)) == [leased.name]


@NAMES
def test_a_lease_is_changed_through_resources(
    queue: Queue, service: TaskQueueService, name: str | None
) -> None:
    queue.add(pull_task(name=name))
    api = QueueResources(service)
    (leased,) = api.lease("pull", 4, 1)["items"]
    longer = api.modify("pull", leased["id"], 600)
    assert int(longer["leaseTimestamp"]) == (START + timedelta(seconds=600)).timestamp() * 1e6
    with pytest.raises(taskqueue.TaskLeaseExpiredError):
        api.modify("pull", leased["id"], 600, int(leased["leaseTimestamp"]))
    api.modify("pull", leased["id"], 0, int(longer["leaseTimestamp"]))
    assert len(queue.lease_tasks(1, 1)) == 1


@NAMES
@pytest.mark.parametrize("payload", [b"small", LARGE], ids=["small", "large"])
def test_a_pull_task_over_its_limit_is_a_dead_letter(
    queue: Queue, clock: Clock, payload: bytes, name: str | None
) -> None:
    limit = TaskRetryOptions(task_retry_limit=1)
    queue.add(pull_task(payload, name=name, tag="t", retry_options=limit))
    (leased,) = queue.lease_tasks(5, 1)
    clock.move(5)
    assert queue.lease_tasks(5, 1) == []
    # The lease ended at the very time at which the task died.
    with pytest.raises(taskqueue.TaskLeaseExpiredError):
        queue.modify_task_lease(leased, 60)
    queue.purge()
    (dead,) = queue.dead_letters()
    assert (dead.name, dead.payload, dead.tag, dead.retries) == (leased.name, payload, "t", 1)
    assert dead.reason == "leased once, as often as task_retry_limit allows"
    queue.retry_dead_letter(dead.name)
    assert queue.dead_letters() == []
    (again,) = queue.lease_tasks(5, 1)
    assert (again.payload, again.tag, again.retry_count) == (payload, "t", 1)


def test_a_worker_that_ends_late_deletes_its_dead_letter(queue: Queue, clock: Clock) -> None:
    queue.add(pull_task(LARGE, retry_options=TaskRetryOptions(task_retry_limit=1)))
    (leased,) = queue.lease_tasks(5, 1)
    clock.move(6)
    assert queue.lease_tasks(5, 1) == []
    queue.delete_tasks(leased)
    assert leased.was_deleted
    assert queue.dead_letters() == []
    assert list(queue.service.client.query(kind="TaskqueuePayload").fetch()) == []


def test_a_queue_may_keep_no_dead_letters(client: Any, clock: Clock) -> None:
    yaml = (
        "queue:\n- {name: q, mode: pull, dead_letters: false, retry_parameters: "
        "{task_retry_limit: 1}}\n"
    )
    queue = Queue("q", service=make_service(client, clock, yaml))
    queue.add(pull_task(LARGE))
    queue.lease_tasks(5, 1)
    clock.move(5)
    assert queue.lease_tasks(5, 1) == []
    assert queue.dead_letters() == []
    assert list(client.query(kind="TaskqueuePayload").fetch()) == []


def in_mode(client: Any, clock: Clock, yaml: str) -> Queue:
    return Queue("q", service=make_service(client, clock, yaml))


LEASES: list[Callable[[Queue], Any]] = [
    lambda queue: queue.lease_tasks(60, 10),
    lambda queue: queue.lease_tasks_by_tag(60, 10),
]


@pytest.mark.parametrize("lease", LEASES, ids=["any", "by tag"])
def test_push_tasks_in_a_queue_that_became_pull(
    client: Any, clock: Clock, lease: Callable[[Queue], list[Task]]
) -> None:
    before = in_mode(client, clock, PUSH)
    before.add([Task("one", name="a"), Task("two")])
    after = in_mode(client, clock, PULL)
    clock.move(1)
    after.add(pull_task(name="new"))
    assert names(lease(after)) == ["new"]
    dead = after.dead_letters()
    assert [task.payload for task in dead] == [b"one", b"two"]
    assert {task.reason for task in dead} == {"a push task in a queue that has become a pull queue"}
    with pytest.raises(taskqueue.InvalidQueueModeError, match="is a pull queue now"):
        after.retry_dead_letter("a")
    in_mode(client, clock, PUSH).retry_dead_letter("a")


def test_workers_that_set_the_same_push_task_aside(
    client: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_mode(client, clock, PUSH).add(Task("one", name="a"))
    first, second = (in_mode(client, clock, PULL) for _ in range(2))
    clock.move(1)
    first.add(pull_task(name="new"))
    read = client.get_multi

    def read_while_another_leases(keys: Any, **options: Any) -> Any:
        found = read(keys, **options)
        if keys[0].kind == "TaskqueueTask":
            monkeypatch.undo()
            assert names(second.lease_tasks_by_tag(60, 10)) == ["new"]
        return found

    monkeypatch.setattr(client, "get_multi", read_while_another_leases)
    assert first.lease_tasks_by_tag(60, 10) == []
    assert [task.name for task in first.dead_letters()] == ["a"]


def test_pull_tasks_in_a_queue_that_became_push(client: Any, clock: Clock) -> None:
    before = in_mode(client, clock, PULL)
    before.add([pull_task("one", name="a"), pull_task(LARGE), pull_task(name="held")])
    before.lease_tasks(60, 1)
    after = in_mode(client, clock, PUSH)
    after.add(Task(name="new"))
    service = after.service
    claimed = service.leasing.claim(service.definition("q"), service.now(), 60, 10)
    assert [task.name for task in claimed] == ["new"]
    clock.move(61)
    service.leasing.claim(service.definition("q"), service.now(), 60, 10)
    assert {task.payload for task in after.dead_letters()} == {b"one", LARGE, b"payload"}


def test_the_lease_of_a_push_task_is_not_changed_by_workers(client: Any, clock: Clock) -> None:
    in_mode(client, clock, PUSH).add(Task(name="a"))
    after = in_mode(client, clock, PULL)
    with pytest.raises(taskqueue.InvalidQueueModeError, match="'a' is a push task"):
        after.modify_task_lease(Task(name="a", eta=clock.time), 60)


class Lifecycle(RuleBasedStateMachine):
    """Whatever is done, every task that was neither deleted nor done is still there, whole."""

    client: Any
    numbers = count()

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.name = f"q{next(self.numbers)}"
        self.alive: dict[str, bytes] = {}
        self.leased: list[Task] = []
        self.claimed: list[StoredTask] = []

    @initialize(is_pull=st.booleans())
    def change_mode(self, is_pull: bool) -> None:
        mode = "mode: pull" if is_pull else "rate: 5/s"
        yaml = f"queue:\n- {{name: {self.name}, {mode}}}\n"
        self.queue = Queue(self.name, service=make_service(self.client, self.clock, yaml))
        self.service = self.queue.service

    @property
    def definition(self) -> Any:
        return self.service.definition(self.name)

    @rule()
    def other_mode(self) -> None:
        self.change_mode(not self.definition.is_pull)

    @rule(
        name=st.sampled_from([None, None, "a", "b", "c"]),
        payload=st.sampled_from([b"x", b"y" * (2**17 + 1)]),
        limit=st.sampled_from([None, 0, 1, 2]),
        tag=st.sampled_from([None, "t"]),
    )
    def add(self, name: str | None, payload: bytes, limit: int | None, tag: str | None) -> None:
        retry = TaskRetryOptions(task_retry_limit=limit) if limit is not None else None
        if self.definition.is_pull:
            task = Task(payload, method="PULL", name=name, tag=tag, retry_options=retry)
        else:
            payload = payload[:1]
            task = Task(payload, name=name, retry_options=retry)
        try:
            self.queue.add(task)
        except (taskqueue.TaskAlreadyExistsError, taskqueue.TombstonedTaskError):
            return
        self.alive[str(task.name)] = payload

    @rule(seconds=st.sampled_from([0, 1, 60]), most=st.integers(1, 4), by_tag=st.booleans())
    def take(self, seconds: int, most: int, by_tag: bool) -> None:
        if not self.definition.is_pull:
            now = self.service.now()
            self.claimed += self.service.leasing.claim(self.definition, now, seconds + 1, most)
        elif by_tag:
            self.leased += self.queue.lease_tasks_by_tag(seconds, most)
        else:
            self.leased += self.queue.lease_tasks(seconds, most)

    @rule(data=st.data(), seconds=st.sampled_from([0, 1, 60]), is_new=st.booleans())
    def modify(self, data: st.DataObject, seconds: int, is_new: bool) -> None:
        if not self.leased or not self.definition.is_pull:
            return
        task = data.draw(st.sampled_from(self.leased))
        same = Task(name=task.name, eta=task.eta) if is_new else task
        held = same.eta >= self.clock.time and task.name in self.alive
        try:
            self.queue.modify_task_lease(same, seconds)
        except (
            taskqueue.TaskLeaseExpiredError,
            taskqueue.TombstonedTaskError,
            taskqueue.UnknownTaskError,
            taskqueue.InvalidQueueModeError,
        ):
            return
        assert held

    @rule(data=st.data(), verdict=st.sampled_from(Verdict))
    def settle(self, data: st.DataObject, verdict: Verdict) -> None:
        if not self.claimed:
            return
        task = data.draw(st.sampled_from(self.claimed))
        now = self.service.now()
        (held,) = self.service.leasing.settle([Outcome(task, verdict, now, 500, "no")], now)
        if held and verdict is Verdict.DONE:
            del self.alive[task.name]

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        if self.alive:
            name = data.draw(st.sampled_from(sorted(self.alive)))
            assert self.queue.delete_tasks_by_name(name).was_deleted
            del self.alive[name]

    @rule(seconds=st.sampled_from([1, 2, 61, 3600, -1, -3600]))
    def time_moves(self, seconds: int) -> None:
        self.clock.move(seconds)

    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        fit = [t for t in self.queue.dead_letters() if t.is_pull == self.definition.is_pull]
        if fit:
            self.queue.retry_dead_letter(data.draw(st.sampled_from(fit)).name)

    @invariant()
    def nothing_is_lost(self) -> None:
        dead = self.queue.dead_letters()
        waiting = self.service.store.tasks(self.name, 1000)
        assert {task.name: task.payload for task in [*waiting, *dead]} == self.alive
        assert len(waiting) + len(dead) == len(self.alive)
        assert all(task.reason for task in dead)

    def teardown(self) -> None:
        """What is left can be taken some day, or is a dead letter."""
        for _ in range(4):
            self.clock.move(86_400)
            self.take(1, 1000, by_tag=False)
        if self.definition.is_pull:
            left = self.service.store.tasks(self.name, 1000)
            assert {t.name for t in left} <= {t.name for t in self.leased}


def test_no_task_is_ever_lost(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lifecycle, "client", client, raising=False)
    is_embedded = type(client).__module__.startswith("dfpipe")
    run_state_machine_as_test(
        Lifecycle,
        settings=settings(
            max_examples=60 if is_embedded else 10,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
