"""Whole hours of the clock, by their numbers from the Unix epoch."""

from datetime import UTC, datetime

from dfpipe.posts.slices import Window
from dfpipe.times import microseconds, time_of

HOUR = 3_600_000_000  # microseconds
LAST = datetime.max.replace(tzinfo=UTC)


def hours_of(window: Window) -> range:
    """Return the numbers of the hours that a window touches, counted from the Unix epoch.

    >>> hours_of(Window(time_of(1), time_of(2 * HOUR), time_of(2 * HOUR)))
    range(0, 2)
    """
    return range(microseconds(window.start) // HOUR, -(-microseconds(window.end) // HOUR))


def hour_parts(window: Window, n: int) -> list[Window]:
    """Cut a window into at most n parts that meet at full hours."""
    hours = hours_of(window)
    step = -(-len(hours) // n)
    starts = [window.start, *map(start_of, hours[step::step])]
    ends = [*starts[1:], window.end]
    return [Window(a, b, window.since) for a, b in zip(starts, ends, strict=True)]


def start_of(hour: int) -> datetime:
    """Return when an hour begins; the last moment of time instead of what comes after it."""
    try:
        return time_of(hour * HOUR)
    except OverflowError:
        return LAST
