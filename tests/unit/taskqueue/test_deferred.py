"""Calling functions later."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import taskqueue
from dfpipe.datastore import connect
from taskqueue import Queue, TaskQueueService, deferred
from tests.support.taskqueues import START, Clock, make_service

calls: list[object] = []


@deferred.register
def note(*args: object, **kwargs: object) -> str:
    calls.append((args, kwargs))
    return "noted"


@deferred.register
def fail(kind: str) -> None:
    raise {
        "permanent": deferred.PermanentTaskFailure,
        "singular": deferred.SingularTaskFailure,
        "other": ArithmeticError,
    }[kind](kind)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[TaskQueueService]:
    service = make_service(connect(f"sqlite:///{tmp_path}/q.db"), Clock())
    taskqueue.bind(service)
    yield service
    taskqueue.bind(None)
    calls.clear()


def body(service: TaskQueueService) -> bytes:
    (task,) = service.leasing.claim(service.definition("default"), service.now(), 60, 10)
    return task.payload


def test_a_call_is_made_later(service: TaskQueueService) -> None:
    task = deferred.defer(note, 1, "é", [None], key={"a": 1.5}, _countdown=0, _name="it")
    assert (task.name, task.url) == ("it", "/_ah/queue/deferred")
    assert task.headers == {"Content-Type": "application/json"}
    assert calls == []
    sent = body(service)
    assert deferred.run(sent) == "noted"
    assert deferred.handle(sent) == 200
    assert calls == [((1, "é", [None]), {"key": {"a": 1.5}})] * 2


def test_the_words_of_the_task(service: TaskQueueService) -> None:
    options = taskqueue.TaskRetryOptions(task_retry_limit=1)
    task = deferred.defer(
        note,
        _eta=START,
        _target="v",
        _retry_options=options,
        _url="/mine",
        _headers={"X-A": "b"},
        _queue="default",
    )
    assert (task.eta, task.target, task.retry_options) == (START, "v", options)
    assert (task.url, task.headers["X-A"]) == ("/mine", "b")
    with pytest.raises(taskqueue.InvalidQueueModeError):
        deferred.defer(note, _queue="pull")
    with service.client.transaction():
        deferred.defer(note, _transactional=True)
    assert Queue().fetch_statistics().tasks == 2


def test_how_it_may_fail(service: TaskQueueService, caplog: pytest.LogCaptureFixture) -> None:
    bodies = []
    for kind in ("permanent", "singular", "other"):
        deferred.defer(fail, kind)
        bodies.append(body(service))
    assert deferred.handle(bodies[0]) == 200
    assert "failed for good" in caplog.text
    assert deferred.handle(bodies[1]) == 408
    with pytest.raises(ArithmeticError):
        deferred.handle(bodies[2])


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"\xff",
        b"[]",
        b"5",
        b"{}",
        b'{"function": "os.system", "args": ["true"], "kwargs": {}}',
        b'{"function": [], "args": [], "kwargs": {}}',
        b'{"function": "x", "args": {}, "kwargs": {}}',
        b'{"function": "x", "args": [], "kwargs": []}',
    ],
)
def test_a_body_that_is_no_call_fails_for_good(wrong: bytes) -> None:
    with pytest.raises(deferred.PermanentTaskFailure):
        deferred.run(wrong)
    assert deferred.handle(wrong) == 200


def test_what_cannot_be_deferred(service: TaskQueueService) -> None:
    with pytest.raises(taskqueue.InvalidTaskError, match="_deferred.body is not registered: put"):
        deferred.defer(body, 1)
    for value in ({1, 2}, float("nan"), object()):
        with pytest.raises(taskqueue.InvalidTaskError, match="note cannot be written as JSON"):
            deferred.defer(note, value)
    with pytest.raises(taskqueue.TaskTooLargeError):
        deferred.defer(note, "x" * 102_400)


def test_a_name_is_one_functions() -> None:
    def note() -> None: ...

    note.__qualname__ = "note"
    with pytest.raises(taskqueue.InvalidTaskError, match="another function is registered as"):
        deferred.register(note)
