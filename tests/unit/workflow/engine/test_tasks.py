"""Tasks that come again, late, too early or in another order, on both stores."""

from collections.abc import Iterator
from typing import Any

import pytest

import taskqueue
import workflow
from tests.support.workflow_running import Queues
from workflow import common
from workflow.engine import ending, running
from workflow.engine.tasks import handle
from workflow.records import Record

SEEN: list[Any] = []


@pytest.fixture(autouse=True)
def seen() -> list[Any]:
    SEEN.clear()
    return SEEN


class Notes(workflow.Pipeline):
    def finalized(self) -> None:
        SEEN.append(f"finalized {type(self).__name__}")


class Sync(Notes):
    def run(self, value: Any = 5) -> Any:
        SEEN.append("run")
        return value


class Async(Notes):
    async_ = True

    def run(self) -> None:
        SEEN.append("run")


class Cancels(Async):
    def try_cancel(self) -> bool:
        SEEN.append("try_cancel")
        return True


class Childless(Notes):
    def run(self) -> Iterator[Any]:
        SEEN.append("run")
        yield from ()


class Parent(Notes):
    def run(self) -> Iterator[Any]:
        SEEN.append("run")
        value = yield common.Return(1)
        yield common.Sum(value, 1)


KINDS = [Sync, Async, Childless, Parent]


class Stage:
    """One started stage, whose tasks are delivered by hand."""

    def __init__(self, queues: Queues, stage: workflow.Pipeline, **kwargs: Any) -> None:
        self.queues = queues
        stage.start(**kwargs)
        self.id = str(stage.pipeline_id)

    def run(self, attempt: int = 0) -> None:
        running.run_stage(self.queues.engine, self.id, self.id, attempt)

    def finalized(self) -> None:
        ending.finalized(self.queues.engine, self.id, self.id)

    @property
    def record(self) -> Record:
        found = self.queues.engine.record(self.id)
        assert found is not None
        return found

    @property
    def state(self) -> tuple[str, int, bool]:
        return self.record.status, self.record.attempt, self.record.is_over

    def stored(self) -> Any:
        return self.queues.tree(workflow.Pipeline.from_id(self.id))


def tasks(queues: Queues) -> list[str]:
    """The handlers that tasks are there for."""
    found = queues.engine.service.store.tasks("default", 100)
    return sorted(task.request.url.rpartition("/")[2] for task in found)


# The same task again


@pytest.mark.parametrize("kind", KINDS)
def test_run_again_before_the_end(queues: Queues, kind: Any) -> None:
    stage = Stage(queues, kind())
    stage.run()
    before, waiting = stage.stored(), tasks(queues)
    stage.run()
    assert stage.stored() == before
    if kind is not Async and kind is not Parent:
        # All is there, so the stage itself may be called again, and nothing else happens.
        assert stage.record.status == "run"
    assert tasks(queues) == waiting


@pytest.mark.parametrize("kind", KINDS)
def test_run_again_after_the_end(queues: Queues, kind: Any) -> None:
    stage = Stage(queues, kind())
    queues.drain()
    if kind is Async:
        Async.from_id(stage.id).complete()
        queues.drain()
    assert stage.state == ("done", 0, True)
    before, seen = stage.stored(), list(SEEN)
    stage.run()
    stage.finalized()
    ending.abort(queues.engine, stage.id)
    assert stage.stored() == before
    assert seen == SEEN
    assert tasks(queues) == []


def test_an_asynchronous_stage_is_run_again_until_it_is_complete(queues: Queues) -> None:
    """A server may have died in the midst of `run`."""
    stage = Stage(queues, Async())
    stage.run()
    stage.run()
    assert SEEN == ["run", "run"]
    Async.from_id(stage.id).complete(1)
    stage.run()
    assert SEEN == ["run", "run"]
    queues.drain()
    assert stage.state == ("done", 0, True)


def test_finalized_again(queues: Queues) -> None:
    stage = Stage(queues, Sync())
    stage.run()
    stage.finalized()
    stage.finalized()
    assert SEEN == ["run", "finalized Sync"]


def test_finalized_before_the_outputs(queues: Queues) -> None:
    stage = Stage(queues, Sync())
    stage.finalized()
    assert SEEN == []
    assert stage.state == ("waiting", 0, False)


def test_a_stage_that_is_unknown(queues: Queues) -> None:
    for function in (running.run_stage, ending.finalized, running.fanout):
        last = {"run_stage": [0], "fanout": [0]}.get(function.__name__, [])
        function(queues.engine, "unknown", "unknown", *last)
    running.output(queues.engine, "unknown", 0, "unknown")
    running.advance(queues.engine, "unknown/start", "unknown")
    ending.abort(queues.engine, "unknown")
    ending.cleanup(queues.engine, "unknown")
    assert queues.stored("WorkflowPipeline") == []


