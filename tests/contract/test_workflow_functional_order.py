"""Generators, recursion, order and large values in whole workflows."""

from collections.abc import Iterator
from typing import Any

import pytest

import workflow
from workflow import common

SEEN: list[Any] = []


@pytest.fixture(autouse=True)
def seen() -> list[Any]:
    SEEN.clear()
    return SEEN


def assert_order(*names: Any) -> None:
    """These have run, each after the one before it."""
    places = [SEEN.index(name) for name in names]
    assert places == sorted(places), SEEN


class Note(workflow.Pipeline):
    """Notes that it has run; twice is no fault."""

    def run(self, name: Any, value: Any = None) -> Any:
        if name not in SEEN:
            SEEN.append(name)
        return value


class Nothing(workflow.Pipeline):
    def run(self) -> Iterator[Any]:
        yield from ()


class NothingNamed(Nothing):
    output_names = ["own"]


class FillsOwn(workflow.Pipeline):
    output_names = ["own"]

    def run(self) -> Iterator[Any]:
        self.fill("own", 1)
        yield from ()
        return 2


class FillsUnknown(workflow.Pipeline):
    output_names = ["own"]

    def run(self) -> Iterator[Any]:
        self.fill("unheard_of", 1)
        yield from ()


class Divide(workflow.Pipeline):
    output_names = ["rest"]

    def run(self, dividend: int, divisor: int) -> int:
        self.fill(self.outputs.rest, dividend % divisor)
        return dividend // divisor


class Gcd(workflow.Pipeline):
    output_names = ["gcd"]

    def run(self, first: int, second: int) -> Iterator[Any]:
        big, small = max(first, second), min(first, second)
        if small == 0:
            self.fill(self.outputs.gcd, big)
            return
        divided = yield Divide(big, small)
        yield Gcd(small, divided.rest)


class Down(workflow.Pipeline):
    def run(self, depth: int) -> Iterator[Any]:
        if depth:
            value = yield Down(depth - 1)
            yield common.Sum(value, 1)
        else:
            yield common.Return(0)


class Grow(workflow.Pipeline):
    """A value of some megabytes."""

    def run(self, text: str, times: int) -> str:
        return text * times


class Large(workflow.Pipeline):
    def run(self, times: int) -> Iterator[Any]:
        parts = []
        for letter in "abcd":
            parts.append((yield Grow(letter, times)))
        whole = yield common.Concat(*parts)
        yield Passed(whole)


class Passed(workflow.Pipeline):
    def run(self, value: str) -> Iterator[Any]:
        yield common.Return(value)


class DiffersInTests(workflow.Pipeline):
    async_ = True

    def run(self) -> None:
        SEEN.append("run")
        self.complete("run")

    def run_test(self) -> None:
        SEEN.append("run_test")
        self.complete("run_test")

    def finalized(self) -> None:
        SEEN.append("finalized")

    def finalized_test(self) -> None:
        SEEN.append("finalized_test")


# Generators


def test_a_generator_without_stages(flow: Any) -> None:
    assert flow.run(Nothing()).outputs.default.value is None


def test_a_generator_without_stages_that_leaves_an_output_open(flow: Any) -> None:
    flow.abort(NothingNamed(), "has to fill the output")


def test_a_generator_without_stages_that_fills_what_is_not_declared(flow: Any) -> None:
    flow.abort(FillsUnknown(), "SlotNotDeclaredError: the stage has no output 'unheard_of'")


def test_a_generator_without_stages_fills_and_returns(flow: Any) -> None:
    stage = flow.run(FillsOwn())
    assert (stage.outputs.own.value, stage.outputs.default.value) == (1, 2)


def test_a_generator_with_stages_that_returns_a_value(flow: Any) -> None:
    class Returns(workflow.Pipeline):
        def run(self) -> Iterator[Any]:
            yield common.Return(1)
            return 2

    flow.abort(Returns(), "yields stages and returns a value")


def test_generators_in_generators(flow: Any) -> None:
    assert flow.run(Down(8)).outputs.default.value == 8


@pytest.mark.parametrize(("second", "gcd"), [(462, 21), (463, 1)], ids=["21", "1"])
def test_a_generator_that_yields_itself(flow: Any, second: int, gcd: int) -> None:
    stage = flow.run(Gcd(1071, second))
    assert stage.outputs.gcd.value == gcd
    assert stage.outputs.default.value is None


def test_large_values_go_from_stage_to_stage(flow: Any) -> None:
    million = 1_000_000
    stage = flow.run(Large(million))
    assert stage.outputs.default.value == "".join(letter * million for letter in "abcd")


