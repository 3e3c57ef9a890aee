"""Running a workflow to its end in three ways: with tasks on each of the stores, in test mode."""

import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

import pytest

import taskqueue
import workflow
from dfpipe.datastore import connect
from taskqueue.storage.record import StoredTask
from tests.support.taskqueues import Clock, make_service
from workflow.engine import model
from workflow.engine.engine import Engine
from workflow.engine.local import LocalRunner
from workflow.pipeline import INCARNATION_HEADER
from workflow.web.status import get_status_tree

TEST_MODE = "test-mode"
MOST_STEPS = 1_000
YAML = """
queue:
- name: default
  rate: 5/s
- name: other
  rate: 5/s
"""


class Queues:
    """Workflows on queues of a store, whose tasks are taken in any order."""

    is_test = False

    def __init__(self, client: Any, seed: int = 7) -> None:
        self.client = client
        self.clock = Clock()
        self.engine = Engine(make_service(client, self.clock, YAML))
        workflow.bind(self.engine)
        taskqueue.bind(self.engine.service)
        self.runner = LocalRunner(self.engine, self.callback, random.Random(seed))

    def callback(self, task: StoredTask) -> int:
        """What the handler of /callback does."""
        assert task.request is not None
        fields = dict(parse_qsl(task.payload.decode()))
        incarnation = dict(task.request.headers).get(INCARNATION_HEADER)
        stage = self.engine.stage(
            fields.pop("pipeline_id"), resolve_outputs=False, incarnation=incarnation
        )
        if stage is not None:
            stage.callback(**fields)
        return 200

    def drain(self) -> None:
        """Handle all tasks, those that are due later too."""
        for _ in range(MOST_STEPS):
            if self.runner.step():
                continue
            due = self.runner.next_due()
            if due is None:
                return
            self.clock.move(max(0, due - self.engine.service.now()) / 1_000_000)
        raise AssertionError("the workflow does not come to an end")

    def tree(self, stage: workflow.Pipeline) -> Any:
        """All its stages, by their ids."""
        return get_status_tree(str(stage.pipeline_id))

    def about(self, stage: workflow.Pipeline) -> Any:
        """The status of one stage."""
        return self.tree(stage)["pipelines"][stage.pipeline_id]

    def now(self, stage: workflow.Pipeline) -> Any:
        """The stage as it is stored now."""
        return type(stage).from_id(str(stage.pipeline_id))

    def run(self, stage: workflow.Pipeline, **kwargs: Any) -> Any:
        """Run a workflow that ends well; nothing of it is left open."""
        stage.start(**kwargs)
        self.drain()
        self.check_done(stage)
        return self.now(stage)

    def check_done(self, stage: workflow.Pipeline) -> None:
        """Every slot is filled, every barrier has fired, every stage is done."""
        found = self.tree(stage)
        states = {about["status"] for about in found["pipelines"].values()}
        assert states == {"done"}, self.messages(stage)
        assert {slot["status"] for slot in found["slots"].values()} == {"filled"}
        assert all("trigger_time" in barrier for barrier in self.stored(model.BARRIER))
        assert all(about["endTimeMs"] for about in found["pipelines"].values())

    def stored(self, kind: str) -> list[Any]:
        """All that is stored of a kind."""
        return list(self.client.query(kind=kind).fetch())

    def count(self, kind: str) -> int:
        """How many are stored of a kind."""
        query = self.client.query(kind=kind)
        query.keys_only()
        return sum(1 for _ in query.fetch())

    def messages(self, stage: workflow.Pipeline) -> list[str]:
        """Why stages were tried again or aborted."""
        found = self.tree(stage)["pipelines"].values()
        names = ("lastRetryMessage", "abortMessage")
        return [about[name] for about in found for name in names if name in about]

    def abort(self, stage: workflow.Pipeline, why: str) -> Any:
        """Run a workflow that is aborted for a reason."""
        stage.start()
        self.drain()
        found = self.tree(stage)["pipelines"].values()
        assert {about["status"] for about in found} <= {"done", "aborted"}
        assert "aborted" in {about["status"] for about in found}
        assert all(about["endTimeMs"] for about in found)
        messages = self.messages(stage)
        assert any(why in message for message in messages), messages
        return self.now(stage)


class TestMode:
    """Workflows in test mode."""

    __test__ = False
    is_test = True

    def run(self, stage: workflow.Pipeline, **kwargs: Any) -> Any:
        """Run a workflow that ends well."""
        stage.start_test(**kwargs)
        assert all(slot.filled for slot in stage.outputs)
        assert stage.has_finalized
        return stage

    def abort(self, stage: workflow.Pipeline, why: str) -> Any:
        """Run a workflow that raises, for a reason."""
        with pytest.raises(Exception) as caught:
            stage.start_test()
        assert why in f"{type(caught.value).__name__}: {caught.value}"
        return stage


@pytest.fixture
def queues(client: Any) -> Iterator[Queues]:
    """Workflows on the queues of each store."""
    yield Queues(client)
    unbind()


@pytest.fixture(params=["embedded", "emulator", TEST_MODE])
def flow(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Queues | TestMode]:
    """Workflows on the queues of each store, and in test mode."""
    if request.param == TEST_MODE:
        yield TestMode()
        return
    if request.param == "emulator":
        client = connect(request.getfixturevalue("emulator_url"))
    else:
        client = connect(f"sqlite:///{tmp_path}/store.db")
    yield Queues(client)
    client.close()
    unbind()


def unbind() -> None:
    """Forget the engine and the queues."""
    workflow.bind(None)
    taskqueue.bind(None)
