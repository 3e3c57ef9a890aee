"""A step over a few small values."""

from collections.abc import Callable
from typing import Any

import apache_beam as beam


class Once(beam.PTransform):
    """Apply a function once to AsSingleton and AsList views; give its result, one element.

    There is a result even if a list is empty. The views are the only inputs of the step, so it is
    never fused with a step that a view waits for, which would block the in-process runner.
    """

    def __init__(self, function: Callable[..., Any], *views: Any) -> None:
        super().__init__()
        self.function = function
        self.views = views

    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection:
        """Give the one result."""
        function = self.function
        step = beam.Map(lambda _, *values: function(*values), *self.views)
        return pbegin | "Begin" >> beam.Impulse() | "Apply" >> step
