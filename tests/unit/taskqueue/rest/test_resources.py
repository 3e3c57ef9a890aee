"""What the REST API and the command line answer while others work on the same queue."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import taskqueue
from dfpipe.datastore import connect
from taskqueue import Queue, Task, TaskQueueService
from taskqueue.errors import UnknownTaskError
from taskqueue.rest.resources import QueueResources
from taskqueue.storage.leasing import Outcome, Verdict
from tests.support.taskqueues import Clock, make_service, pull_task

SECOND = 1_000_000


@pytest.fixture
def service(tmp_path: Path) -> Iterator[TaskQueueService]:
    service = make_service(connect(f"sqlite:///{tmp_path}/q.db"), Clock())
    taskqueue.bind(service)
    yield service
    taskqueue.bind(None)


@pytest.fixture
def api(service: TaskQueueService) -> QueueResources:
    return QueueResources(service)


@pytest.mark.parametrize("name", [None, "given"], ids=["generated", "given"])
def test_an_added_task_is_shown_though_a_worker_was_faster(
    service: TaskQueueService, api: QueueResources, name: str | None
) -> None:
    def work() -> None:
        queue = Queue("pull")
        queue.delete_tasks(queue.lease_tasks(30, 1))

    service.added.append(work)
    resource = api.insert("pull", pull_task(b"x", name=name, tag="t"))
    assert (resource["payloadBase64"], resource["tag"]) == ("eA==", "t")
    assert resource["enqueueTimestamp"] == str(service.now())
    assert "items" not in api.list_tasks("pull")


def test_who_gives_a_task_back_is_not_told_the_next_lease(
    service: TaskQueueService, api: QueueResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.insert("pull", pull_task(name="t"))
    [leased] = api.lease("pull", 30, 1)["items"]
    modify_lease = service.store.modify_lease

    def then_another_leases(*args: Any) -> int:
        until = modify_lease(*args)
        assert len(Queue("pull").lease_tasks(60, 1)) == 1
        return until

    monkeypatch.setattr(service.store, "modify_lease", then_another_leases)
    given_back = api.modify("pull", "t", 0, int(leased["leaseTimestamp"]))
    assert (given_back["leaseTimestamp"], given_back["retry_count"]) == ("0", 1)
    monkeypatch.undo()
    with pytest.raises(taskqueue.TaskLeaseExpiredError):
        api.modify("pull", "t", 30, int(leased["leaseTimestamp"]))
    assert api.get_task("pull", "t")["leaseTimestamp"] == str(service.now() + 60 * SECOND)


def kill(service: TaskQueueService, when: int) -> None:
    """Let all due tasks of the queue `default` be given up at that time."""
    claimed = service.leasing.claim(service.definition("default"), service.now(), 60, 10)
    service.leasing.settle([Outcome(task, Verdict.DEAD) for task in claimed], when)


def test_what_dies_again_meanwhile_is_put_back_once(
    service: TaskQueueService, api: QueueResources
) -> None:
    now = service.now()
    Queue().add([Task(name="a"), Task(name="b")])
    kill(service, now)
    Queue().add(Task(name="later"))
    kill(service, now + SECOND)
    assert api.revive_all("default") == 2
    assert [item["id"] for item in api.dead_letters("default", 10)["items"]] == ["later"]


def test_two_who_put_all_back_do_not_disturb_each_other(
    service: TaskQueueService, api: QueueResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    Queue().add([Task(name="a"), Task(name="b")])
    kill(service, service.now())
    revive = service.store.revive

    def another_was_faster(queue: str, name: str, now: int) -> Any:
        if name == "a":
            revive(queue, name, now)
        return revive(queue, name, now)

    monkeypatch.setattr(service.store, "revive", another_was_faster)
    assert api.revive_all("default") == 1
    assert "items" not in api.dead_letters("default", 10)
    with pytest.raises(UnknownTaskError, match="no dead letter 'b'"):
        api.revive("default", "b")


def test_the_limits_of_leases_hold_without_the_rest_api_too(api: QueueResources) -> None:
    with pytest.raises(taskqueue.InvalidLeaseTimeError, match="is 604801: give 0 to 604800"):
        api.lease("pull", 604_801, 1)
    with pytest.raises(taskqueue.InvalidMaxTasksError, match="is 1001: give 1 to 1000"):
        api.lease("pull", 1, 1001)
    with pytest.raises(taskqueue.InvalidTagError, match="has 501 bytes"):
        api.lease("pull", 1, 1, by_tag=True, tag="x" * 501)
    assert api.lease("pull", 604_800, 1000, by_tag=True, tag="x" * 500) == (
        {"kind": "taskqueues#tasks"}
    )
