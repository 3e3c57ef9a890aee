"""Tasks, objects and callbacks of a workflow leave a later one with the same key alone."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

import pytest

import workflow
from taskqueue.storage.record import StoredTask
from tests.support.workflow_running import Queues
from workflow import common
from workflow.engine import actions, ending, running
from workflow.engine.reaper import reap
from workflow.engine.tasks import HANDLERS, handle
from workflow.pipeline import record_of

KEY = "nightly"
SEEN: list[Any] = []


@pytest.fixture(autouse=True)
def seen() -> list[Any]:
    SEEN.clear()
    return SEEN


class Fan(workflow.Pipeline):
    """Yields so many stages, after others, so that every kind of task is added."""

    def run(self, width: int, mark: str) -> Iterator[Any]:
        first = yield common.Return(mark)
        values = []
        for _ in range(width):
            values.append((yield common.List(first)))
        yield common.List(*values)

    def finalized(self) -> None:
        SEEN.append((self.args[1], self.was_aborted))


class Waits(workflow.Pipeline):
    async_ = True

    def run(self, mark: str) -> None:
        pass

    def callback(self, **fields: str) -> None:
        self.complete(f"called for {self.args[0]}")

    def try_cancel(self) -> bool:
        return True


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small workflow needs every kind of task."""
    for module, name, value in [
        (running, "DIRECT_CHILDREN", 1),
        (running, "PLAN_PAGE", 2),
        (running.lifecycle, "INLINE_WAITING", 0),
        (running.lifecycle, "MOST_LOOKS", 1),
        (ending, "ABORT_PAGE", 2),
        (ending, "CLEANUP_PAGES", 1),
    ]:
        monkeypatch.setattr(module, name, value)


