"""A step over a few small values, and values of many parts that go between steps as one."""

import pickle
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import apache_beam as beam

Value = TypeVar("Value")


class Packed(NamedTuple, Generic[Value]):
    """A value as bytes.

    Beam encodes what is in a list one by one, and measures what a step reads object by object: of
    thousands of small objects this takes longer than the step.
    """

    data: bytes

    @classmethod
    def of(cls, value: Value) -> "Packed[Value]":
        """Pickle a value, of any type that pickle takes."""
        return cls(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))

    def value(self) -> Value:
        """Return the value, as a new object at each call."""
        found: Value = pickle.loads(self.data)  # noqa: S301  # our own
        return found


class Once(beam.PTransform):
    """Apply a function once to AsSingleton and AsList views; give its result, one element.

    There is a result even if a list is empty. What is packed in the views is unpacked. The views
    are the only inputs of the step, so it is never fused with a step that a view waits for, which
    would block the in-process runner.
    """

    def __init__(self, function: Callable[..., Any], *views: Any) -> None:
        super().__init__()
        self.function = function
        self.views = views

    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection:
        """Give a collection of one element, the result."""
        function = self.function
        step = beam.Map(lambda _, *values: function(*map(_unpacked, values)), *self.views)
        return pbegin | "Begin" >> beam.Impulse() | "Apply" >> step


def _unpacked(value: Any) -> Any:
    if isinstance(value, Packed):
        return value.value()
    if isinstance(value, list):
        return [_unpacked(one) for one in value]
    return value
