"""Random workflows end as plain evaluation does, however their tasks are delivered and killed."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import taskqueue
import workflow
from dfpipe.datastore import connect
from tests.support.taskqueues import Clock, make_service
from tests.support.workflow_faults import Deliveries, MortalClient
from tests.support.workflow_trees import Tree, count, evaluate, outputs_of, stage_of, trees
from workflow.engine import ending, large, lifecycle, model, running
from workflow.engine.engine import Engine
from workflow.web.status import get_status_tree

# A tree with one of each: a named generator that fills one output itself and leaves the other to
# its last stage, an asynchronous stage, one that fails once, After and InOrder.
LEAF = {"kind": "sync", "number": 7, "fails": 0, "named": False, "fills_left": False}
WHOLE: Tree = {
    **LEAF,
    "kind": "generator",
    "named": True,
    "fills_left": True,
    "children": [
        {"tree": {**LEAF, "fails": 1}, "takes": [], "after": [], "in_order": ""},
        {
            "tree": {**LEAF, "kind": "async", "named": True},
            "takes": [[0, "default"]],
            "after": [],
            "in_order": "first",
        },
        {
            "tree": {
                **LEAF,
                "kind": "generator",
                "children": [{"tree": LEAF, "takes": [[-1, 0]], "after": [], "in_order": ""}],
            },
            "takes": [[1, "left"]],
            "after": [0],
            "in_order": "",
        },
        {
            "tree": {**LEAF, "named": True},
            "takes": [[2, "default"], [1, "right"]],
            "after": [],
            "in_order": "",
        },
    ],
}


@pytest.fixture(autouse=True)
def unbound() -> Iterator[None]:
    yield
    taskqueue.bind(None)


class Run:
    """One workflow on a client that may be killed."""

    def __init__(self, client: Any, seed: int, again: float = 0.2) -> None:
        self.rng = random.Random(seed)
        self.operations = 0
        self.kill_at: set[int] = set()
        self.kill_rate = 0.0
        self.clock = Clock()
        mortal = MortalClient(client, self.is_killed)
        self.engine = Engine(make_service(mortal, self.clock))
        taskqueue.bind(self.engine.service)
        self.deliveries = Deliveries(self.engine, self.clock, self.rng, again)

    def is_killed(self) -> bool:
        self.operations += 1
        return self.operations in self.kill_at or self.rng.random() < self.kill_rate

    def check(self, tree: Tree, root: workflow.Pipeline) -> None:
        """All is as plain evaluation gives it, and nothing is left open or besides."""
        expected = evaluate(tree, [])
        self.engine.resolve(root.outputs)
        assert {slot.name: slot.value for slot in root.outputs} == {
            name: expected[name] for name in outputs_of(tree)
        }
        found = get_status_tree(str(root.pipeline_id))
        assert {about["status"] for about in found["pipelines"].values()} == {"done"}
        assert {slot["status"] for slot in found["slots"].values()} == {"filled"}
        assert len(found["pipelines"]) == count(tree)
        assert self.stored(model.PIPELINE) == count(tree)
        barriers = self.engine.client.query(kind=model.BARRIER).fetch()
        assert all("trigger_time" in barrier for barrier in barriers)

    def clean_up(self, root: workflow.Pipeline) -> None:
        """Nothing is left of it."""
        rate, self.kill_rate = self.kill_rate, 0.0
        root.cleanup()
        self.kill_rate = rate
        self.deliveries.run()
        assert {kind: self.stored(kind) for kind in model.KINDS} == dict.fromkeys(model.KINDS, 0)

    def stored(self, kind: str) -> int:
        return sum(1 for _ in self.engine.client.query(kind=kind).fetch())


def run_tree(client: Any, tree: Tree, seed: int, kill_rate: float) -> None:
    run = Run(client, seed)
    root = stage_of(tree)
    root.start()
    run.kill_rate = kill_rate
    run.deliveries.run()
    run.kill_rate = 0.0
    run.check(tree, root)
    run.kill_rate = kill_rate
    run.clean_up(root)


@settings(max_examples=100)
@given(trees(), st.integers(0, 2**32), st.sampled_from([0.0, 0.05, 0.2]))
def test_random_workflows_on_the_embedded_store(
    tmp_path_factory: pytest.TempPathFactory, tree: Tree, seed: int, kill_rate: float
) -> None:
    client = connect(f"sqlite:///{tmp_path_factory.mktemp('store')}/store.db")
    run_tree(client, tree, seed, kill_rate)
    client.close()


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that comes in pages or parts does so from the second on."""
    for module, name, value in [
        (running, "DIRECT_CHILDREN", 1),
        (running, "PLAN_PAGE", 2),
        (running, "WAITING_STEP", 1),
        (lifecycle, "INLINE_WAITING", 0),
        (lifecycle, "PAGE_WAITING", 2),
        (lifecycle, "LOOKED_AT_ONCE", 2),
        (lifecycle, "MOST_LOOKS", 1),
        (ending, "ABORT_PAGE", 2),
        (ending, "CLEANUP_PAGE", 2),
        (ending, "CLEANUP_PAGES", 3),
        (large, "LARGEST_INLINE", 60),
        (large, "PART_BYTES", 50),
    ]:
        monkeypatch.setattr(module, name, value)


