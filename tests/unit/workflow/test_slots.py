"""Slots, futures, After and InOrder by themselves."""

import pytest

from workflow import (
    After,
    InOrder,
    PipelineFuture,
    Slot,
    SlotNotDeclaredError,
    SlotNotFilledError,
    UnexpectedPipelineError,
)
from workflow.ordering import awaited, evaluation, yielded
from workflow.slots import DEFAULT, fill, inherit, own


def names(future: PipelineFuture) -> list[str]:
    return [slot.name for slot in future]


def owned(pipeline_id: str, *output_names: str) -> PipelineFuture:
    future = PipelineFuture(output_names)
    own(future, pipeline_id)
    return future


# Slots


def test_a_slot_that_is_not_filled() -> None:
    slot = Slot("total", "key")
    assert (slot.name, slot.key, slot.filled) == ("total", "key", False)
    for name in ["value", "filler", "fill_datetime"]:
        with pytest.raises(SlotNotFilledError, match="slot 'total' with key 'key' is not filled"):
            getattr(slot, name)


def test_a_slot_that_is_filled() -> None:
    slot = Slot("total", "key")
    fill(slot, None, "stage", None)
    assert (slot.filled, slot.value, slot.filler) == (True, None, "stage")


@pytest.mark.parametrize("name", [None, ""], ids=["none", "empty"])
def test_a_slot_needs_a_name(name: str | None) -> None:
    with pytest.raises(UnexpectedPipelineError, match="a slot needs a name"):
        Slot(name)


def test_how_a_slot_is_shown() -> None:
    assert repr(Slot("total", "key")) == "Slot<name='total', key='key'>"


# Futures


def test_a_future_without_names_has_what_it_is_asked_for() -> None:
    future = PipelineFuture()
    assert names(future) == [DEFAULT]
    assert future.anything is future.anything
    assert names(future) == [DEFAULT, "anything"]


def test_a_slot_that_is_asked_for_later_has_the_key_of_its_stage() -> None:
    future = PipelineFuture()
    assert future.early.key is None
    own(future, "stage")
    assert (future.early.key, future.late.key) == ("stage/early", "stage/late")


def test_a_future_with_names_has_no_others() -> None:
    future = PipelineFuture(["one", "two"])
    assert names(future) == [DEFAULT, "one", "two"]
    with pytest.raises(SlotNotDeclaredError, match="no output 'three': add it to output_names"):
        _ = future.three


def test_a_strict_future_has_the_default_alone() -> None:
    with pytest.raises(SlotNotDeclaredError, match="no output 'one'"):
        _ = PipelineFuture(force_strict=True).one


@pytest.mark.parametrize("given", [["default"], ["one", "one"], ["_one"]], ids=repr)
def test_names_that_are_reserved(given: list[str]) -> None:
    with pytest.raises(UnexpectedPipelineError, match="is reserved, or stands there twice"):
        PipelineFuture(given)


def test_names_of_python_are_no_outputs() -> None:
    future = PipelineFuture()
    assert not hasattr(future, "__len__")
    assert names(future) == [DEFAULT]


def test_what_is_left_to_a_future() -> None:
    future = owned("child", "one")
    inherit(future, "Child", {DEFAULT: "parent/default", "one": "parent/one"})
    assert [slot.key for slot in future] == ["parent/default", "parent/one"]


def test_what_is_left_to_a_future_without_names() -> None:
    future = owned("child")
    inherit(future, "Child", {"one": "parent/one"})
    assert {slot.name: slot.key for slot in future} == {
        DEFAULT: "child/default",
        "one": "parent/one",
    }


def test_what_a_strict_future_cannot_take() -> None:
    with pytest.raises(UnexpectedPipelineError, match="Child is yielded last, so it must fill"):
        inherit(owned("child", "one"), "Child", {"two": "parent/two"})


# After and InOrder


def test_after_adds_what_its_stages_wait_for() -> None:
    first, second, third = owned("1"), owned("2"), owned("3")
    with evaluation():
        assert awaited() == []
        with After(first, second):
            assert awaited() == [first, second]
            with After(third):
                assert awaited() == [first, second, third]
            assert awaited() == [first, second]
        with After():
            assert awaited() == []


def test_after_takes_futures() -> None:
    with pytest.raises(TypeError, match="After takes what a yield gave, a PipelineFuture, not 5"):
        After(owned("1"), 5)  # type: ignore[arg-type]


def test_after_ends_when_something_is_raised() -> None:
    with evaluation():
        with pytest.raises(ValueError, match="so"), After(owned("1")):
            raise ValueError("so")
        assert awaited() == []


def test_in_order_waits_for_the_stage_before() -> None:
    first, second, other = owned("1"), owned("2"), owned("3")
    with evaluation():
        with InOrder():
            assert awaited() == []
            yielded(first)
            assert awaited() == [first]
            with After(other):
                assert awaited() == [other, first]
            yielded(second)
            assert awaited() == [second]
        assert awaited() == []
        yielded(first)
        assert awaited() == []


def test_in_order_does_not_stand_in_itself() -> None:
    with evaluation(), InOrder():
        again = InOrder()
        with pytest.raises(UnexpectedPipelineError, match="cannot stand in another one"):
            again.__enter__()
    with evaluation(is_test=True), InOrder(), InOrder():
        pass


def test_blocks_of_one_stage_are_not_those_of_another() -> None:
    with evaluation(), After(owned("1")), InOrder():
        yielded(owned("2"))
        with evaluation():
            assert awaited() == []
            with InOrder():
                pass
        assert len(awaited()) == 2
