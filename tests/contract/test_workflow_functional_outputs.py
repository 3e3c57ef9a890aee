"""Outputs of whole workflows: run kinds, inheritance, and what is taken of them."""

from collections.abc import Iterator
from typing import Any

import pytest

import workflow
from workflow import common


class Echo(workflow.Pipeline):
    def run(self, value: Any = None) -> Any:
        return value


class AsyncEcho(workflow.Pipeline):
    async_ = True

    def run(self, value: Any = None) -> None:
        self.complete(value)


class Divide(workflow.Pipeline):
    output_names = ["rest"]

    def run(self, dividend: int, divisor: int) -> int:
        self.fill(self.outputs.rest, dividend % divisor)
        return dividend // divisor


class AsyncDivide(Divide):
    async_ = True

    def run(self, dividend: int, divisor: int) -> None:
        self.fill("rest", dividend % divisor)
        self.complete(dividend // divisor)


class Forgets(workflow.Pipeline):
    output_names = ["first", "second"]

    def run(self) -> str:
        self.fill("first", 1)
        return "done"


class Invents(workflow.Pipeline):
    output_names = ["first"]

    def run(self) -> None:
        self.fill("first", 1)
        self.fill("unheard_of", 2)


class Three(workflow.Pipeline):
    """Declares its outputs."""

    output_names = ["red", "green", "blue"]

    def run(self, red: Any, green: Any, blue: Any) -> str:
        self.fill(self.outputs.red, red)
        self.fill(self.outputs.green, green)
        self.fill(self.outputs.blue, blue)
        return "three"


class AnyThree(Three):
    """Fills outputs that it does not declare."""

    output_names = []


class AnyTwo(workflow.Pipeline):
    """The same with two of them."""

    def run(self, red: Any, green: Any, blue: Any) -> str:
        self.fill("red", red)
        self.fill(self.outputs.green, green)
        return "three"


class Generator(workflow.Pipeline):
    """Yields one stage of a kind, whose outputs become its own."""

    def run(self, kind: str, *args: Any) -> Iterator[Any]:
        yield KINDS[kind](*args)


class Red(Generator):
    output_names = ["red"]


class RedGreen(Generator):
    output_names = ["red", "green"]


class Colours(Generator):
    output_names = ["red", "green", "blue"]


class Other(Generator):
    output_names = ["violet"]


class FillsRed(workflow.Pipeline):
    """Fills one output itself and leaves the others to its child."""

    output_names = ["red", "green"]

    def run(self) -> Iterator[Any]:
        self.fill(self.outputs.red, "own")
        yield Three(1, 2, 3)


KINDS: dict[str, type[workflow.Pipeline]] = {
    cls.__name__: cls
    for cls in (
        *(Echo, Divide, Forgets, Three, AnyThree, AnyTwo),
        *(Generator, Red, RedGreen, Colours, Other),
    )
}


def outputs(stage: workflow.Pipeline) -> dict[str, Any]:
    return {slot.name: slot.value for slot in stage.outputs}


# Kinds of stages


@pytest.mark.parametrize("kind", [Echo, AsyncEcho], ids=["sync", "async"])
def test_a_stage_gives_a_value(flow: Any, kind: type[workflow.Pipeline]) -> None:
    stage = flow.run(kind("value"))
    assert outputs(stage) == {"default": "value"}
    assert stage.has_finalized
    assert not stage.was_aborted
    assert stage.outputs.default.filler == stage.pipeline_id
    assert stage.outputs.default.fill_datetime.utcoffset().total_seconds() == 0


@pytest.mark.parametrize("kind", [Divide, AsyncDivide], ids=["sync", "async"])
def test_named_outputs(flow: Any, kind: type[workflow.Pipeline]) -> None:
    assert outputs(flow.run(kind(17, 5))) == {"default": 3, "rest": 2}


def test_an_output_that_is_left_open(flow: Any) -> None:
    stage = flow.abort(Forgets(), "has to fill the output")
    assert flow.is_test or not stage.outputs.first.filled


def test_an_output_that_is_not_declared(flow: Any) -> None:
    flow.abort(Invents(), "SlotNotDeclaredError: the stage has no output 'unheard_of'")


# Inheritance


def test_the_last_stage_gives_the_outputs(flow: Any) -> None:
    assert outputs(flow.run(Colours("Three", 1, 2, 3))) == {
        "default": "three",
        "red": 1,
        "green": 2,
        "blue": 3,
    }


def test_who_has_filled_what(flow: Any) -> None:
    stage = flow.run(FillsRed())
    assert outputs(stage) == {"default": "three", "red": "own", "green": 2}
    assert stage.outputs.red.filler == stage.pipeline_id
    assert stage.outputs.green.filler == stage.outputs.default.filler != stage.pipeline_id


def test_the_last_stage_may_have_more_outputs(flow: Any) -> None:
    assert outputs(flow.run(Red("Three", 1, 2, 3))) == {"default": "three", "red": 1}


def test_the_last_stage_leaves_its_outputs_open(flow: Any) -> None:
    class Parent(workflow.Pipeline):
        output_names = ["first", "second"]

        def run(self) -> Iterator[Any]:
            yield Forgets()

    flow.abort(Parent(), "has to fill the output")


def test_the_last_stage_does_not_declare_the_output(flow: Any) -> None:
    flow.abort(Other("Divide", 7, 2), "so it must fill the output 'violet'")


def test_generators_in_generators_give_the_outputs(flow: Any) -> None:
    stage = flow.run(RedGreen("Colours", "Three", 1, 2, 3))
    assert outputs(stage) == {"default": "three", "red": 1, "green": 2}


def test_a_generator_whose_last_stage_leaves_an_output_open(flow: Any) -> None:
    class Parent(Generator):
        output_names = ["first"]

    class Root(workflow.Pipeline):
        output_names = ["first"]

        def run(self) -> Iterator[Any]:
            yield Parent("Forgets")

    flow.abort(Root(), "has to fill the output")


def test_a_generator_that_does_not_declare_the_output(flow: Any) -> None:
    flow.abort(Colours("RedGreen", "Three", 1, 2, 3), "so it must fill the output 'blue'")


@pytest.mark.parametrize("args", [[], ["Generator"]], ids=["root", "deep"])
def test_a_last_stage_without_declarations_fills_what_it_is_asked_for(
    flow: Any, args: list[Any]
) -> None:
    stage = flow.run(RedGreen(*args, "AnyTwo", 1, 2, 3))
    assert outputs(stage) == {"default": "three", "red": 1, "green": 2}


@pytest.mark.parametrize("args", [[], ["Generator"]], ids=["root", "deep"])
def test_a_last_stage_without_declarations_that_fills_more(flow: Any, args: list[Any]) -> None:
    flow.abort(RedGreen(*args, "AnyThree", 1, 2, 3), "SlotNotDeclaredError")


@pytest.mark.parametrize("args", [[], ["Generator"]], ids=["root", "deep"])
def test_a_last_stage_without_declarations_that_does_not_fill_it(
    flow: Any, args: list[Any]
) -> None:
    flow.abort(Red(*args, "Echo", 1), "has to fill the output")


# Taking outputs


class TakesOne(workflow.Pipeline):
    def run(self, kind: str) -> Iterator[Any]:
        colours = yield KINDS[kind](1, 2, 3)
        yield common.List(colours.green)


class TakesNamed(workflow.Pipeline):
    def run(self) -> Iterator[Any]:
        divided = yield Divide(17, 5)
        yield Echo(divided.rest)


class TakesWhatIsPassedOn(workflow.Pipeline):
    def run(self) -> Iterator[Any]:
        colours = yield RedGreen("Colours", "Three", 1, 2, 3)
        yield common.Dict(red=colours.red, green=colours.green, all=colours)


class TakesWhatIsNotThere(workflow.Pipeline):
    def run(self) -> Iterator[Any]:
        divided = yield Divide(17, 5)
        yield Echo(divided.unheard_of)


def test_one_of_several_outputs_is_taken(flow: Any) -> None:
    assert outputs(flow.run(TakesOne("Three"))) == {"default": [2]}


class TakesBoth(workflow.Pipeline):
    def run(self, kind: str, *more: str) -> Iterator[Any]:
        colours = yield KINDS[kind](*more, 1, 2, 3)
        yield common.List(colours.green, colours.red)


@pytest.mark.parametrize("kinds", [["AnyTwo"], ["Generator", "AnyTwo"]], ids=["child", "deep"])
def test_undeclared_outputs_that_are_taken(flow: Any, kinds: list[str]) -> None:
    assert outputs(flow.run(TakesBoth(*kinds))) == {"default": [2, 1]}


class IgnoresOutputs(workflow.Pipeline):
    def run(self, *kinds: str) -> Iterator[Any]:
        yield KINDS[kinds[0]](*kinds[1:], 1, 2, 3)
        yield Echo(1)


@pytest.mark.parametrize(
    "stage",
    [
        TakesOne("AnyThree"),
        TakesOne("AnyTwo"),
        IgnoresOutputs("AnyTwo"),
        IgnoresOutputs("Generator", "AnyTwo"),
    ],
    ids=repr,
)
def test_an_undeclared_output_that_nobody_takes(flow: Any, stage: Any) -> None:
    """The original raises too: a name that is misspelt would be dropped otherwise."""
    flow.abort(type(stage)(*stage.args), "SlotNotDeclaredError")


def test_a_named_output_is_taken_and_the_default_is_not(flow: Any) -> None:
    assert outputs(flow.run(TakesNamed())) == {"default": 2}


def test_outputs_that_a_generator_passes_on_are_taken(flow: Any) -> None:
    stage = flow.run(TakesWhatIsPassedOn())
    assert outputs(stage) == {"default": {"red": 1, "green": 2, "all": "three"}}


def test_an_output_that_is_not_there_is_taken(flow: Any) -> None:
    flow.abort(TakesWhatIsNotThere(), "SlotNotDeclaredError: the stage has no output 'unheard_of'")


def test_a_value_that_a_stage_changes_meanwhile(flow: Any) -> None:
    """What counts is the value when it was yielded or filled."""

    class Changes(workflow.Pipeline):
        output_names = ["own"]

        def run(self) -> Iterator[Any]:
            value = [1]
            self.fill("own", value)
            echoed = yield Echo(value)
            value.append(2)
            yield Takes(echoed)

    class Takes(workflow.Pipeline):
        output_names = ["own"]

        def run(self, echoed: Any) -> Any:
            self.fill("own", "never")
            return echoed

    assert outputs(flow.run(Changes())) == {"default": [1], "own": [1]}
