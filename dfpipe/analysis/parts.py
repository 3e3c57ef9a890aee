"""The equal parts of a window in which posts are counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # pages use this too, and do without numpy
    from dfpipe.analysis.ranking import Ints

PARTS = 96


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a window from `start` on, both in microseconds of the Unix epoch."""

    start: int
    length: int

    def of(self, times: "Ints") -> "Ints":
        """Return the part, from 0, of each time of the window.

        >>> import numpy as np
        >>> Parts(0, 192).of(np.array([0, 1, 2, 191])).tolist()
        [0, 0, 1, 95]
        """
        # Exact: a window has less than 2**63 / 96 microseconds, some 3,000 years.
        return PARTS * (times - self.start) // self.length


def start_of(part: int, start: datetime, end: datetime) -> datetime:
    """Return when a part of a window begins, to the microsecond."""
    return start + part * (end - start) / PARTS


Time = TypeVar("Time", datetime, int)


def columns(
    parts: Sequence[Time], counts: Sequence[int], start: Time, end: Time, number: int = PARTS
) -> list[int]:
    """Return the posts of each of so many columns over a window, 1 to PARTS.

    `parts` are the beginnings of the parts that have posts, `counts` their posts. Times may be
    numbers, all of them.

    >>> day = [datetime(2026, 3, 5, hour) for hour in (0, 12)]
    >>> columns(day, [8, 4], day[0], datetime(2026, 3, 6), 4)
    [8, 0, 4, 0]
    """
    found = [0] * number
    for part, count in zip(parts, counts, strict=True):
        # A part begins exactly at its column's edge or after it, but for rounded microseconds.
        found[round((part - start) / (end - start) * PARTS) * number // PARTS] += count
    return found
