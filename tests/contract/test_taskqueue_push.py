"""What a dispatcher does with push tasks, alike on both stores."""

from collections.abc import Iterator
from typing import Any

import pytest

import taskqueue
from taskqueue import Queue, Task, TaskQueueService, TaskRetryOptions
from taskqueue.storage.leasing import Outcome, Verdict
from taskqueue.storage.record import Request, StoredTask
from tests.support.taskqueues import Clock, make_service, names


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
    return Queue()


def claim(service: TaskQueueService, seconds: float = 60, most: int = 10) -> list[StoredTask]:
    return service.leasing.claim(service.definition("default"), service.now(), seconds, most)


def settle(service: TaskQueueService, task: StoredTask, verdict: Verdict, **kwargs: Any) -> bool:
    (held,) = service.leasing.settle([Outcome(task, verdict, **kwargs)], service.now())
    return held


def test_a_claim_gives_the_request(service: TaskQueueService, queue: Queue) -> None:
    options = TaskRetryOptions(task_retry_limit=3)
    headers = {"X-Mine": ["1", "2"], "X-AppEngine-TaskName": "forged"}
    task = Task(
        url="/worker/",
        params={"key": "a b"},
        headers=headers,
        target="service",
        retry_options=options,
        dispatch_deadline_usec=20_000_000,
    )
    queue.add(task)
    (claimed,) = claim(service)
    assert claimed.request == Request(
        method="POST",
        url="/worker/",
        headers=(
            ("X-Mine", "1"),
            ("X-Mine", "2"),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ),
        target="service",
        deadline_seconds=20.0,
    )
    assert (claimed.name, claimed.payload, claimed.retry_options) == (
        task.name,
        b"key=a+b",
        options,
    )
    assert (claimed.retries, claimed.executions, claimed.first_try) == (1, 0, service.now())
    assert (claimed.eta, claimed.due) == (service.now(), service.now() + 60_000_000)


def test_urls_without_and_with_a_query(service: TaskQueueService, queue: Queue) -> None:
    queue.add([Task(method="GET", params={"a": [1, 2]}), Task(url="/x?b=1", method="GET")])
    assert [task.request.url for task in claim(service) if task.request] == [
        "/_ah/queue/default?a=1&a=2",
        "/x?b=1",
    ]


def test_what_is_claimed_is_nobody_elses(
    service: TaskQueueService, queue: Queue, clock: Clock
) -> None:
    queue.add([Task(name="a"), Task(name="b"), Task(name="later", countdown=30)])
    assert [task.name for task in claim(service)] == ["a", "b"]
    assert claim(service) == []
    assert service.store.counts("default", service.now()).in_flight == 2
    assert service.store.next_due("default") == service.now() + 30_000_000
    clock.move(60)
    again = claim(service)
    assert [(task.name, task.retries) for task in again] == [("later", 1), ("a", 2), ("b", 2)]


def test_a_task_that_is_done_is_gone(service: TaskQueueService, queue: Queue) -> None:
    queue.add(Task(name="it"))
    (task,) = claim(service)
    assert settle(service, task, Verdict.DONE)
    assert not settle(service, task, Verdict.DONE)
    counts = service.store.counts("default", service.now())
    assert (counts.tasks, counts.in_flight, counts.last_minute) == (0, 0, 2)
    with pytest.raises(taskqueue.TombstonedTaskError):
        queue.add(Task(name="it"))


def test_a_task_that_failed_is_tried_again(
    service: TaskQueueService, queue: Queue, clock: Clock
) -> None:
    queue.add(Task(name="it"))
    (task,) = claim(service)
    at = service.now() + 5_000_000
    assert settle(service, task, Verdict.RETRY, eta=at, status=500, reason="answered 500")
    assert claim(service) == []
    first = task.first_try
    clock.move(5)
    (task,) = claim(service)
    assert (task.retries, task.executions, task.status, task.reason, task.eta, task.first_try) == (
        (2, 1, 500, "answered 500", at, first)
    )


def test_a_task_that_is_given_back_was_not_tried(service: TaskQueueService, queue: Queue) -> None:
    queue.add(Task(name="it"))
    (task,) = claim(service)
    assert settle(service, task, Verdict.RELEASE, eta=service.now())
    assert service.store.counts("default", service.now()).last_minute == 0
    (again,) = claim(service)
    assert again == task


def test_who_lost_the_lease_decides_nothing(
    service: TaskQueueService, queue: Queue, clock: Clock
) -> None:
    queue.add(Task(name="it"))
    (stale,) = claim(service)
    clock.move(60)
    (task,) = claim(service)
    for verdict in Verdict:
        assert not settle(service, stale, verdict, eta=service.now())
    assert service.leasing.extend(stale, service.now(), 60) is None
    assert settle(service, task, Verdict.DONE)


def test_a_lease_is_extended(service: TaskQueueService, queue: Queue, clock: Clock) -> None:
    queue.add(Task(name="it"))
    (task,) = claim(service)
    clock.move(50)
    longer = service.leasing.extend(task, service.now(), 60)
    assert longer is not None
    clock.move(59)
    assert claim(service) == []
    assert not settle(service, task, Verdict.DONE)
    assert settle(service, longer, Verdict.DONE)


def test_dead_letters_are_kept_and_put_back(service: TaskQueueService, queue: Queue) -> None:
    queue.add([Task(name="it", payload="x"), Task(name="other")])
    for task in claim(service):
        assert settle(service, task, Verdict.DEAD, status=404, reason="answered 404")
    assert claim(service) == []
    counts = service.store.counts("default", service.now())
    assert (counts.tasks, counts.dead, counts.oldest) == (0, 2, None)
    first, second = service.store.dead_letters("default", 10)
    assert (first.name, first.status, first.reason, first.dead) == (
        ("it", 404, "answered 404", service.now())
    )
    with pytest.raises(taskqueue.TombstonedTaskError):
        queue.add(Task(name="it"))
    queue.purge()
    service.store.revive(service.definition("default"), "it", service.now())
    (task,) = claim(service)
    assert (task.name, task.payload, task.retries, task.status) == ("it", b"x", 1, None)
    with pytest.raises(taskqueue.UnknownTaskError, match="no dead letter 'it'"):
        service.store.revive(service.definition("default"), "it", service.now())
    with pytest.raises(taskqueue.UnknownTaskError, match="no dead letter 'never'"):
        service.store.revive(service.definition("default"), "never", service.now())
    assert service.store.delete("default", [second.name], service.now()) == [True]
    assert service.store.dead_letters("default", 10) == []


def test_a_push_queue_is_not_leased(service: TaskQueueService, queue: Queue) -> None:
    with pytest.raises(taskqueue.InvalidQueueModeError, match="'default' is a push queue"):
        queue.lease_tasks(1, 1)
    with pytest.raises(taskqueue.InvalidQueueModeError, match="'default' takes push tasks only"):
        queue.add(Task("x", method="PULL"))
    with pytest.raises(taskqueue.InvalidQueueModeError, match="'pull' takes pull tasks only"):
        Queue("pull", service=service).add(Task())
    assert names([queue.add(Task(name="it"))]) == ["it"]