class Recorder:
    """Keeps every task that a workflow has added."""

    def __init__(self, queues: Queues, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tasks: list[StoredTask] = []
        call = queues.runner.call

        def kept(task: StoredTask) -> Any:
            self.tasks.append(task)
            return call(task)

        monkeypatch.setattr(queues.runner, "call", kept)

    def fields(self, handler: str) -> list[dict[str, str]]:
        """What the tasks of a handler say."""
        return [
            dict(parse_qsl(task.payload.decode()))
            for task in self.tasks
            if task.request is not None and task.request.url.endswith(f"/{handler}")
        ]


def incarnation_of(stage: workflow.Pipeline) -> str:
    return record_of(stage).incarnation


def clean_up(queues: Queues, stage: workflow.Pipeline) -> None:
    stage.cleanup()
    queues.drain()
    assert queues.engine.record(KEY) is None


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("progress", [0, 1, 3, 30])
@pytest.mark.parametrize("handler", sorted(HANDLERS))
def test_a_late_task_of_every_kind(
    queues: Queues, monkeypatch: pytest.MonkeyPatch, handler: str, progress: int
) -> None:
    """However far the second workflow is, it ends as if the task had not come."""
    recorder = Recorder(queues, monkeypatch)
    for is_aborted in (False, True):
        first = Fan(3, "first")
        first.start(idempotence_key=KEY)
        if is_aborted:
            for _ in range(6):
                queues.runner.step()
            first.abort("by hand")
        queues.drain()
        clean_up(queues, first)
    late = recorder.fields(handler)
    assert late
    SEEN.clear()
    second = Fan(3, "second")
    second.start(idempotence_key=KEY)
    for _ in range(progress):
        queues.runner.step()
    for fields in late:
        handle(queues.engine, handler, fields)
    queues.drain()
    queues.check_done(second)
    assert queues.now(second).outputs.default.value == [["second"]] * 3
    assert SEEN == [("second", False)]


def test_a_late_start(queues: Queues) -> None:
    """A task of the first workflow does not start one that is to start later."""
    first = common.Return(1)
    task = first.start(idempotence_key=KEY, return_task=True)
    clean_up(queues, first)
    common.Return(2).start(idempotence_key=KEY, countdown=60)
    assert task is not None
    task.add()
    queues.runner.step()
    record = queues.engine.record(KEY)
    assert record is not None
    assert record.status == "waiting"


ACTS: dict[str, Callable[[Any], Any]] = {
    "complete": lambda stage: stage.complete("late"),
    "fill": lambda stage: stage.fill("default", "late"),
    "abort": lambda stage: stage.abort("late"),
    "retry": lambda stage: stage.retry("late"),
    "cleanup": lambda stage: stage.cleanup(),
    "set_status": lambda stage: stage.set_status("late"),
    "callback": lambda stage: stage.get_callback_task().add("default"),
}


@pytest.mark.parametrize("act", list(ACTS))
def test_what_a_late_object_does(queues: Queues, act: str) -> None:
    first = Waits("first")
    first.start(idempotence_key=KEY)
    queues.drain()
    old = queues.now(first)
    clean_up(queues, first)
    second = Waits("second")
    second.start(idempotence_key=KEY)
    queues.runner.step()
    before = queues.tree(second)
    ACTS[act](old)
    queues.drain()
    assert queues.tree(second) == before
    queues.now(second).get_callback_task().add("default")
    queues.drain()
    assert queues.now(second).outputs.default.value == "called for second"


class RunsLong(workflow.Pipeline):
    """Its first workflow is deleted, and another one started, while it runs."""

    def run(self, mark: str) -> Any:
        SEEN.append(mark)
        if mark == "first":
            ending.cleanup(SEEN[0], KEY, incarnation_of(self))
            RunsLong("second").start(idempotence_key=KEY, countdown=60)
        yield common.Return(mark)


def test_a_run_that_ends_after_its_workflow(queues: Queues) -> None:
    SEEN.append(queues.engine)
    RunsLong("first").start(idempotence_key=KEY)
    queues.drain()
    found = workflow.Pipeline.from_id(KEY)
    assert (found.args, found.outputs.default.value) == (["second"], "second")


@pytest.mark.parametrize("depth", ["root", "child"])
def test_a_delay_in_the_second_workflow(queues: Queues, depth: str) -> None:
    """The queue remembers the names of tasks, so the two delays need different ones."""
    for _ in range(2):
        stage = common.Delay(seconds=30) if depth == "root" else Sleeps()
        stage.start(idempotence_key=KEY)
        queues.drain()
        assert queues.now(stage).outputs.default.value == 30
        clean_up(queues, stage)


class Sleeps(workflow.Pipeline):
    def run(self) -> Iterator[Any]:
        yield common.Delay(seconds=30)


def test_a_late_delay(queues: Queues) -> None:
    """The first workflow's delay does not end the second one's."""
    first = common.Delay(seconds=30)
    first.start(idempotence_key=KEY)
    queues.runner.step()
    ending.cleanup(queues.engine, KEY, incarnation_of(first))
    second = common.Delay(seconds=60)
    second.start(idempotence_key=KEY)
    queues.runner.step()
    queues.clock.move(31)
    queues.runner.step()
    assert not queues.now(second).outputs.default.filled
    queues.drain()
    assert queues.now(second).outputs.default.value == 60


class FailsOnce(workflow.Pipeline):
    def run(self, mark: str) -> str:
        if mark == "first" and self.current_attempt == 1:
            raise workflow.Retry("not yet")
        return mark


def swapped(queues: Queues, monkeypatch: pytest.MonkeyPatch, second: workflow.Pipeline) -> None:
    """Replace the workflow by a later one just before the next transaction."""
    transact = queues.engine.transact

    def swap(step: Any) -> Any:
        monkeypatch.undo()
        old = queues.engine.record(KEY)
        assert old is not None
        ending.cleanup(queues.engine, KEY, old.incarnation)
        second.start(idempotence_key=KEY, countdown=60)
        return transact(step)

    monkeypatch.setattr(queues.engine, "transact", swap)


def fails(queues: Queues) -> None:
    FailsOnce("first").start(idempotence_key=KEY)
    queues.runner.step()


def is_aborted(queues: Queues) -> None:
    first = Waits("first")
    first.start(idempotence_key=KEY)
    queues.runner.step()
    queues.engine.abort_root(KEY, "by hand")


def is_over(queues: Queues) -> None:
    common.Return("first").start(idempotence_key=KEY)
    queues.drain()


SEEN_BEFORE: dict[str, tuple[Callable[[Queues], None], Callable[[Queues], Any]]] = {
    "reap what is over": (is_over, lambda queues: reap(queues.engine)),
    "reap what is aborted": (is_aborted, lambda queues: reap(queues.engine)),
    "abort": (fails, lambda queues: actions.abort(queues.engine, KEY)),
    "clean up": (is_over, lambda queues: actions.cleanup(queues.engine, KEY)),
    "retry": (fails, lambda queues: actions.retry(queues.engine, KEY)),
}


@pytest.mark.parametrize("name", list(SEEN_BEFORE))
def test_what_was_seen_of_the_first_workflow_does_nothing_to_the_second(
    queues: Queues, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The second begins between the look at the first and the transaction that acts."""
    first, act = SEEN_BEFORE[name]
    first(queues)
    second = FailsOnce("second")
    swapped(queues, monkeypatch, second)
    with suppress(actions.RefusedError):
        act(queues)
    record = queues.engine.record(KEY)
    assert record is not None
    assert record.incarnation == incarnation_of(second)
    assert record.is_open
    assert not record.abort_requested
    assert record.task is not None
    due = queues.engine.service.store.get(*record.task.split("/", 1)).due
    assert due > queues.engine.service.now()  # it was not sent at once
    queues.drain()
    assert queues.now(second).outputs.default.value == "second"
