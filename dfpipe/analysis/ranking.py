"""Exact rankings of counts, and the words that a ranked pair may have."""

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import merge, nsmallest
from itertools import chain, islice

Counted = tuple[str, int]


def top_counts(counts: Mapping[str, int], k: int) -> list[Counted]:
    """Return the k texts of the highest counts by (-count, text); all where there are fewer.

    >>> top_counts({"b": 2, "a": 2, "c": 1}, 2)
    [('a', 2), ('b', 2)]
    """
    return nsmallest(k, counts.items(), key=_by_count)


def merge_top_counts(tops: Iterable[Sequence[Counted]], k: int) -> list[Counted]:
    """Return the k first of several rankings of `top_counts` over different texts."""
    return list(islice(merge(*tops, key=_by_count), k))


def _by_count(counted: Counted) -> tuple[int, str]:
    return -counted[1], counted[0]


def bound(df: int, posts: int) -> float:
    """Return a log_weight that no pair with a word in `df` of `posts` posts exceeds.

    A pair in n posts weighs n * log(N / max(df1, df2)), where for either word n <= df and
    N / max(df1, df2) <= N / df. With fewer than 2**40 posts doubles tell any two such n and any two
    such quotients apart, so that the same holds for the rounded values, and a pair that attains the
    bound is one of two words with the same df that are always together.
    """
    return df * math.log(posts / df)


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

    `words` are in code-point order, `df` beside them; no pair with a word that was left out weighs
    more than `left_out`, which is 0.0 where nothing was. `leads` are the positions of those that a
    ranked pair may begin with, None for all. They are held in few objects, as runners handle such
    values object by object.
    """

    joined: str = ""
    df: "array[int]" = field(default_factory=lambda: array("q"))
    left_out: float = 0.0
    leads: "array[int] | None" = None

    @property
    def words(self) -> list[str]:
        """The words; none has a line break in it."""
        return self.joined.split("\n") if self.joined else []

    def __len__(self) -> int:
        """The number of words."""
        return len(self.df)

    def items(self) -> Iterable[Counted]:
        """Return each word with its df."""
        return zip(self.words, self.df, strict=True)

    def index(self) -> dict[str, int]:
        """Return the position of each word."""
        return {word: i for i, word in enumerate(self.words)}


def candidates(counts: Iterable[Counted], posts: int, limit: int) -> Candidates:
    """Return the `limit` words of the highest bounds, ties in code-point order.

    Words that are in one post or in every post are bounded like the others; nothing is lost.
    """
    ranked = nsmallest(limit + 1, ((-bound(df, posts), word, df) for word, df in counts))
    left_out = -ranked[limit][0] if len(ranked) > limit else 0.0
    return _candidates(((word, df) for _, word, df in ranked[:limit]), left_out)


def merge_candidates(parts: Iterable[Candidates], posts: int, limit: int) -> Candidates:
    """Return the candidates of the union of different words, given those of its parts."""
    parts = list(parts)
    whole = candidates(chain.from_iterable(part.items() for part in parts), posts, limit)
    left_out = max((whole.left_out, *(part.left_out for part in parts)))
    return Candidates(whole.joined, whole.df, left_out)


def survivors(counts: Iterable[Counted], posts: int, mark: Mark) -> Candidates:
    """Return all the words that a pair which attains the mark may have."""
    return _candidates(((w, df) for w, df in counts if bound(df, posts) >= mark.weight), 0.0)


def join_survivors(parts: Iterable[Candidates], posts: int, mark: Mark) -> Candidates:
    """Return the union of the survivors among different words, with those that lead.

    Where a pair weighs as much as the mark and either word's bound is no higher, so is the other's:
    the pair has to come before the mark by its words. Of a long post's thousands of words that no
    other post has, these are few, and without this all their pairs would be counted.
    """
    whole = _candidates(chain.from_iterable(part.items() for part in parts), 0.0)
    leads = (
        i
        for i, (word, df) in enumerate(whole.items())
        if word <= mark.first or bound(df, posts) > mark.weight
    )
    return replace(whole, leads=array("q", leads))


def _candidates(counts: Iterable[Counted], left_out: float) -> Candidates:
    ordered = sorted(counts)
    joined = "\n".join(word for word, _ in ordered)
    return Candidates(joined, array("q", (df for _, df in ordered)), left_out)
