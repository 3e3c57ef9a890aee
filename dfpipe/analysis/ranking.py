"""Exact rankings of counts, and the words that a ranked pair may have."""

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import merge, nsmallest
from itertools import chain, islice
from typing import Protocol

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Counted = tuple[str, int]


def top_counts(counts: Mapping[str, int], k: int) -> list[Counted]:
    """Return the k texts with the highest counts by (-count, text), or all if there are fewer.

    >>> top_counts({"b": 2, "a": 2, "c": 1}, 2)
    [('a', 2), ('b', 2)]
    """
    return nsmallest(k, counts.items(), key=_by_count)


def merge_top_counts(tops: Iterable[Sequence[Counted]], k: int) -> list[Counted]:
    """Return the k first of several rankings of `top_counts` over different texts."""
    return list(islice(merge(*tops, key=_by_count), k))


def _by_count(counted: Counted) -> tuple[int, str]:
    return -counted[1], counted[0]


@dataclass(frozen=True, slots=True)
class Mark:
    """What a pair of words must attain to be ranked: the last of k pairs that are known.

    It weighs more than `weight`, or as much and its first word is not after `first`.
    """

    weight: float
    first: str


@dataclass(frozen=True, slots=True)
class Candidates:
    """Words whose pairs are counted.

    `words` are in code-point order, their `counts` (of `recency`) beside them. By each measure, no
    pair with a word that was left out weighs more than its `left_out`, which is 0.0 where nothing
    was that matters. `leads` are the positions of those that a ranked pair may begin with, None for
    all. They are held in few objects, as runners handle such values object by object.
    """

    joined: str = ""
    counts: "array[int]" = field(default_factory=lambda: array("q"))
    left_out: tuple[float, ...] = ()
    leads: "array[int] | None" = None

    @property
    def words(self) -> list[str]:
        """The words; none has a line break in it."""
        return self.joined.split("\n") if self.joined else []

    def __len__(self) -> int:
        """The number of words in the ranking."""
        return len(self.counts)

    def items(self) -> Iterable[Counted]:
        """Return each word with its count."""
        return zip(self.words, self.counts, strict=True)

    def index(self) -> dict[str, int]:
        """Return the position of each word."""
        return {word: i for i, word in enumerate(self.words)}


class Measure(Protocol):
    """What pairs are ranked by. Counts are of `recency`.

    A pair is ranked where it weighs more than `least`.
    """

    @property
    def least(self) -> float:
        """What a ranked pair exceeds, 0.0 or more."""

    def bound(self, count: int) -> float:
        """Return a weight that no pair exceeds that has a word of this count."""

    def weigher(self, words: Candidates) -> Callable[[Ints, Ints], Floats]:
        """Return what gives the weights of pairs of some words.

        It takes the counts of the pairs, and beside each the position of its more frequent word.
        """


def candidates(counts: Iterable[Counted], measures: Sequence[Measure], limit: int) -> Candidates:
    """Return the `limit` words of the highest bounds by each measure, ties in code-point order.

    Left out without a trace are the words whose pairs are never ranked.
    """
    counts = list(counts)
    chosen: list[Counted] = []
    left_out = []
    for measure in measures:
        bounded = ((-measure.bound(n), word, n) for word, n in counts)
        ranked = nsmallest(limit + 1, (one for one in bounded if -one[0] > measure.least))
        chosen += [(word, n) for _, word, n in ranked[:limit]]
        left_out.append(-ranked[limit][0] if len(ranked) > limit else 0.0)
    return _candidates(chosen, tuple(left_out))


def merge_candidates(
    parts: Iterable[Candidates], measures: Sequence[Measure], limit: int
) -> Candidates:
    """Return the candidates of the union of different words, given those of its parts."""
    parts = list(parts)
    whole = candidates(chain.from_iterable(part.items() for part in parts), measures, limit)
    left_out = zip(whole.left_out, *(part.left_out for part in parts), strict=True)
    return replace(whole, left_out=tuple(map(max, left_out)) if parts else whole.left_out)


# Of each measure what a pair must attain that was not counted yet; None where its ranking is final.
Marks = Sequence[Mark | None]


def survivors(counts: Iterable[Counted], measures: Sequence[Measure], marks: Marks) -> Candidates:
    """Return all the words that a pair which attains a mark may have."""
    wanted = _wanted(measures, marks)
    return _candidates(
        (word, n)
        for word, n in counts
        if any(measure.bound(n) >= mark.weight for measure, mark in wanted)
    )


def join_survivors(
    parts: Iterable[Candidates], measures: Sequence[Measure], marks: Marks
) -> Candidates:
    """Return the union of the survivors among different words, with those that lead.

    Where a pair weighs as much as the mark and its first word's bound is no higher, the pair has to
    come before the mark by its words. Of a long post's thousands of words that no other post has,
    these are few, and without this all their pairs would be counted.
    """
    wanted = _wanted(measures, marks)
    whole = _candidates(chain.from_iterable(part.items() for part in parts))
    leads = (
        i
        for i, (word, n) in enumerate(whole.items())
        if any(word <= mark.first or measure.bound(n) > mark.weight for measure, mark in wanted)
    )
    return replace(whole, leads=array("q", leads))


def _wanted(measures: Sequence[Measure], marks: Marks) -> list[tuple[Measure, Mark]]:
    pairs = zip(measures, marks, strict=True)
    return [(measure, mark) for measure, mark in pairs if mark is not None]


def _candidates(counts: Iterable[Counted], left_out: tuple[float, ...] = ()) -> Candidates:
    ordered = sorted(set(counts))
    joined = "\n".join(word for word, _ in ordered)
    return Candidates(joined, array("q", (n for _, n in ordered)), left_out)
