"""A step over few and small values that are wanted together."""

from collections.abc import Callable
from typing import Any

import apache_beam as beam


class Once(beam.PTransform):
    """Apply a function once to AsSingleton and AsList views; give its result, one element.

    The result is there also where a list is empty. As the views are its only inputs, the step is
    never fused with one that a view waits for, on which the in-process runner would stop.
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
