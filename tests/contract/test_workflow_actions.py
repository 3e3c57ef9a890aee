"""What a person may do to workflows, and how these stand in pages, on both stores."""

from collections.abc import Iterator
from typing import Any

import pytest

import taskqueue
import workflow
from tests.support.workflow_page import Fails, Fan, Later, Leaf, Waits
from tests.support.workflow_running import Queues
from workflow import PipelineStatusError
from workflow.engine import actions
from workflow.engine.actions import RefusedError
from workflow.errors import UnknownPipelineError
from workflow.web import status

ODD_IDS = ["", "unknown", "__x__", "x" * 2000, "\N{SNOWMAN}/start", "a/b"]
ODD_NAMES = ["empty", "unknown", "reserved", "long", "snowman", "slash"]


@pytest.fixture
def queues(client: Any) -> Iterator[Queues]:
    yield Queues(client)
    workflow.bind(None)
    taskqueue.bind(None)


def started(stage: workflow.Pipeline, queues: Queues, *, steps: int = 3) -> str:
    """The id of a workflow whose first tasks were handled."""
    stage.start()
    for _ in range(steps):
        queues.runner.step()
    return str(stage.pipeline_id)


def state(pipeline_id: str) -> str:
    return str(status.get_stages([pipeline_id])["pipelines"][pipeline_id]["status"])


# Abort and clean up


def test_abort_and_clean_up(queues: Queues) -> None:
    root = started(Later(), queues)
    with pytest.raises(RefusedError, match="abort it first"):
        actions.cleanup(queues.engine, root)
    child = status.get_stage(root)["pipelines"][root]["children"][0]
    assert actions.abort(queues.engine, child, "enough") == root
    with pytest.raises(RefusedError, match="being aborted already"):
        actions.abort(queues.engine, root)
    queues.drain()
    about = status.get_stage(root)["pipelines"][root]
    assert (about["status"], about["isOver"], about["abortMessage"]) == ("aborted", True, "enough")
    with pytest.raises(RefusedError, match="the workflow is over"):
        actions.abort(queues.engine, root)
    assert actions.cleanup(queues.engine, child) == root
    queues.drain()
    with pytest.raises(UnknownPipelineError):
        status.get_stage(root)
    assert status.get_root_list()["pipelines"] == []


# Retry


def test_a_stage_that_waits_for_its_next_attempt_is_retried_now(queues: Queues) -> None:
    root = started(Fails("full"), queues)
    about = status.get_stage(root)["pipelines"][root]
    assert (about["status"], about["currentAttempt"]) == ("retry", 2)
    assert about["nextRetryTimeMs"] > queues.engine.service.now() // 1000
    assert queues.runner.step() == 0
    actions.retry(queues.engine, root)
    assert queues.runner.step() == 1
    assert status.get_stage(root)["pipelines"][root]["currentAttempt"] == 3
    # Its former task is gone, that of the next attempt is there; after the last it is over.
    assert len(queues.engine.service.store.tasks("default", 10)) == 1
    queues.drain()
    assert state(root) == "aborted"
    with pytest.raises(RefusedError, match="run the workflow again"):
        actions.retry(queues.engine, root)


def test_an_asynchronous_stage_is_retried_if_it_can_be_cancelled(queues: Queues) -> None:
    root = started(Waits(True), queues)
    actions.retry(queues.engine, root, "once more")
    about = status.get_stage(root)["pipelines"][root]
    assert (about["status"], about["currentAttempt"]) == ("retry", 2)
    assert about["lastRetryMessage"] == "once more"
    last = started(Waits(True).with_params(max_attempts=1), queues)
    with pytest.raises(RefusedError, match="no attempt left"):
        actions.retry(queues.engine, last)
    assert state(last) == "run"
    stubborn = started(Waits(False), queues)
    with pytest.raises(RefusedError, match="does not let itself be cancelled"):
        actions.retry(queues.engine, stubborn)


def test_stages_that_cannot_be_retried(queues: Queues) -> None:
    root = started(Later(), queues)
    with pytest.raises(RefusedError, match="waits for those that it yielded"):
        actions.retry(queues.engine, root)
    leaf = status.get_stage(root)["pipelines"][root]["children"][1]
    with pytest.raises(RefusedError, match="waits for others"):
        actions.retry(queues.engine, leaf)
    done = started(Leaf(1), queues)
    with pytest.raises(RefusedError, match="the stage is over"):
        actions.retry(queues.engine, done)
    actions.abort(queues.engine, root)
    with pytest.raises(RefusedError, match="is aborted"):
        actions.retry(queues.engine, leaf)


# Run again


