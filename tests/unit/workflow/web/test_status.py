"""The status of workflows as values for JSON, on both stores."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

import workflow
from tests.support.workflow_running import Queues
from workflow import common, values
from workflow.engine import model
from workflow.web import status
from workflow.web.status import get_counts, get_root_counts, get_root_list, get_stage, get_stages_in


class Divide(workflow.Pipeline):
    output_names = ["rest"]

    def run(self, dividend: int, divisor: int) -> int:
        self.fill(self.outputs.rest, dividend % divisor)
        return dividend // divisor


class Parent(workflow.Pipeline):
    def run(self, number: int) -> Iterator[Any]:
        divided = yield Divide(number, divisor=5)
        with workflow.After(divided):
            yield common.Sum(divided.rest, 100).with_params(max_attempts=7, backoff_seconds=1)


class Waits(workflow.Pipeline):
    async_ = True

    def run(self, *values: Any, **kwargs: Any) -> None:
        pass

    def try_cancel(self) -> bool:
        return True


class Finalizes(workflow.Pipeline):
    def run(self) -> int:
        return 1

    def finalized(self) -> None:
        raise RuntimeError("never")


class Fails(workflow.Pipeline):
    def run(self) -> None:
        raise workflow.Retry("not now")


class Wide(workflow.Pipeline):
    def run(self, number: int) -> Iterator[Any]:
        for at in range(number):
            yield common.Return(at)


@pytest.fixture(autouse=True)
def bound(queues: Queues) -> Queues:
    return queues


def started(stage: Any, **kwargs: Any) -> Any:
    stage.start(**kwargs)
    return stage


def ms(queues: Queues) -> int:
    return queues.engine.service.now() // 1000


# The tree


def test_a_tree(queues: Queues) -> None:
    start = ms(queues)
    stage = queues.run(Parent(17), queue_name="other")
    tree = workflow.get_status_tree(stage.pipeline_id)
    root = tree["pipelines"][stage.pipeline_id]
    divide, total = root["children"]
    about = tree["pipelines"][divide]
    assert tree["rootPipelineId"] == stage.pipeline_id
    assert list(tree["pipelines"]) == [stage.pipeline_id, divide, total]
    assert root["classPath"] == Parent.class_path
    assert root["args"] == [{"type": "value", "value": 17}]
    # The last child fills the output of the root.
    assert root["outputs"] == tree["pipelines"][total]["outputs"]
    assert about["args"] == [{"type": "value", "value": 17}]
    assert about["kwargs"] == {"divisor": {"type": "value", "value": 5}}
    assert about["outputs"] == {"default": f"{divide}/default", "rest": f"{divide}/rest"}
    assert (about["queueName"], about["children"], about["afterSlotKeys"]) == ("other", [], [])
    assert (about["currentAttempt"], about["maxAttempts"]) == (1, 3)
    assert (about["backoffSeconds"], about["backoffFactor"]) == (15, 2)
    assert (about["status"], about["startTimeMs"], about["endTimeMs"]) == ("done", start, start)
    summed = tree["pipelines"][total]
    assert summed["args"] == [
        {"type": "slot", "slotKey": f"{divide}/rest"},
        {"type": "value", "value": 100},
    ]
    assert summed["afterSlotKeys"] == [f"{divide}/default"]
    assert (summed["maxAttempts"], summed["backoffSeconds"]) == (7, 1)
    assert tree["slots"][f"{divide}/rest"] == {
        "status": "filled",
        "fillTimeMs": start,
        "value": 2,
        "fillerPipelineId": divide,
    }
    assert json.loads(values.dumps(tree)) == tree


def test_a_tree_by_the_id_of_any_stage(queues: Queues) -> None:
    stage = queues.run(Parent(17))
    tree = workflow.get_status_tree(stage.pipeline_id)
    for name in tree["pipelines"]:
        assert workflow.get_status_tree(name) == tree


@pytest.mark.parametrize("name", ["", "unknown", "x" * 5000], ids=["empty", "unknown", "long"])
def test_a_tree_of_nobody(name: str) -> None:
    with pytest.raises(workflow.PipelineStatusError, match="there is no workflow with a stage"):
        workflow.get_status_tree(name)


def test_a_tree_whose_root_is_gone(queues: Queues) -> None:
    stage = queues.run(Parent(17))
    child = queues.about(stage)["children"][0]
    queues.client.delete_multi([queues.client.key(model.PIPELINE, stage.pipeline_id)])
    with pytest.raises(workflow.PipelineStatusError, match=f"a stage '{stage.pipeline_id}'"):
        workflow.get_status_tree(child)


def test_stages_that_are_not_made_yet_are_left_out(queues: Queues) -> None:
    stage = started(Wide(30))
    queues.runner.step()
    tree = queues.tree(stage)
    assert len(tree["pipelines"][stage.pipeline_id]["children"]) == 30
    assert len(tree["pipelines"]) == 1
    queues.drain()
    assert len(queues.tree(stage)["pipelines"]) == 31


def test_large_values_are_cut(queues: Queues) -> None:
    stage = queues.run(common.List("x" * 3000, "y" * 200_000))
    tree = queues.tree(stage)
    shown = [arg["value"] for arg in tree["pipelines"][stage.pipeline_id]["args"]]
    shown.append(tree["slots"][f"{stage.pipeline_id}/default"]["value"])
    assert [len(text) for text in shown] == [2003] * 3
    assert all(text.endswith("...") for text in shown)


# The states


def test_waiting_run_done(queues: Queues) -> None:
    stage = started(Waits())
    assert queues.about(stage)["status"] == "waiting"
    assert "startTimeMs" not in queues.about(stage)
    name = stage.pipeline_id
    waiting = {"status": "waiting", "fillerPipelineId": name}
    assert queues.tree(stage)["slots"] == {f"{name}/default": waiting}
    queues.drain()
    assert queues.about(stage)["status"] == "run"
    assert "endTimeMs" not in queues.about(stage)
    stage.complete()
    queues.drain()
    assert queues.about(stage)["status"] == "done"


def test_finalizing(queues: Queues) -> None:
    stage = started(Finalizes())
    queues.runner.step()
    assert queues.about(stage)["status"] == "finalizing"


def test_retry(queues: Queues) -> None:
    stage = started(Fails())
    queues.runner.step()
    shown = queues.about(stage)
    assert (shown["status"], shown["currentAttempt"]) == ("retry", 2)
    assert shown["lastRetryMessage"] == "not now"


def test_aborted(queues: Queues) -> None:
    stage = started(Waits())
    queues.drain()
    stage.abort("enough")
    queues.drain()
    shown = queues.about(stage)
    assert (shown["status"], shown["abortMessage"]) == ("aborted", "enough")
    assert shown["endTimeMs"] == ms(queues)


def test_what_a_stage_says(queues: Queues) -> None:
    stage = started(Waits())
    assert not any(name.startswith("status") for name in queues.about(stage) if name != "status")
    stage.set_status("half done", "https://example/console", {"z": "https://z", "a": "https://a"})
    shown = queues.about(stage)
    assert shown["statusMessage"] == "half done"
    assert shown["statusConsoleUrl"] == "https://example/console"
    assert list(shown["statusLinks"].items()) == [("a", "https://a"), ("z", "https://z")]
    assert shown["statusTimeMs"] == ms(queues)
    stage.set_status("done")
    shown = queues.about(stage)
    assert (shown["statusMessage"], shown.get("statusLinks")) == ("done", None)


# A page of a stage


def test_a_page_of_children(queues: Queues) -> None:
    stage = queues.run(Wide(30))
    page = status.get_stage(stage.pipeline_id, 20, 7)
    about = page["pipelines"][stage.pipeline_id]
    assert about["childCount"] == 30
    assert len(about["children"]) == 7
    assert len(page["pipelines"]) == 8
    child = status.get_stage(about["children"][0])
    assert [each["pipelineId"] for each in child["ancestors"]] == [stage.pipeline_id]
    assert child["rootPipelineId"] == stage.pipeline_id
    assert child["slots"][f"{about['children'][0]}/default"]["value"] == 20
    beyond = status.get_stage(stage.pipeline_id, 1000, 7)
    assert beyond["pipelines"][stage.pipeline_id]["children"] == []


@pytest.mark.parametrize("count", [-1, 501])
def test_a_page_of_a_wrong_size(queues: Queues, count: int) -> None:
    stage = started(Waits())
    with pytest.raises(workflow.PipelineStatusError, match=f"the count is {count}: give 0 to 500"):
        status.get_stage(stage.pipeline_id, 0, count)


# The list


def names_of(found: Any) -> list[str]:
    return [about["pipelineId"] for about in found["pipelines"]]


def several(queues: Queues) -> list[str]:
    """Ids of seven workflows of two classes, the newest first."""
    ids: list[str] = []
    for number in range(7):
        stage = started(Waits(number) if number % 2 else Parent(number))
        ids.insert(0, stage.pipeline_id)
        queues.clock.move(0.001)
    return ids


def test_the_list_has_the_newest_first(queues: Queues) -> None:
    ids = several(queues)
    queues.drain()  # children are no workflows of their own
    found = workflow.get_root_list()
    assert names_of(found) == ids
    assert "cursor" not in found
    assert found["pipelines"][0]["classPath"] == Parent.class_path


def test_the_list_in_pages(queues: Queues) -> None:
    ids = several(queues)
    first = workflow.get_root_list(count=3)
    second = workflow.get_root_list(cursor=first["cursor"], count=3)
    third = workflow.get_root_list(cursor=second["cursor"], count=3)
    assert [names_of(page) for page in (first, second, third)] == [ids[:3], ids[3:6], ids[6:]]
    assert "cursor" not in third
    assert "cursor" not in workflow.get_root_list(count=7)


def test_the_list_of_one_class(queues: Queues) -> None:
    ids = several(queues)
    assert names_of(workflow.get_root_list(Waits.class_path)) == ids[1::2]
    first = workflow.get_root_list(Waits.class_path, count=2)
    second = workflow.get_root_list(Waits.class_path, first["cursor"], 2)
    assert names_of(first) + names_of(second) == ids[1::2]
    assert names_of(workflow.get_root_list("no.such.Class")) == []
    # A path that only begins the same is another class.
    assert names_of(workflow.get_root_list(Waits.class_path[:-1])) == []


def test_the_list_of_one_state(queues: Queues) -> None:
    ids = several(queues)
    assert get_root_counts() == {"waiting": 7}
    queues.drain()
    # Those that wait for a callback still run.
    assert get_root_counts() == {"run": 3, "done": 4}
    assert names_of(get_root_list(state="done")) == ids[::2]
    first = get_root_list(state="run", count=2)
    second = get_root_list(state="run", cursor=first["cursor"], count=2)
    assert names_of(first) + names_of(second) == ids[1::2]
    assert names_of(get_root_list(state="aborted")) == []


def test_a_list_of_an_unknown_state() -> None:
    with pytest.raises(workflow.PipelineStatusError, match="the state is 'broken': give waiting, "):
        get_root_list(state="broken")
    with pytest.raises(workflow.PipelineStatusError, match="both a class and a state are given"):
        get_root_list(Waits.class_path, state="done")


def test_the_list_where_there_is_nothing() -> None:
    assert workflow.get_root_list() == {"pipelines": []}


@pytest.mark.parametrize("count", [0, -1, 501])
def test_a_list_of_a_wrong_size(count: int) -> None:
    with pytest.raises(workflow.PipelineStatusError, match=f"the count is {count}: give 1 to 500"):
        workflow.get_root_list(count=count)


@pytest.mark.parametrize("cursor", ["~", "zzz", "\x00"], ids=["tilde", "letters", "zero"])
def test_a_cursor_of_another_list(cursor: str) -> None:
    with pytest.raises(workflow.PipelineStatusError, match="no such class or cursor"):
        workflow.get_root_list(cursor=cursor)


def test_the_names_of_classes() -> None:
    found = workflow.get_pipeline_names()
    assert found == sorted(found)
    assert {Waits.class_path, "workflow.common.Sum"} <= set(found)


# What went wrong, and where


class FailsWithin(workflow.Pipeline):
    def run(self, number: int, bad: int) -> Iterator[Any]:
        yield common.Return(1)
        yield OneFails(number, bad)


class OneFails(workflow.Pipeline):
    def run(self, number: int, bad: int) -> Iterator[Any]:
        for at in range(number):
            yield IsBad(at == bad).with_params(max_attempts=1)


class IsBad(workflow.Pipeline):
    def run(self, is_bad: bool) -> None:
        if is_bad:
            raise ValueError("it is bad")


@pytest.mark.parametrize("bad", [25, 29], ids=["after the end", "before the end"])
def test_a_failure_is_told_at_the_root_and_in_the_list(queues: Queues, bad: int) -> None:
    """Also if the root is done because it does not wait for that stage."""
    stage = FailsWithin(30, bad)
    stage.start(idempotence_key="with a key")
    queues.drain()
    failure = queues.about(stage)["failure"]
    assert failure["classPath"] == IsBad.class_path
    assert failure["message"] == "ValueError: it is bad"
    assert get_root_list()["pipelines"][0]["failure"] == failure
    if bad == 29:
        told = queues.about(stage)["abortMessage"]
        name = f"{IsBad.class_path}#{failure['pipelineId']}"
        assert told == f"Aborting after 1 attempts: {name}: ValueError: it is bad"
    # Where it is.
    found = get_stage(failure["pipelineId"])
    assert found["ancestors"][0]["pipelineId"] == "with a key"
    assert [*found["places"].values()] == [1, bad]


def test_an_abort_by_hand_is_no_failure(queues: Queues) -> None:
    stage = started(Waits())
    stage.abort("enough")
    queues.drain()
    assert "failure" not in queues.about(stage)


def test_counts_and_stages_by_state(queues: Queues) -> None:
    stage, other = FailsWithin(30, 25), started(Waits())
    stage.start()
    queues.drain()
    root = str(stage.pipeline_id)
    counts = get_counts(root)["counts"]
    states = [about["status"] for about in queues.tree(stage)["pipelines"].values()]
    assert counts == Counter(states)
    assert get_counts(str(other.pipeline_id)) == {"counts": {"run": 1}}
    ids: list[str] = []
    cursor = None
    while True:
        page = get_stages_in(root, "done", cursor, 10)
        ids += page["pipelines"]
        cursor = page.get("cursor")
        if cursor is None:
            break
    assert len(ids) == len(set(ids)) == counts["done"]
    (failed,) = (
        about
        for about in get_stages_in(root, "aborted")["pipelines"].values()
        if "lastRetryMessage" in about
    )
    assert failed["classPath"] == IsBad.class_path


def test_a_stage_that_waits_for_its_next_attempt_is_found(queues: Queues) -> None:
    stage = IsBad(True)
    stage.start()
    queues.runner.step()
    assert get_counts(str(stage.pipeline_id))["counts"] == {"retry": 1}
    assert len(get_stages_in(str(stage.pipeline_id), "retry")["pipelines"]) == 1


@pytest.mark.parametrize(
    "kwargs",
    [{"state": "new"}, {"state": "done", "count": 0}, {"state": "done", "cursor": "x"}],
    ids=repr,
)
def test_a_list_of_no_state(queues: Queues, kwargs: Any) -> None:
    stage = started(Waits())
    with pytest.raises(workflow.PipelineStatusError):
        get_stages_in(str(stage.pipeline_id), **kwargs)


def test_who_is_to_fill_a_waiting_slot(queues: Queues) -> None:
    """With a key too, and where a stage leaves its output to the last one that it yields."""

    class Root(workflow.Pipeline):
        def run(self) -> Iterator[Any]:
            waited = yield Waits()
            yield common.Return(waited)

    stage = Root()
    stage.start(idempotence_key="k")
    queues.drain()
    tree = queues.tree(stage)
    waits, returns = tree["pipelines"]["k"]["children"]
    fillers = {slot["fillerPipelineId"] for slot in tree["slots"].values()}
    assert fillers == {waits, returns}
    tree = get_stage(returns)
    assert {slot["fillerPipelineId"] for slot in tree["slots"].values()} == {waits, returns}
