"""What the calls of a Queue take and refuse, and how they are bound to a store."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions as google

import taskqueue
from dfpipe.datastore import connect
from taskqueue import Queue, QueueStatistics, Task, TaskQueueService
from taskqueue.errors import Error
from taskqueue.service import translated
from tests.support.taskqueues import START, Clock, make_service, pull_task


@pytest.fixture
def service(tmp_path: Path) -> Iterator[TaskQueueService]:
    service = make_service(connect(f"sqlite:///{tmp_path}/q.db"), Clock())
    taskqueue.bind(service)
    yield service
    taskqueue.bind(None)


@pytest.fixture
def queue(service: TaskQueueService) -> Queue:
    return Queue("pull")


def test_old_code_needs_another_import_only(service: TaskQueueService) -> None:
    task = taskqueue.add(url="/worker/", params={"key": "k"})
    assert task.queue_name == "default"
    assert taskqueue.add("x", queue_name="pull", method="PULL").queue_name == "pull"
    assert Task("y", method="PULL").add("pull").was_enqueued
    assert [leased.payload for leased in Queue("pull").lease_tasks(1, 5)] == [b"x", b"y"]


def test_queues_are_told_apart_by_name() -> None:
    assert Queue("a") == Queue("a") != Queue("b")
    assert len({Queue("a"), Queue("a"), Queue("b")}) == 2
    assert repr(Queue()) == "Queue<name='default'>"
    assert Queue("a") != "a"


@pytest.mark.parametrize("name", ["", "a_b", "a b", "a" * 101, "é", 5])
def test_names_of_queues(name: Any) -> None:
    Queue("a" * 100)
    with pytest.raises(taskqueue.InvalidQueueNameError, match="give 1 to 100 letters, digits and"):
        Queue(name)


def test_an_unknown_queue_is_refused_by_every_call(service: TaskQueueService) -> None:
    queue = Queue("never")
    calls = [
        lambda: queue.add(pull_task()),
        lambda: queue.lease_tasks(1, 1),
        lambda: queue.lease_tasks_by_tag(1, 1),
        lambda: queue.modify_task_lease(pull_task(name="a"), 1),
        lambda: queue.delete_tasks(pull_task(name="a")),
        lambda: queue.delete_tasks_by_name("a"),
        queue.purge,
        queue.fetch_statistics,
        lambda: QueueStatistics.fetch("never"),
        lambda: service.set_paused("never", True),
    ]
    for call in calls:
        with pytest.raises(taskqueue.UnknownQueueError, match="which has default, other, pull"):
            call()


def test_the_limits_of_one_add(queue: Queue) -> None:
    assert len(queue.add([pull_task() for _ in range(100)])) == 100
    with pytest.raises(taskqueue.TooManyTasksError, match="101 tasks in one call, at most 100"):
        queue.add([pull_task() for _ in range(101)])
    with pytest.raises(taskqueue.DuplicateTaskNameError, match="names task 'a' twice"):
        queue.add([pull_task(name="a"), pull_task(name="a")])
    with pytest.raises(taskqueue.InvalidTaskError, match="push or pull tasks, not both"):
        queue.add([pull_task(), Task()])
    task = queue.add(pull_task())
    with pytest.raises(taskqueue.BadTaskStateError, match="was added before"):
        queue.add(task)


def test_times_count_from_the_adding(service: TaskQueueService) -> None:
    clock = service.clock
    assert isinstance(clock, Clock)
    relative = pull_task(countdown=30 * 86400)
    absolute = pull_task(eta=relative.eta)
    clock.move(-1)
    assert relative.add("pull").eta == START + timedelta(days=30, seconds=-1)
    with pytest.raises(taskqueue.InvalidEtaError, match="more than 30 days from now"):
        absolute.add("pull")


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        ((-0.1, 1), taskqueue.InvalidLeaseTimeError, "lease_seconds is -0.1: give 0 to 604800"),
        ((604_800.1, 1), taskqueue.InvalidLeaseTimeError, "lease_seconds is 604800.1"),
        ((float("nan"), 1), taskqueue.InvalidLeaseTimeError, "lease_seconds is nan"),
        (("1", 1), TypeError, "lease_seconds is '1': give a number"),
        ((1, 0), taskqueue.InvalidMaxTasksError, "max_tasks is 0: give 1 to 1000"),
        ((1, 1001), taskqueue.InvalidMaxTasksError, "max_tasks is 1001"),
        ((1, 1.0), TypeError, "max_tasks is 1.0: give a whole number"),
    ],
)
def test_the_limits_of_a_lease(
    queue: Queue, args: Any, error: type[Exception], message: str
) -> None:
    for lease in (queue.lease_tasks, queue.lease_tasks_by_tag):
        assert lease(0, 1) == lease(604_800, 1000) == []
        with pytest.raises(error, match=message):
            lease(*args)


def test_lease_times_of_a_change(queue: Queue) -> None:
    queue.add(pull_task())
    (task,) = queue.lease_tasks(60, 1)
    queue.modify_task_lease(task, 604_800)
    with pytest.raises(taskqueue.InvalidLeaseTimeError, match="604801: give 0 to 604800"):
        queue.modify_task_lease(task, 604_801)
    with pytest.raises(taskqueue.UnknownTaskError, match="'other' never had the task 'task-"):
        Queue("other").modify_task_lease(task, 1)
    with pytest.raises(taskqueue.InvalidQueueModeError, match="'default' is a push queue"):
        Queue().modify_task_lease(task, 1)


def test_what_is_checked_before_the_queue_is_looked_up(service: TaskQueueService) -> None:
    """As in the old library, whose answers these are."""
    never = Queue("never")
    assert never.add([]) == never.delete_tasks([]) == never.delete_tasks_by_name([]) == []
    with pytest.raises(taskqueue.TooManyTasksError, match="101 tasks in one call"):
        never.add([pull_task() for _ in range(101)])
    with pytest.raises(taskqueue.DuplicateTaskNameError):
        never.add([pull_task(name="a"), pull_task(name="a")])
    with pytest.raises(taskqueue.InvalidMaxTasksError):
        never.lease_tasks(1, 1001)
    with pytest.raises(taskqueue.UnknownQueueError):
        never.add(pull_task())


@pytest.mark.parametrize("deadline", [0, -1, float("nan")])
def test_deadlines(queue: Queue, deadline: float) -> None:
    for call in (
        lambda d: queue.lease_tasks(1, 1, deadline=d),
        lambda d: queue.lease_tasks_by_tag(1, 1, deadline=d),
        lambda d: queue.fetch_statistics(deadline=d),
        lambda d: QueueStatistics.fetch(queue, deadline=d),
        taskqueue.create_rpc,
    ):
        call(0.1)
        with pytest.raises(taskqueue.InvalidDeadlineError, match=f"is {deadline} seconds: give m"):
            call(deadline)
        with pytest.raises(TypeError, match="the deadline is 'x': give a number"):
            call("x")


def test_what_cannot_be_deleted(queue: Queue) -> None:
    with pytest.raises(taskqueue.BadTaskStateError, match="without a name cannot be deleted"):
        queue.delete_tasks(pull_task())
    task = queue.add(pull_task(name="a"))
    with pytest.raises(taskqueue.DuplicateTaskNameError, match="names task 'a' twice"):
        queue.delete_tasks_by_name(["a", "a"])
    queue.delete_tasks(task)
    with pytest.raises(taskqueue.BadTaskStateError, match="task 'a' was deleted before"):
        queue.delete_tasks(task)


def test_results_that_are_asked_for_later(queue: Queue) -> None:
    called: list[int] = []
    rpc = taskqueue.create_rpc(callback=lambda: called.append(1))
    task = pull_task(name="a")
    assert queue.add_async(task, rpc=rpc) is rpc
    assert called == []
    assert rpc.get_result() is task
    rpc.wait()
    assert called == [1]
    (leased,) = queue.lease_tasks_async(1, 1).get_result()
    assert queue.lease_tasks_by_tag_async(1, 1).get_result() == []
    assert queue.fetch_statistics_async().get_result().tasks == 1
    assert QueueStatistics.fetch_async(["pull"]).get_result()[0].tasks == 1
    assert queue.delete_tasks_async(leased).get_result().was_deleted
    assert not queue.delete_tasks_by_name_async("a").get_result().was_deleted
    failed = task.add_async("pull")
    assert failed.done
    with pytest.raises(taskqueue.BadTaskStateError):
        failed.check_success()


def test_without_a_store() -> None:
    taskqueue.bind(None)
    with pytest.raises(taskqueue.UsageError, match=r"call taskqueue.configure\('sqlite:///FILE'"):
        Queue().purge()


def test_a_store_and_a_file_are_bound(tmp_path: Path) -> None:
    file = tmp_path / "queue.yaml"
    file.write_text("queue:\n- {name: mine, mode: pull}\n")
    service = taskqueue.configure(f"sqlite:///{tmp_path}/q.db", file)
    try:
        assert Queue("mine").service is service
        taskqueue.add("x", queue_name="mine", method="PULL")
    finally:
        taskqueue.bind(None)
    again = TaskQueueService(f"sqlite:///{tmp_path}/q.db")
    assert Queue("mine", service=again).lease_tasks(1, 1)[0].payload == b"x"


def test_a_store_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(taskqueue.DatastoreError, match="is a folder"):
        TaskQueueService(f"sqlite:///{tmp_path}")


@pytest.mark.parametrize(
    ("raised", "error", "message"),
    [
        (google.Aborted("busy"), taskqueue.TransientError, "try again later: .*busy"),
        (google.ServiceUnavailable("away"), taskqueue.TransientError, "away"),
        (google.RetryError("late", None), taskqueue.TransientError, "late"),
        (
            google.Forbidden("no"),
            taskqueue.PermissionDeniedError,
            "the store refused the request: no",
        ),
        (
            google.InvalidArgument("bad"),
            taskqueue.DatastoreError,
            "the store refused the request: bad",
        ),
    ],
)
def test_what_the_store_says(raised: Exception, error: type[Error], message: str) -> None:
    with pytest.raises(error, match=message), translated():
        raise raised


def test_every_exception_has_the_old_root() -> None:
    found = [getattr(taskqueue, name) for name in taskqueue.__all__ if name.endswith("Error")]
    assert len(found) > 25
    assert all(issubclass(error, taskqueue.Error) for error in found)
    assert taskqueue.BadTransactionState is taskqueue.BadTransactionStateError


@pytest.mark.parametrize("tag", [b"\xff", "x" * 501], ids=["no text", "too long"])
def test_tags_that_cannot_be(queue: Queue, tag: str | bytes) -> None:
    with pytest.raises(taskqueue.InvalidTagError):
        queue.lease_tasks_by_tag(1, 1, tag=tag)


NO_TASK = "expected a Task"
NO_QUEUE = ": expected a Queue or the name of one"
WRONG_KINDS: dict[str, tuple[Callable[[Queue], object], str]] = {
    "add a text": (lambda q: q.add("x"), f"'x': {NO_TASK}"),
    "add texts": (lambda q: q.add(["x"]), f"'x': {NO_TASK}"),
    "add nothing": (lambda q: q.add(None), f"None: {NO_TASK}"),
    "delete a number": (lambda q: q.delete_tasks(5), f"5: {NO_TASK}"),
    "extend a name": (lambda q: q.modify_task_lease("x", 1), f"'x': {NO_TASK}"),
    "count a number": (lambda q: QueueStatistics.fetch(5), f"5{NO_QUEUE}"),
    "count numbers": (lambda q: QueueStatistics.fetch([5]), f"5{NO_QUEUE}"),
    "rpc": (lambda q: q.add_async([], rpc=5), "rpc is 5: give what create_rpc returned"),
    "bind": (lambda q: taskqueue.bind(5), "5: expected a TaskQueueService"),
    "store": (lambda q: TaskQueueService(5), "the store is 5: give a URL or a client"),
    "queues": (
        lambda q: TaskQueueService(q.service.client, 5),
        "the queues are 5: give a QueueConfig",
    ),
    "retry options": (
        lambda q: taskqueue.TaskRetryOptions(max_doublings="x"),
        "max_doublings is 'x': give a number",
    ),
}


@pytest.mark.parametrize("name", WRONG_KINDS)
def test_arguments_of_the_wrong_kind(queue: Queue, name: str) -> None:
    call, message = WRONG_KINDS[name]
    with pytest.raises(TypeError, match=message):
        call(queue)


def test_names_of_the_wrong_kind(queue: Queue) -> None:
    for wrong in (5, [5], b"x"):
        with pytest.raises(taskqueue.InvalidTaskNameError, match="the task's name is"):
            queue.delete_tasks_by_name(wrong)


def test_a_task_without_a_name_has_no_lease(queue: Queue) -> None:
    queue.add(pull_task(name="None"))
    queue.lease_tasks(60, 1)
    with pytest.raises(taskqueue.BadTaskStateError, match="without a name has no lease"):
        queue.modify_task_lease(pull_task(), 0)


def test_the_application_itself_as_target(service: TaskQueueService) -> None:
    for name, target in (("a", taskqueue.DEFAULT_APP_VERSION), ("b", "other"), ("c", None)):
        taskqueue.add(name=name, target=target)
    targets = [t.request.target for t in service.store.tasks("default", 3) if t.request]
    assert targets == ["", "other", None]


def test_names_that_documents_used_before() -> None:
    from service import auth
    from taskqueue import rest
    from taskqueue.auth import Guard, proven, settings_from
    from taskqueue.rest import blueprint

    assert (Guard, proven, settings_from) == (auth.Guard, auth.proven, auth.settings_from)
    assert rest.create_blueprint is blueprint.create_blueprint
    assert rest.create_app is blueprint.create_app
    with pytest.raises(AttributeError):
        rest.never  # noqa: B018  # asking is the test
