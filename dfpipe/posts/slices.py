"""Cutting a window of time into slices."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class TimeSlice:
    """The times `start <= t < end`, both in UTC."""

    start: datetime
    end: datetime


def time_slices(window: TimeSlice, n: int) -> list[TimeSlice]:
    """Cut a window into at most n slices of equal length, to the microsecond; none is empty."""
    step = timedelta(microseconds=1)
    length = (window.end - window.start) // step
    bounds = sorted({length * i // n for i in range(n + 1)})
    times = [window.start + bound * step for bound in bounds]
    return [TimeSlice(start, end) for start, end in pairwise(times)]
