"""Random workflows give what plain evaluation gives, whatever their deliveries and deaths."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import taskqueue
import workflow
from dfpipe.datastore import connect
from tests.support.taskqueues import Clock, make_service
from tests.support.workflow_faults import PROCESS, Deliveries, MortalClient
from tests.support.workflow_trees import (
    Tree,
    count,
    evaluate,
    outputs_of,
    spared,
    stage_of,
    trees,
)
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


ALONE: Tree = {"takes": [], "after": [], "in_order": ""}  # a child that waits for no other


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
        is_killed = self.operations in self.kill_at or self.rng.random() < self.kill_rate
        PROCESS.number += is_killed
        return is_killed

    def check(self, tree: Tree, root: workflow.Pipeline) -> None:
        """Check that all is as plain evaluation gives it, and that nothing else is stored."""
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
        """Delete the workflow, and check that nothing is left of it."""
        rate, self.kill_rate = self.kill_rate, 0.0
        root.cleanup()
        self.kill_rate = rate
        self.deliveries.run()
        assert {kind: self.stored(kind) for kind in model.KINDS} == dict.fromkeys(model.KINDS, 0)

    def stored(self, kind: str) -> int:
        return sum(1 for _ in self.engine.client.query(kind=kind).fetch())


def run_tree(client: Any, tree: Tree, seed: int, kill_rate: float) -> None:
    run = Run(client, seed)
    run_once(run, tree, kill_rate)


def run_once(run: Run, tree: Tree, kill_rate: float, key: str = "") -> None:
    """Run a workflow to its end, check it and delete it."""
    root = stage_of(tree)
    root.start(idempotence_key=key)
    run.kill_rate = kill_rate
    run.deliveries.run()
    run.kill_rate = 0.0
    run.check(tree, root)
    run.kill_rate = kill_rate
    run.clean_up(root)
    run.kill_rate = 0.0


@settings(max_examples=100)
@given(
    trees(),
    st.integers(0, 2**32),
    st.sampled_from([0.0, 0.05, 0.2]),
    st.sampled_from([0.0, 0.0, 0.2]),
)
def test_random_workflows_on_the_embedded_store(
    tmp_path_factory: pytest.TempPathFactory,
    tree: Tree,
    seed: int,
    kill_rate: float,
    set_back: float,
) -> None:
    client = connect(f"sqlite:///{tmp_path_factory.mktemp('store')}/store.db")
    run = Run(client, seed)
    run.deliveries.set_back = set_back
    run_once(run, tree, kill_rate)
    client.close()


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes in pages or parts needs more than one of them."""
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
def test_random_workflows_that_are_deleted_as_they_run(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Nothing is left of them, and their late tasks leave a second one alone."""

    @settings(max_examples=50)
    @given(*[trees(2)] * 2, st.integers(0, 2**32), st.integers(0, 40), st.sampled_from([0.0, 0.05]))
    def check(first: Tree, second: Tree, seed: int, deliveries: int, kill_rate: float) -> None:
        client = connect(f"sqlite:///{tmp_path_factory.mktemp('store')}/store.db")
        run = Run(client, seed)
        run.deliveries.set_back = 0.1
        root = stage_of(first)
        root.start(idempotence_key="nightly")
        run.kill_rate = kill_rate
        run.deliveries.run(deliveries)
        run.clean_up(root)
        run.deliveries.late = list(run.deliveries.seen.values())
        run.kill_rate = 0.0
        run_once(run, second, kill_rate, "nightly")
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


@pytest.fixture(params=["embedded", "emulator"])
def new_client(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Any]:
    """Makes clients of empty stores."""
    if request.param == "embedded":
        return lambda: connect(f"sqlite:///{tmp_path_factory.mktemp('store')}/store.db")
    emulator = request.getfixturevalue("datastore_emulator")
    url = request.getfixturevalue("emulator_url")

    def made() -> Any:
        emulator.reset()
        return connect(url)

    return made


@pytest.fixture
def mortal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kill ends the process that runs stages; another one takes over."""
    PROCESS.install(monkeypatch)


@pytest.mark.usefixtures("mortal")
def test_stages_that_end_their_process(new_client: Callable[[], Any]) -> None:
    """Where other deaths count against stages, too, they have attempts to spare."""

    @settings(max_examples=25)
    @given(trees(2, are_deadly=True), st.integers(0, 2**32), st.sampled_from([0.0, 0.05]))
    def check(tree: Tree, seed: int, kill_rate: float) -> None:
        PROCESS.deaths.clear()
        run_tree(new_client(), spared(tree, 100 if kill_rate else 0), seed, kill_rate)

    check()


@pytest.mark.usefixtures("mortal")
def test_a_stage_that_always_ends_its_process(new_client: Callable[[], Any]) -> None:
    """The workflow is aborted for that reason, however its other stages fare."""

    @settings(max_examples=25)
    @given(trees(2, are_deadly=True), st.integers(0, 2**32), st.data())
    def check(tree: Tree, seed: int, data: st.DataObject) -> None:
        PROCESS.deaths.clear()
        doomed = data.draw(st.sampled_from(list(stages_of(tree))))
        run = Run(new_client(), seed)
        # Four attempts, each of which ends its process at once.
        doomed |= {"number": 0, "fails": 0, "dies": 1_000, "spare": 3 - 1_000}
        root = stage_of(tree)
        root.start()
        run.deliveries.run()
        found = get_status_tree(str(root.pipeline_id))["pipelines"]
        assert max(PROCESS.deaths.values()) == 4
        if found[root.pipeline_id]["status"] == "done":
            # It waits for the outputs of its children, and not for what is below these.
            assert not any(each is doomed for each in waited_for(tree))
            failed = str(run.engine.record(str(root.pipeline_id)).failed)
            assert lifecycle.DIED in found[failed]["lastRetryMessage"]
            run.clean_up(root)
            return
        assert found[root.pipeline_id]["status"] == "aborted"
        assert lifecycle.DIED in found[root.pipeline_id]["abortMessage"]
        assert {about["status"] for about in found.values()} <= {"done", "aborted"}
        assert all("endTimeMs" in about for about in found.values())
        run.clean_up(root)

    check()


@pytest.mark.usefixtures("mortal")
def test_a_workflow_is_done_without_a_stage_below_its_children(
    new_client: Callable[[], Any],
) -> None:
    """The record of the root names the stage that has failed."""
    PROCESS.deaths.clear()
    run = Run(new_client(), 0)
    doomed = stage("sync") | {"dies": 1_000, "spare": 3 - 1_000}
    children = [{"tree": each, **ALONE} for each in (doomed, stage("sync"))]
    below = stage("generator") | {"children": children}
    root = stage_of(stage("generator") | {"children": [{"tree": below, **ALONE}]})
    root.start()
    run.deliveries.run()
    found = get_status_tree(str(root.pipeline_id))["pipelines"]
    assert found[root.pipeline_id]["status"] == "done"
    failed = str(run.engine.record(str(root.pipeline_id)).failed)
    assert (found[failed]["status"], found[failed]["currentAttempt"]) == ("aborted", 4)
    assert found[failed]["lastRetryMessage"] == lifecycle.DIED
    run.clean_up(root)


def stage(kind: str) -> Tree:
    return {"kind": kind, "number": 0, "fails": 0, "named": False, "fills_left": False}


def waited_for(tree: Tree) -> list[Tree]:
    """The stages without which a workflow cannot be done: the root and its children."""
    return [tree, *(child["tree"] for child in tree.get("children", ()))]


def stages_of(tree: Tree) -> Iterator[Tree]:
    yield tree
    for child in tree.get("children", ()):
        yield from stages_of(child["tree"])


@pytest.mark.usefixtures("mortal")
def test_a_second_workflow_with_the_same_key(new_client: Callable[[], Any]) -> None:
    """Late tasks of the first one, done or aborted, do nothing to it."""

    @settings(max_examples=25)
    @given(
        *[trees(2, are_deadly=True)] * 2,
        st.integers(0, 2**32),
        st.sampled_from([None, 0, 3, 20]),
        st.sampled_from([0.0, 0.05]),
    )
    def check(
        first: Tree, second: Tree, seed: int, aborted_after: int | None, kill_rate: float
    ) -> None:
        PROCESS.deaths.clear()
        spare = 100 if kill_rate else 0
        run = Run(new_client(), seed)
        if aborted_after is None:
            run_once(run, spared(first, spare), kill_rate, "nightly")
        else:
            abort_after(run, spared(first, spare), aborted_after, "nightly")
        run.deliveries.late = list(run.deliveries.seen.values())
        run_once(run, spared(second, spare), kill_rate, "nightly")

    check()


def abort_after(run: Run, tree: Tree, deliveries: int, key: str) -> None:
    """Abort a workflow after so many deliveries, and delete it."""
    root = stage_of(tree)
    root.start(idempotence_key=key)
    run.deliveries.run(deliveries)
    root.abort("enough")
    run.deliveries.run()
    run.clean_up(root)


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
