"""Cutting a window of time into slices, and what the tokens of a slice depend on."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from dfpipe.analysis.text import Mode


@dataclass(frozen=True, slots=True)
class TimeSlice:
    """The times `start <= t < end`, both in UTC; and whether they are recent in their window."""

    start: datetime
    end: datetime
    is_recent: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """The times `start <= t < end`, of which those from `since` on are recent; all in UTC."""

    start: datetime
    end: datetime
    since: datetime


@dataclass(frozen=True, slots=True)
class Reading:
    """What the tokens of a slice depend on: where its posts are, and how their words are taken.

    `cache` is the folder of the hourly slices, if they are kept.
    """

    source: str
    text: Mode
    stop_words: frozenset[str]
    cache: str | None = None


def time_slices(window: Window | TimeSlice, n: int) -> list[TimeSlice]:
    """Cut a window into at most n slices of equal length, to the microsecond; none is empty.

    Where recent times begin within a slice, it is cut in two there.
    """
    step = timedelta(microseconds=1)
    length = (window.end - window.start) // step
    bounds = {window.start + length * i // n * step for i in range(n + 1)}
    since = window.since if isinstance(window, Window) else window.end
    if window.start < since:
        bounds.add(since)
    return [TimeSlice(start, end, start >= since) for start, end in pairwise(sorted(bounds))]
