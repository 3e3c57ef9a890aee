"""The equal parts of a window in which the posts of a story are counted."""

from collections.abc import Sequence
from datetime import datetime

PARTS = 96


def columns(
    parts: Sequence[datetime],
    counts: Sequence[int],
    start: datetime,
    end: datetime,
    number: int = PARTS,
) -> list[int]:
    """Return the posts of each of so many columns over a window, 1 to PARTS.

    `parts` are the beginnings of the parts that have posts, `counts` their posts.

    >>> day = [datetime(2026, 3, 5, hour) for hour in (0, 12)]
    >>> columns(day, [8, 4], day[0], datetime(2026, 3, 6), 4)
    [8, 0, 4, 0]
    """
    found = [0] * number
    for part, count in zip(parts, counts, strict=True):
        # A part begins exactly at its column's edge or after it, but for rounded microseconds.
        found[round((part - start) / (end - start) * PARTS) * number // PARTS] += count
    return found