@pytest.mark.usefixtures("small_pages")
def test_random_workflows_in_small_pages(tmp_path_factory: pytest.TempPathFactory) -> None:
    @settings(max_examples=50)
    @given(trees(2), st.integers(0, 2**32), st.sampled_from([0.0, 0.05]))
    def check(tree: Tree, seed: int, kill_rate: float) -> None:
        client = connect(f"sqlite:///{tmp_path_factory.mktemp('store')}/store.db")
        run_tree(client, tree, seed, kill_rate)
        client.close()

    check()


@pytest.mark.usefixtures("small_pages")
def test_random_workflows_that_are_aborted(tmp_path_factory: pytest.TempPathFactory) -> None:
    @settings(max_examples=50)
    @given(trees(2), st.integers(0, 2**32), st.integers(0, 20), st.sampled_from([0.0, 0.05]))
    def check(tree: Tree, seed: int, deliveries: int, kill_rate: float) -> None:
        client = connect(f"sqlite:///{tmp_path_factory.mktemp('store')}/store.db")
        run = Run(client, seed)
        root = stage_of(tree)
        root.start()
        run.deliveries.run(deliveries)
        is_aborted = root.abort("enough")
        run.kill_rate = kill_rate
        run.deliveries.run()
        run.kill_rate = 0.0
        found = get_status_tree(str(root.pipeline_id))["pipelines"]
        assert {about["status"] for about in found.values()} <= {"done", "aborted"}
        assert all("endTimeMs" in about for about in found.values())
        assert len(found) == run.stored(model.PIPELINE)
        if is_aborted and tree["kind"] != "async":
            assert found[root.pipeline_id]["abortMessage"] == "enough"
        client.close()

    check()


def test_random_workflows_on_the_emulator(datastore_emulator: Any, emulator_url: str) -> None:
    @settings(max_examples=15)
    @given(trees(2), st.integers(0, 2**32), st.sampled_from([0.0, 0.1]))
    def check(tree: Tree, seed: int, kill_rate: float) -> None:
        datastore_emulator.reset()
        run_tree(connect(emulator_url), tree, seed, kill_rate)

    check()


@given(trees())
def test_test_mode_gives_the_same(tree: Tree) -> None:
    root = stage_of(tree)
    root.start_test()
    expected = evaluate(tree, [])
    assert {s.name: s.value for s in root.outputs} == {n: expected[n] for n in outputs_of(tree)}


def test_a_kill_at_every_operation(tmp_path: Any) -> None:
    def attempt(kill_at: int) -> int:
        client = connect(f"sqlite:///{tmp_path}/{kill_at}.db")
        run = Run(client, seed=1, again=0.0)
        root = stage_of(WHOLE)
        root.start()
        run.operations = 0
        run.kill_at = {kill_at}
        run.deliveries.run()
        run.kill_at = set()
        run.check(WHOLE, root)
        client.close()
        return run.deliveries.kills

    at = 1
    while attempt(at):
        at += 1
    assert at > 50