class LengthOf(workflow.Pipeline):
    def run(self, *texts: str) -> int:
        return sum(map(len, texts))


class ManyLarge(workflow.Pipeline):
    """Together they are larger than one message of gRPC, each of them is not."""

    def run(self, number: int) -> Iterator[Any]:
        texts = []
        for _ in range(number):
            texts.append((yield Grow("x", 90_000)))
        yield LengthOf(*texts)


def test_many_large_values_go_to_one_stage(flow: Any) -> None:
    stage = flow.run(ManyLarge(50))
    assert stage.outputs.default.value == 50 * 90_000


def test_what_test_mode_calls(flow: Any) -> None:
    stage = flow.run(DiffersInTests())
    expected = ["run_test", "finalized_test"] if flow.is_test else ["run", "finalized"]
    assert expected == SEEN
    assert stage.outputs.default.value == expected[0]


# Order


class AfterOne(workflow.Pipeline):
    def run(self) -> Iterator[Any]:
        first = yield common.Delay(seconds=5)
        noted = yield Note("first", first)
        with workflow.After(noted):
            yield Note("second")
        yield Note("any time")


class AfterNested(workflow.Pipeline):
    def run(self) -> Iterator[Any]:
        one = yield Note("one", (yield common.Delay(seconds=5)))
        with workflow.After(one):
            two = yield Note("two", (yield common.Delay(seconds=3)))
            yield Note("after one")
            with workflow.After(two):
                yield Note("three")
        yield Note("any time")


class AfterMany(workflow.Pipeline):
    def run(self) -> Iterator[Any]:
        delay = yield common.Delay(seconds=5)
        futures = []
        for number in range(10):
            futures.append((yield Note(number, delay)))
        with workflow.After(*futures):
            yield Note("last")


class AfterNothing(workflow.Pipeline):
    def run(self) -> Iterator[Any]:
        with workflow.After():
            yield Note("one")


class Ordered(workflow.Pipeline):
    def run(self) -> Iterator[Any]:
        with workflow.InOrder():
            yield Note("one")
            yield common.Delay(seconds=5)
            yield Note("two")
            yield Note("three")
        yield Note("any time")


class OrderedInAfter(workflow.Pipeline):
    def run(self) -> Iterator[Any]:
        one = yield Note("one", (yield common.Delay(seconds=5)))
        with workflow.After(one), workflow.InOrder():
            yield Note("two", (yield common.Delay(seconds=1)))
            yield Note("three")
            with workflow.After(one):
                yield Note("four")
        with workflow.InOrder():
            five = yield Note("five")
            with workflow.After(five):
                yield Note("six")
            yield Note("seven")


class OrderedGenerators(workflow.Pipeline):
    """A block of the parent is no block of its children."""

    def run(self) -> Iterator[Any]:
        with workflow.InOrder():
            yield Ordered()
            yield Note("end")


class OrderedTwice(workflow.Pipeline):
    def run(self) -> Iterator[Any]:
        with workflow.InOrder(), workflow.InOrder():
            yield Note("one")


def test_after(flow: Any) -> None:
    flow.run(AfterOne())
    assert_order("first", "second")
    assert sorted(SEEN) == ["any time", "first", "second"]
    if not flow.is_test:
        assert_order("any time", "first")


def test_after_in_after(flow: Any) -> None:
    flow.run(AfterNested())
    assert_order("one", "two", "three")
    assert_order("one", "after one")
    assert len(SEEN) == 5


def test_after_many_stages(flow: Any) -> None:
    flow.run(AfterMany())
    assert sorted(SEEN[:-1]) == list(range(10))
    assert SEEN[-1] == "last"


def test_after_nothing(flow: Any) -> None:
    flow.run(AfterNothing())
    assert SEEN == ["one"]


def test_in_order(flow: Any) -> None:
    flow.run(Ordered())
    assert_order("one", "two", "three")
    assert len(SEEN) == 4
    if not flow.is_test:
        assert_order("any time", "two")


def test_in_order_in_after_and_after_in_in_order(flow: Any) -> None:
    flow.run(OrderedInAfter())
    assert_order("one", "two", "three", "four")
    assert_order("five", "six", "seven")


def test_in_order_in_a_generator_that_is_in_order(flow: Any) -> None:
    flow.run(OrderedGenerators())
    assert_order("one", "two", "three")
    assert "end" in SEEN


def test_in_order_in_in_order(flow: Any) -> None:
    if flow.is_test:
        flow.run(OrderedTwice())
        assert SEEN == ["one"]
    else:
        flow.abort(OrderedTwice(), "an InOrder block cannot stand in another one")
