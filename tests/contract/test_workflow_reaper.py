"""Stages whose tasks were lost or given up do not wait for ever, alike on both stores."""

import importlib
import sys
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest

import taskqueue
import workflow
from tests.support.taskqueues import Clock, make_service
from workflow import common, registry
from workflow.engine import model
from workflow.engine.ending import abort_one
from workflow.engine.engine import Engine
from workflow.engine.local import LocalRunner
from workflow.engine.reaper import reap
from workflow.web.status import get_status_tree

YAML = """
queue:
- name: default
  rate: 5/s
  retry_parameters:
    task_retry_limit: 1
    min_backoff_seconds: 1
"""


class One(workflow.Pipeline):
    def run(self, number: int) -> int:
        return number + 1


class Many(workflow.Pipeline):
    def run(self, number: int) -> Iterator[Any]:
        last = 0
        for _ in range(number):
            last = yield One(last)


class Wide(workflow.Pipeline):
    def run(self, number: int) -> Iterator[Any]:
        for at in range(number):
            yield One(at)


class Broken(workflow.Pipeline):
    """Takes its server with it, so that the queue alone sees that it fails."""

    def run(self) -> None:
        raise RuntimeError("the machine is on fire")


class Slow(workflow.Pipeline):
    """Tried again after its root is over, which does not wait for it."""

    def run(self) -> int:
        if self.current_attempt == 1:
            raise workflow.Retry("not yet")
        return 1


class Leaves(workflow.Pipeline):
    def run(self) -> Iterator[Any]:
        yield Slow()
        yield One(1)


class Root(workflow.Pipeline):
    def run(self) -> Iterator[Any]:
        yield Leaves()


class EndsBadly(workflow.Pipeline):
    def run(self) -> int:
        return 1

    def finalized(self) -> None:
        raise RuntimeError("no mail server")


class Calls(workflow.Pipeline):
    async_ = True

    def run(self) -> None:
        pass

    def callback(self) -> None:
        self.complete("called")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def engine(client: Any, clock: Clock) -> Iterator[Engine]:
    service = make_service(client, clock, YAML)
    taskqueue.bind(service)
    yield Engine(service)
    taskqueue.bind(None)


def drain(engine: Engine, clock: Clock, steps: int = 1000) -> None:
    runner = LocalRunner(engine)
    for _ in range(steps):
        if not runner.step():
            due = runner.next_due()
            if due is None:
                return
            clock.move(max(0, due - engine.service.now()) / 1_000_000)


def about(stage: workflow.Pipeline) -> Any:
    return get_status_tree(str(stage.pipeline_id))["pipelines"][stage.pipeline_id]


def outcome(stage: workflow.Pipeline) -> Any:
    found = type(stage).from_id(str(stage.pipeline_id))
    return found.outputs.default.value


def test_nothing_is_done_where_nothing_is_lost(engine: Engine, clock: Clock) -> None:
    many = Many(3)
    many.start()
    calls = Calls()
    calls.start()
    for _ in range(4):
        LocalRunner(engine).step()
        assert +reap(engine) == {}
    drain(engine, clock)
    assert +reap(engine) == {}
    assert outcome(many) == 3
    Calls.from_id(str(calls.pipeline_id)).callback()
    drain(engine, clock)
    assert outcome(calls) == "called"


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
@pytest.mark.parametrize("make", [lambda: Many(3), lambda: Wide(25)], ids=["chain", "fan-out"])
def test_a_queue_that_was_purged(engine: Engine, clock: Clock, make: Any, steps: int) -> None:
    stage = make()
    stage.start()
    for _ in range(steps):
        LocalRunner(engine).step()
    taskqueue.Queue("default").purge()
    is_open = not about(stage).get("endTimeMs")
    assert bool(+reap(engine)) == is_open
    drain(engine, clock)
    assert about(stage)["status"] == "done"
    assert +reap(engine) == {}


def test_a_stage_that_its_queue_gives_up(engine: Engine, clock: Clock) -> None:
    class Parent(workflow.Pipeline):
        def run(self) -> Iterator[Any]:
            broken = Broken()
            broken.task_retry = True
            value = yield broken
            yield One(value)

    parent = Parent()
    parent.start()
    drain(engine, clock)
    assert about(parent)["status"] == "run"
    assert +reap(engine) == {"aborted": 1}
    drain(engine, clock)
    tree = get_status_tree(str(parent.pipeline_id))["pipelines"]
    assert [stage["status"] for stage in tree.values()] == ["aborted"] * 3
    assert "was given up by queue default" in about(parent)["abortMessage"]
    (broken,) = (stage for stage in tree.values() if stage["classPath"].endswith("Broken"))
    assert "its task was given up" in broken["lastRetryMessage"]
    assert +reap(engine) == {}


def test_a_stage_whose_end_fails(engine: Engine, clock: Clock) -> None:
    stage = EndsBadly()
    stage.start()
    drain(engine, clock)
    assert about(stage)["status"] == "done"
    told = "finalized() failed, attempt 3 of 3: RuntimeError: no mail server"
    assert about(stage)["lastRetryMessage"] == told
    assert outcome(stage) == 1
    assert +reap(engine) == {}