@pytest.mark.parametrize(
    ("handler", "words", "error"),
    [
        ("unknown", {}, KeyError),
        ("run", {}, Exception),
        ("run", {"pipeline_id": "a", "root": "a", "attempt": "one"}, Exception),
        ("run", {"pipeline_id": "a", "root": "a", "attempt": "1", "more": "x"}, Exception),
    ],
    ids=["unknown", "missing", "no-number", "more"],
)
def test_a_task_that_makes_no_sense(queues: Queues, handler: str, words: Any, error: Any) -> None:
    with pytest.raises(error):
        handle(queues.engine, handler, words)


# Attempts


@pytest.mark.parametrize("attempt", [1, 2, -1])
def test_another_attempt_is_not_run(queues: Queues, attempt: int) -> None:
    stage = Stage(queues, Sync())
    stage.run(attempt)
    assert SEEN == []
    assert stage.state == ("waiting", 0, False)


class Fails(Notes):
    def run(self) -> None:
        SEEN.append(self.current_attempt)
        raise RuntimeError("x" * 5000)


def test_a_failure_is_tried_again_later(queues: Queues) -> None:
    stage = Stage(queues, Fails())
    stage.run()
    assert stage.state == ("waiting", 1, False)
    assert stage.record.next_retry == queues.engine.service.now() + 15_000_000
    assert stage.record.retry_message == "RuntimeError: " + "x" * 986
    stage.run()  # the first attempt again
    assert SEEN == [1]


def test_a_retry_that_comes_too_early(queues: Queues) -> None:
    stage = Stage(queues, Fails().with_params(backoff_seconds=60))
    stage.run()
    queues.clock.move(30)
    with pytest.raises(workflow.UnexpectedPipelineError, match="comes too early"):
        stage.run(1)
    queues.clock.move(15)
    stage.run(1)
    assert SEEN == [1, 2]


def test_the_last_attempt(queues: Queues) -> None:
    stage = Stage(queues, Fails().with_params(max_attempts=1))
    stage.run()
    assert stage.state == ("aborted", 0, False)
    assert stage.record.abort_message == "Aborting after 1 attempts: RuntimeError: " + "x" * 986
    queues.drain()
    assert stage.state == ("aborted", 0, True)
    assert SEEN == [1, "finalized Fails"]


class Narrow(workflow.Pipeline):
    is_narrow = False

    def __init__(self, *values: Any) -> None:
        if Narrow.is_narrow:
            raise TypeError("it takes other arguments now")
        super().__init__(*values)

    def run(self, *values: Any) -> Any:
        return list(values)


