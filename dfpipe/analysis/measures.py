"""The two measures that pairs of words are ranked by: how telling they are, and how they rise."""

import math
from collections.abc import Callable

import numpy as np

from dfpipe.analysis import rising
from dfpipe.analysis.ranking import Candidates, Floats, Ints, Measure
from dfpipe.analysis.recency import Sizes, recent, total


class LogWeight:
    """n * log(N / max(df1, df2)) of a pair in n of N posts."""

    least = 0.0

    def __init__(self, sizes: Sizes) -> None:
        """Take the number of posts that count, n in the formulas."""
        self._posts = sizes.posts

    def bound(self, count: int) -> float:
        """Return a weight that no pair with a word in so many posts exceeds.

        For either word n <= df and N / max(df1, df2) <= N / df. With fewer than 2**40 posts doubles
        tell any two such n and any two such quotients apart, so that the same holds for the rounded
        values, and a pair that attains the bound is one of two words with the same df that are
        always together.
        """
        df = total(count)
        return df * math.log(self._posts / df)

    def weigher(self, words: Candidates) -> Callable[[Ints, Ints], Floats]:
        """Return what weighs pairs.

        The logarithm is the C library's (math.log: numpy's may differ in the last bit), taken once
        a word; the product of doubles is the same in numpy.
        """
        logs = np.array([math.log(self._posts / total(count)) for count in words.counts])
        return lambda counts, larger: total(counts) * logs[larger]


class Score:
    """How surely a pair is in more of the recent posts: `rising.score`."""

    def __init__(self, sizes: Sizes) -> None:
        """Take the sizes of the window, which say how high a score chance reaches."""
        self._sizes = sizes
        self._bound = rising.Bound(sizes)
        self.least = rising.least_score(rising.tests_of_pairs(sizes))

    def bound(self, count: int) -> float:
        """Return a score that no pair with a word in so many recent posts exceeds.

        A pair in as many or fewer recent posts and in b others scores less the larger b is.
        """
        return self._bound.of_recent(recent(count))

    def weigher(self, words: Candidates) -> Callable[[Ints, Ints], Floats]:
        """Return what scores pairs: exactly where that is above `least`, and 0.0 elsewhere."""
        enough = self._bound.least_recent(self.least, self._sizes)

        def scores(counts: Ints, _: Ints) -> Floats:
            found = np.zeros(len(counts))
            chosen = np.flatnonzero(recent(counts) >= enough)
            # Few counts are distinct: the exact sum is taken once for each.
            distinct, places = np.unique(counts[chosen], return_inverse=True)
            exact = [rising.score(count, self._sizes) for count in distinct.tolist()]
            found[chosen] = np.array(exact, np.float64)[places]
            return found

        return scores


def measures(sizes: Sizes) -> tuple[Measure, Measure]:
    """Return the measures of a window's pairs, in the order of their rankings."""
    return LogWeight(sizes), Score(sizes)