def test_a_workflow_is_run_again_with_its_arguments_and_settings(queues: Queues) -> None:
    first = Fan(3, note="kept", secret_word="hidden").with_params(
        max_attempts=5, backoff_seconds=7, target="other"
    )
    first.start(queue_name="other")
    queues.drain()
    child = status.get_stage(str(first.pipeline_id))["pipelines"][first.pipeline_id]["children"][0]
    again = actions.rerun(queues.engine, child)
    assert again != first.pipeline_id
    queues.drain()
    found: Any = workflow.Pipeline.from_id(again)
    assert found.outputs.default.value == 4
    assert (found.args, found.kwargs) == ([3], {"note": "kept", "secret_word": "hidden"})
    settings = (found.max_attempts, found.backoff_seconds, found.target, found.queue_name)
    assert settings == (5, 7, "other", "other")


def test_a_workflow_of_a_class_that_is_gone_is_not_run_again(queues: Queues) -> None:
    root = started(Leaf(1), queues)
    record = queues.engine.record(root)
    assert record is not None
    record.class_path = "tests.support.gone.Leaf"
    queues.engine.transact(lambda unit: unit.change(record))
    with pytest.raises(RefusedError, match=r"tests.support.gone.Leaf cannot be imported"):
        actions.rerun(queues.engine, root)


@pytest.mark.parametrize("pipeline_id", ODD_IDS, ids=ODD_NAMES)
def test_unknown_workflows(queues: Queues, pipeline_id: str) -> None:
    for act in (actions.abort, actions.cleanup, actions.retry, actions.rerun):
        with pytest.raises(UnknownPipelineError, match="there is no workflow"):
            act(queues.engine, pipeline_id)
    with pytest.raises(UnknownPipelineError, match="there is no workflow"):
        status.get_stage(pipeline_id)
    with pytest.raises(UnknownPipelineError, match="there is no workflow"):
        status.get_status_tree(pipeline_id)
    assert status.get_stages([pipeline_id]) == {"pipelines": {}}


# Pages


def test_a_page_of_children(queues: Queues) -> None:
    root = Fan(230)
    root.start()
    queues.drain()
    name = str(root.pipeline_id)
    whole = status.get_status_tree(name)["pipelines"][name]["children"]
    assert len(whole) == 230
    found = status.get_stage(name, 200, 50)
    assert found["pipelines"][name]["children"] == whole[200:]
    assert set(found["pipelines"]) == {name, *whole[200:]}
    assert found["pipelines"][name]["childCount"] == 230
    child = found["pipelines"][whole[200]]
    assert child["status"] == "done"
    assert "args" not in child
    below = status.get_stage(whole[7], 0, 0)
    assert [each["pipelineId"] for each in below["ancestors"]] == [name]
    assert below["pipelines"][whole[7]]["args"] == [{"type": "value", "value": 7}]
    assert below["slots"][f"{whole[7]}/default"]["value"] == 49


def test_many_arguments_are_cut_off(queues: Queues) -> None:
    stage = Fan(0, **{f"word{at}": at for at in range(150)})
    stage.start()
    about = status.get_stage(str(stage.pipeline_id))["pipelines"][stage.pipeline_id]
    assert len(about["kwargs"]) == 100
    assert about["argumentCount"] == 151


def test_a_list_is_paged_and_filtered(queues: Queues) -> None:
    names = []
    for at in range(7):
        stage = Leaf(at) if at % 2 else Fan(0)
        stage.start()
        names.append(stage.pipeline_id)
        queues.clock.move(1)
    seen: list[str] = []
    cursor = None
    while True:
        found = status.get_root_list(cursor=cursor, count=3)
        seen += [root["pipelineId"] for root in found["pipelines"]]
        cursor = found.get("cursor")
        if cursor is None:
            break
    assert seen == names[::-1]
    leaves = status.get_root_list(class_path=Leaf.class_path, count=2)
    assert [root["pipelineId"] for root in leaves["pipelines"]] == [names[5], names[3]]
    rest = status.get_root_list(Leaf.class_path, leaves["cursor"], 2)
    assert [root["pipelineId"] for root in rest["pipelines"]] == [names[1]]
    assert status.get_root_list("no.such.Class")["pipelines"] == []


@pytest.mark.parametrize(
    ("class_path", "cursor"),
    [(None, "junk"), (Leaf.class_path, "0000"), (None, ""), ("x" * 2000, None), (None, "0" * 2000)],
    ids=["letters", "of another list", "empty", "long class", "long cursor"],
)
def test_odd_cursors(queues: Queues, class_path: str | None, cursor: str | None) -> None:
    if cursor == "":
        assert status.get_root_list(class_path, cursor) == {"pipelines": []}
        return
    with pytest.raises(PipelineStatusError, match="leave the cursor out"):
        status.get_root_list(class_path, cursor)


def test_pages_that_are_too_large(queues: Queues) -> None:
    root = started(Leaf(1), queues)
    with pytest.raises(PipelineStatusError, match="give 0 to 500"):
        status.get_stage(root, 0, 501)
    with pytest.raises(PipelineStatusError, match="ask for 100 at a time"):
        status.get_stages(["x"] * 101)
    with pytest.raises(PipelineStatusError, match="give 1 to 500"):
        status.get_root_list(count=0)
