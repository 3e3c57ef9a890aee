"""Posts of a story with equal sets of words: copies of one another."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from dfpipe.analysis.ranking import Ints

# Copies are rows of an array, one for each distinct set of words: its digest, its group, how many
# posts have it, the time of the earliest of them and the least id at that time, the latest time.
DIGEST, GROUP, COPIES, FIRST, TID, LAST = slice(0, 2), 2, 3, 4, 5, 6
KEY, COLUMNS = slice(0, 3), 7
NO_COPIES: Ints = np.empty((0, COLUMNS), np.int64)
WAITING = 100_000  # rows


def copies(digests: Ints, groups: Ints, times: Ints, tids: Ints) -> Ints:
    """Return the copies of some posts, one row a post: see `merged`."""
    once = np.ones(len(groups), np.int64)
    return np.column_stack((digests, groups, once, times, tids, times))


def merged(parts: Iterable[Ints]) -> Ints:
    """Add up copies as they come: in linear time, holding twice as many as there are."""
    held, size, limit = [NO_COPIES], 0, WAITING
    for part in parts:
        held.append(part)
        size += len(part)
        if size > limit:
            held = [_merged(np.concatenate(held))]
            size, limit = 0, max(WAITING, len(held[0]))
    return _merged(np.concatenate(held))


def _merged(rows: Ints) -> Ints:
    if not len(rows):
        return rows
    rows = rows[np.lexsort(rows.T[[TID, FIRST, 2, 1, 0]])]
    changed = (np.diff(rows[:, KEY], axis=0) != 0).any(axis=1)
    starts = np.concatenate(([0], np.flatnonzero(changed) + 1))
    whole = rows[starts]
    whole[:, COPIES] = np.add.reduceat(rows[:, COPIES], starts)
    whole[:, LAST] = np.maximum.reduceat(rows[:, LAST], starts)
    return whole


def shards_of(rows: Ints, shards: int) -> Iterator[tuple[int, Ints]]:
    """Split copies into those of each shard; empty ones are left out."""
    shard = rows[:, 0] % shards
    for number in np.unique(shard).tolist():
        yield number, rows[shard == number]


@dataclass(frozen=True, slots=True)
class Largest:
    """The largest sets of copies of each group, and when its posts were.

    `rows` are copies, those of a group in order; `spans` has a row for each group: its number, the
    earliest and the latest time of its posts.
    """

    rows: Ints
    spans: Ints


def largest(rows: Ints, k: int) -> Largest:
    """Return the k largest of each group by (-copies, earliest time, its least id)."""
    rows = rows[np.lexsort((rows[:, TID], rows[:, FIRST], -rows[:, COPIES], rows[:, GROUP]))]
    if not len(rows):
        return Largest(rows, np.empty((0, 3), np.int64))
    starts = np.flatnonzero(np.diff(rows[:, GROUP], prepend=-1))
    place = np.arange(len(rows)) - np.repeat(starts, np.diff(np.append(starts, len(rows))))
    first = np.minimum.reduceat(rows[:, FIRST], starts)
    last = np.maximum.reduceat(rows[:, LAST], starts)
    return Largest(rows[place < k], np.column_stack((rows[starts, GROUP], first, last)))


def merge_largest(parts: Sequence[Largest], k: int) -> Largest:
    """Return the largest of all, given those of different sets of words."""
    rows = largest(np.concatenate([NO_COPIES, *(part.rows for part in parts)]), k).rows
    spans: dict[int, tuple[int, int]] = {}
    for group, first, last in chain.from_iterable(part.spans.tolist() for part in parts):
        known = spans.get(group, (first, last))
        spans[group] = min(first, known[0]), max(last, known[1])
    listed = [(group, *span) for group, span in sorted(spans.items())]
    return Largest(rows, np.array(listed, np.int64).reshape(-1, 3))