def test_a_stage_whose_end_is_given_up(
    engine: Engine, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue gives it up where no server that has the class answers."""
    stage = EndsBadly()
    stage.start()
    LocalRunner(engine).step()
    missing = registry.MissingClassError("it cannot be imported")
    with monkeypatch.context() as patch:
        patch.setattr(registry, "find", Mock(side_effect=missing))
        drain(engine, clock)
    assert about(stage)["status"] == "finalizing"
    assert +reap(engine) == {"ended": 1}
    assert about(stage)["status"] == "done"
    assert "finalized() was given up" in about(stage)["lastRetryMessage"]
    assert outcome(stage) == 1


def test_a_class_that_is_missing_and_comes_back(
    engine: Engine, clock: Clock, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "a_late_module.py"
    source = "import workflow\nclass Late(workflow.Pipeline):\n    def run(self): return 'here'\n"
    module.write_text(source)
    stage = importlib.import_module("a_late_module").Late()
    stage.start()
    monkeypatch.setattr(registry, "_classes", dict(registry._classes))
    del registry._classes["a_late_module.Late"]
    monkeypatch.delitem(sys.modules, "a_late_module")
    module.rename(tmp_path / "gone.py")
    LocalRunner(engine).step()
    shown = about(stage)
    assert (shown["status"], shown["currentAttempt"]) == ("waiting", 1)
    assert "a_late_module.Late cannot be imported: No module named" in shown["lastRetryMessage"]
    (tmp_path / "gone.py").rename(module)
    drain(engine, clock)
    assert outcome(stage) == "here"
    assert "lastRetryMessage" not in about(stage)


def _root_that_is_over(engine: Engine, clock: Clock) -> Root:
    """A workflow of which the root is over and a stage is not: it waits for its next attempt."""
    root = Root()
    root.start()
    runner = LocalRunner(engine)
    while runner.step():
        clock.move(0)
    assert about(root)["status"] == "done"
    assert "retry" in states(root)
    return root


def states(root: workflow.Pipeline) -> set[str]:
    tree = get_status_tree(str(root.pipeline_id))["pipelines"]
    return {stage["status"] for stage in tree.values()}


def test_a_stage_that_is_lost_after_its_root_is_over(engine: Engine, clock: Clock) -> None:
    root = _root_that_is_over(engine, clock)
    assert +reap(engine) == {}
    taskqueue.Queue("default").purge()
    assert +reap(engine) == {"resumed": 1}
    drain(engine, clock)
    assert states(root) == {"done"}
    assert +reap(engine) == {}
    is_open = engine.client.get(engine.client.key(model.PIPELINE, root.pipeline_id))["is_open"]
    assert is_open is False


def test_an_abort_that_is_lost_after_its_root_is_over(engine: Engine, clock: Clock) -> None:
    root = Root()
    root.start()
    LocalRunner(engine).step()
    LocalRunner(engine).step()
    engine.abort_root(str(root.pipeline_id), "enough")
    record = engine.record(str(root.pipeline_id))
    assert record is not None
    abort_one(engine, record)
    taskqueue.Queue("default").purge()
    assert about(root)["endTimeMs"]
    assert states(root) != {"aborted"}
    reap(engine)
    drain(engine, clock)
    assert not states(root) & {"waiting", "run", "retry"}


class Stuck(workflow.Pipeline):
    """Runs, and would be completed by nobody; what began it fails."""

    async_ = True

    def run(self) -> None:
        raise RuntimeError("the machine is on fire")


class StuckLast(workflow.Pipeline):
    def run(self) -> Iterator[Any]:
        broken = Broken()
        broken.task_retry = True
        yield broken
        yield One(1)


class OverStuck(workflow.Pipeline):
    def run(self) -> Iterator[Any]:
        yield StuckLast()


def test_a_stage_that_is_given_up_after_its_root_is_over(engine: Engine, clock: Clock) -> None:
    root = OverStuck()
    root.start()
    drain(engine, clock)
    assert states(root) > {"done"}
    assert +reap(engine) == {"aborted": 1}
    tree = get_status_tree(str(root.pipeline_id))["pipelines"]
    (broken,) = (stage for stage in tree.values() if stage["classPath"].endswith("Broken"))
    assert broken["status"] == "aborted"
    assert "its task was given up" in broken["lastRetryMessage"]


def test_an_asynchronous_stage_that_is_given_up(engine: Engine, clock: Clock) -> None:
    stuck = Stuck()
    stuck.task_retry = True
    stuck.start()
    drain(engine, clock)
    assert states(stuck) == {"run"}
    assert +reap(engine) == {"aborted": 1}
    drain(engine, clock)
    assert states(stuck) == {"aborted"}
    assert +reap(engine) == {}


@pytest.mark.parametrize("how", ["lost", "given up"])
def test_a_delay_whose_task_is_lost(engine: Engine, clock: Clock, how: str) -> None:
    stage = common.Delay(seconds=600)
    stage.start()
    LocalRunner(engine).step()
    if how == "lost":
        taskqueue.Queue("default").purge()
    clock.move(599)
    assert +reap(engine) == {}
    clock.move(100)
    if how == "given up":
        drain(engine, clock)  # nobody answers callbacks here
    assert +reap(engine) == {"resumed": 1}
    drain(engine, clock)
    assert outcome(stage) == 600
    assert +reap(engine) == {}


def test_a_workflow_that_cannot_be_looked_at_does_not_stop_others(engine: Engine) -> None:
    broken, sound = common.Return("x" * 200_000), One(1)
    for stage in (broken, sound):
        stage.start()
    parts = engine.client.query(kind=model.PART)
    parts.keys_only()
    engine.client.delete_multi([entity.key for entity in parts.fetch()])
    taskqueue.Queue("default").purge()
    assert +reap(engine) == {"failed": 1, "resumed": 1}
