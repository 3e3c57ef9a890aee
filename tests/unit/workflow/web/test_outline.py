"""The part of a tree that the status page shows: where it is unfolded, and how large it gets."""

from collections.abc import Iterator
from typing import Any

import pytest

import workflow
from tests.support.workflow_page import Fails, Fan, Leaf, Outer
from tests.support.workflow_running import Queues
from workflow.engine import model
from workflow.errors import UnknownPipelineError
from workflow.web.outline import MOST_LEVELS, MOST_STAGES, PAGE, Branch, outline


class Deep(workflow.Pipeline):
    """A stage below a stage, so many times."""

    def run(self, levels: int) -> Iterator[Any]:
        yield Deep(levels - 1) if levels else Leaf(1)


class Grid(workflow.Pipeline):
    def run(self, number: int) -> Iterator[Any]:
        for _ in range(number):
            yield Fan(number)


def bottom_of(branch: Branch) -> Branch:
    return bottom_of(branch.children[0]) if branch.children else branch


def ran(queues: Queues, stage: workflow.Pipeline) -> str:
    stage.start()
    queues.drain()
    return str(stage.pipeline_id)


def size(branch: Branch) -> int:
    return 1 + sum(map(size, branch.children))


def levels(branch: Branch) -> int:
    return 1 + max(map(levels, branch.children), default=0)


def test_a_small_workflow_is_shown_whole(queues: Queues) -> None:
    root = ran(queues, Grid(3))
    found = outline(queues.engine, root, root)
    assert (found.id, found.place, size(found)) == (root, 0, 1 + 3 + 9)
    assert [child.place for child in found.children] == [1, 2, 3]
    assert {child.about["status"] for child in found.children} == {"done"}


def test_a_stage_with_many_children_shows_a_page_of_them(queues: Queues) -> None:
    root = ran(queues, Fan(120))
    for first, places in ((0, (1, 50)), (50, (51, 100)), (119, (101, 120)), (60, (51, 100))):
        found = outline(queues.engine, root, root, first)
        assert (found.children[0].place, found.children[-1].place) == places
    assert outline(queues.engine, root, root, 500).children == ()


def test_a_wide_workflow_is_bounded(queues: Queues) -> None:
    root = ran(queues, Grid(20))
    found = outline(queues.engine, root, root)
    assert size(found) <= 1 + MOST_STAGES
    assert [bool(child.children) for child in found.children] == [True] * 9 + [False] * 11
    # Those that are folded are unfolded where they are chosen.
    last = found.children[-1].id
    assert len(outline(queues.engine, root, last).children[-1].children) == 20


def test_a_deep_workflow_is_bounded(queues: Queues) -> None:
    root = ran(queues, Deep(30))
    found = outline(queues.engine, root, root)
    assert levels(found) == 1 + MOST_LEVELS
    # Each look leads so many levels further down.
    looks = 0
    while (bottom := bottom_of(found)).about["childCount"]:
        found = outline(queues.engine, root, bottom.id)
        assert levels(found) <= 1 + MOST_LEVELS
        looks += 1
    assert bottom.about["classPath"] == Leaf.class_path
    assert looks == 3


def test_a_stage_of_an_earlier_attempt_is_shown_with_the_others(queues: Queues) -> None:
    root = ran(queues, Fan(2))
    before = queues.engine.record(root).child_ids()  # type: ignore[union-attr]
    entity = queues.client.get(queues.client.key(model.PIPELINE, root))
    entity["attempt"] += 1
    queues.client.put(entity)
    found = outline(queues.engine, root, before[1])
    assert [child.id for child in found.children] == [before[1]]


def test_the_way_to_a_failure_is_unfolded(queues: Queues) -> None:
    root = ran(queues, Outer(120, 101))
    failed = queues.engine.record(root).failed  # type: ignore[union-attr]
    found = outline(queues.engine, root, str(failed))
    inner = found.children[1]
    assert (inner.first, len(inner.children)) == (2 * PAGE, 20)
    assert [each.id for each in inner.children if each.place == 102] == [failed]


def test_a_part_of_a_workflow(queues: Queues) -> None:
    root = ran(queues, Outer(3, 7))
    inner = outline(queues.engine, root, root).children[1].id
    assert size(outline(queues.engine, inner, inner)) == 4


def test_a_stage_of_another_workflow(queues: Queues) -> None:
    one, other = ran(queues, Leaf(1)), ran(queues, Fails("never"))
    with pytest.raises(UnknownPipelineError, match=f"the workflow of '{one}' has no stage"):
        outline(queues.engine, one, other)
    with pytest.raises(UnknownPipelineError, match="there is no workflow with a stage 'unknown'"):
        outline(queues.engine, one, "unknown")
