"""What is in more of the recent posts than of those before, and how surely.

The score is the log-likelihood ratio of two binomials: Dunning, "Accurate Methods for the
Statistics of Surprise and Coincidence", Computational Linguistics 19 (1993).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from heapq import merge, nsmallest
from itertools import islice

from dfpipe.analysis.level import LEVEL
from dfpipe.analysis.ranking import Counted
from dfpipe.analysis.recency import RECENT, Sizes, recent, total

CERTAIN = 1_500.0  # a score whose p-value is 0.0, whatever the number of tests


def score(count: int, sizes: Sizes) -> float:
    """Return how surely something is in more of the recent posts; below 0.0 where in fewer.

    `count` is of `recency`: a recent posts and b before have it. Whole numbers are multiplied
    exactly and divided once; the logarithm is the C library's.

    >>> sizes = Sizes(posts=100, recent=10)
    >>> round(score(5 * RECENT + 5, sizes), 3)
    26.004
    >>> score(10, sizes) < 0.0 == score(RECENT + 10, sizes)
    True
    """
    a, r = recent(count), total(count)
    n, n1, n0, b = sizes.posts, sizes.recent, sizes.before, r - a
    g = 2 * (
        _term(a, n1 * r, n)
        + _term(b, n0 * r, n)
        + _term(n1 - a, n1 * (n - r), n)
        + _term(n0 - b, n0 * (n - r), n)
    )
    rise = a * n0 - b * n1
    return math.copysign(max(g, 0.0), rise) if rise else 0.0


def _term(observed: int, expected: int, posts: int) -> float:
    return observed * math.log(observed * posts / expected) if observed else 0.0


def p_value(score: float, tests: int) -> float:
    """Return how probable such a rise of one of so many things is by chance; 1.0 for no rise.

    It is Bonferroni's, one-sided. It takes posts for independent, which copies of one another are
    not: it keeps chance out, and says nothing about what matters.
    """
    return min(1.0, tests * math.erfc(math.sqrt(score / 2)) / 2) if score > 0.0 else 1.0


def least_score(tests: int) -> float:
    """Return a score that all of those exceed whose p-value is below LEVEL, by very little."""
    low, high = 0.0, CERTAIN
    while high - low > 1e-6:
        middle = (low + high) / 2
        if p_value(middle, tests) < LEVEL:
            high = middle
        else:
            low = middle
    return max(0.0, low - 1e-6)


class Bound:
    """The highest score that anything in so many recent posts may have: that of none before."""

    def __init__(self, sizes: Sizes) -> None:
        """Remember what was computed: nearly all words are in few posts."""
        self.of_recent = cache(lambda a: self._of_recent(a, sizes))

    @staticmethod
    def _of_recent(a: int, sizes: Sizes) -> float:
        # Doubles are rounded. Terms near N * log(1) are off by up to N * 2**-52, and a sum of them
        # must not come out below the score of what it bounds.
        slack = 1e-14 * sizes.posts
        return score(a * RECENT + a, sizes) * (1 + 1e-9) + slack if a else 0.0

    def least_recent(self, least: float, sizes: Sizes) -> int:
        """Return in how many recent posts something must be to score more than `least`."""
        low, high = 0, sizes.recent + 1
        while low < high:
            middle = (low + high) // 2
            if middle <= sizes.recent and self.of_recent(middle) <= least:
                low = middle + 1
            else:
                high = middle
        return low


@dataclass(frozen=True, slots=True)
class RisingWord:
    """A word, its count of `recency`, and its score."""

    word: str
    count: int
    score: float


def rising_words(counts: Iterable[Counted], sizes: Sizes, k: int) -> list[RisingWord]:
    """Return the k words of the highest scores by (-score, word) that may be listed."""
    least = least_score(sizes.words)
    enough = RECENT * Bound(sizes).least_recent(least, sizes)
    score_of = cache(lambda count: score(count, sizes))
    scored = ((-score_of(n), word, n) for word, n in counts if n >= enough)
    best = nsmallest(k, (one for one in scored if -one[0] > least))
    return [RisingWord(word, count, -minus) for minus, word, count in best]


def merge_rising(tops: Iterable[Sequence[RisingWord]], sizes: Sizes, k: int) -> list[RisingWord]:
    """Return the k first of several rankings of different words, those by chance left out."""
    first = islice(merge(*tops, key=lambda word: (-word.score, word.word)), k)
    return [word for word in first if p_value(word.score, sizes.words) < LEVEL]


def tests_of_pairs(sizes: Sizes) -> int:
    """Return of how many pairs the words of a window may be."""
    return sizes.words * (sizes.words - 1) // 2