def test_a_stage_that_cannot_be_made_of_its_arguments(
    queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(queues, Narrow(1))
    monkeypatch.setattr(Narrow, "is_narrow", True)
    stage.run()
    assert stage.record.retry_message == "TypeError: it takes other arguments now"
    monkeypatch.setattr(Narrow, "is_narrow", False)
    queues.drain()
    assert workflow.Pipeline.from_id(stage.id).outputs.default.value == [1]


def test_a_failure_that_is_left_to_the_queue(queues: Queues) -> None:
    failing = Fails()
    failing.task_retry = True
    stage = Stage(queues, failing)
    with pytest.raises(RuntimeError):
        stage.run()
    assert stage.state == ("waiting", 0, False)


def test_two_runs_at_once_of_which_one_fails(queues: Queues) -> None:
    """The slower one finds that its attempt is over."""
    other: list[Stage] = []

    class Meets(Notes):
        def run(self) -> str:
            if not SEEN:
                SEEN.append("first")
                other[0].run()
                raise RuntimeError("too late")
            return "second"

    stage = Stage(queues, Meets())
    other.append(stage)
    stage.run()
    queues.drain()
    assert stage.state == ("done", 0, True)
    assert workflow.Pipeline.from_id(stage.id).outputs.default.value == "second"


def test_two_runs_at_once_of_a_generator(queues: Queues) -> None:
    other: list[Stage] = []

    class Meets(Notes):
        def run(self) -> Iterator[Any]:
            yield common.Return(len(SEEN))
            if not SEEN:
                SEEN.append("first")
                other[0].run()

    stage = Stage(queues, Meets())
    other.append(stage)
    stage.run()
    assert queues.count("WorkflowPipeline") == 2
    queues.drain()
    assert workflow.Pipeline.from_id(stage.id).outputs.default.value == 1


# Children


def test_a_child_that_has_its_arguments_is_run_at_once(queues: Queues) -> None:
    stage = Stage(queues, Parent())
    taskqueue.Queue("default").purge()
    stage.run()
    (child,) = queues.engine.service.store.tasks("default", 9)
    first, second = stage.record.child_ids()
    assert f"pipeline_id={first}".encode() in child.payload
    status = stage.stored()["pipelines"][second]["status"]
    assert status == "waiting"


class Wide(workflow.Pipeline):
    def run(self, number: int) -> Iterator[Any]:
        values = []
        for at in range(number):
            values.append((yield common.Return(at)))
        yield common.Sum(*values)


def test_many_children_in_any_order(queues: Queues) -> None:
    stage = Wide(130)
    assert queues.run(stage).outputs.default.value == sum(range(130))
    assert queues.count("WorkflowPipeline") == 132


def test_children_are_made_once(queues: Queues) -> None:
    stage = Stage(queues, Wide(25))
    stage.run()
    running.fanout(queues.engine, stage.id, stage.id, 0)
    before = queues.count("WorkflowPipeline")
    running.fanout(queues.engine, stage.id, stage.id, 0)
    assert queues.count("WorkflowPipeline") == before
    queues.drain()
    assert queues.count("WorkflowPipeline") == 27
    assert stage.state[0] == "done"


def test_a_generator_that_failed_makes_other_children(queues: Queues) -> None:
    class Second(workflow.Pipeline):
        def run(self) -> Iterator[Any]:
            yield common.Return(self.current_attempt)
            if self.current_attempt == 1:
                raise RuntimeError("after it has yielded")

    stage = Second()
    assert queues.run(stage).outputs.default.value == 2
    assert queues.count("WorkflowPipeline") == 2


# Abort


def test_abort_before_the_start(queues: Queues) -> None:
    stage = Stage(queues, Async())
    queues.engine.abort_root(stage.id, "enough")
    # The task that runs it may come before the one that aborts it.
    stage.run()
    queues.drain()
    assert stage.state == ("aborted", 0, True)
    assert SEEN == ["finalized Async"]


class Around(Notes):
    def run(self, name: str) -> Iterator[Any]:
        yield {"Async": Async, "Cancels": Cancels}[name]()


@pytest.mark.parametrize(
    ("name", "state"), [("Async", "run"), ("Cancels", "aborted")], ids=["refused", "allowed"]
)
def test_abort_of_an_asynchronous_stage(queues: Queues, name: str, state: str) -> None:
    stage = Stage(queues, Around(name))
    queues.drain()
    workflow.Pipeline.from_id(stage.id).abort("enough")
    queues.drain()
    (child,) = stage.record.child_ids()
    assert queues.engine.record(child).status == state
    assert stage.state == ("aborted", 0, True)
    if state == "run":
        workflow.Pipeline.from_id(child).complete(1)
        queues.drain()
        assert queues.engine.record(child).status == "done"


def test_abort_again(queues: Queues) -> None:
    stage = Stage(queues, Around("Cancels"))
    queues.drain()
    workflow.Pipeline.from_id(stage.id).abort("enough")
    for _ in range(2):
        ending.abort(queues.engine, stage.id)
    queues.drain()
    assert sorted(SEEN) == ["finalized Around", "finalized Cancels", "run", "try_cancel"]


def test_try_cancel_that_raises(queues: Queues, caplog: pytest.LogCaptureFixture) -> None:
    class Breaks(Async):
        def try_cancel(self) -> bool:
            raise OSError("no answer")

    class Root(workflow.Pipeline):
        def run(self) -> Iterator[Any]:
            yield Breaks()

    stage = Stage(queues, Root())
    queues.drain()
    workflow.Pipeline.from_id(stage.id).abort("enough")
    queues.drain()
    assert queues.engine.record(stage.record.child_ids()[0]).status == "run"
    assert "it is left alone" in caplog.text


def test_abort_with_arguments_that_were_never_there(queues: Queues) -> None:
    class Root(workflow.Pipeline):
        def run(self) -> Iterator[Any]:
            value = yield Cancels()
            yield Sync(value)

    stage = Stage(queues, Root())
    queues.drain()
    workflow.Pipeline.from_id(stage.id).abort("enough")
    queues.drain()
    states = {about["status"] for about in stage.stored()["pipelines"].values()}
    assert states == {"aborted"}
    assert SEEN.count("finalized Sync") == 1


def test_a_generator_that_has_children_after_an_abort(queues: Queues) -> None:
    """Its children are not made any more."""

    class Slow(Notes):
        def run(self) -> Iterator[Any]:
            yield common.Return(1)
            workflow.Pipeline.from_id(str(self.pipeline_id)).abort("meanwhile")

    stage = Stage(queues, Slow())
    stage.run()
    queues.drain()
    assert stage.state == ("aborted", 0, True)
    assert queues.count("WorkflowPipeline") == 1
