"""Counting the pairs of words in posts, and weighing them exactly."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import islice

import numpy as np
import numpy.typing as npt
from scipy import sparse

from dfpipe.ranking import Candidates, Mark
from dfpipe.word_sets import WordSets

Ints = npt.NDArray[np.int64]
Weighted = tuple[str, str, int, float]  # w1 < w2, posts with both, log_weight


def among(sets: WordSets, index: Mapping[str, int]) -> sparse.csr_matrix:
    """Return the 0/1 matrix of posts by the words of `index` alone, without the empty rows."""
    column = np.fromiter((index.get(w, -1) for w in sets.words), np.int32, len(sets.words))
    columns = column[sets.indices]
    kept = columns >= 0
    lengths = np.diff(np.concatenate(([0], np.cumsum(kept)))[sets.indptr])
    indptr = np.concatenate(([0], np.cumsum(lengths[lengths > 0])))
    ones = np.ones(int(indptr[-1]), np.int64)
    shape = (len(indptr) - 1, len(index))
    return sparse.csr_matrix((ones, columns[kept], indptr), shape=shape)


@dataclass(frozen=True, slots=True)
class PairCounts:
    """In how many posts pairs of candidates are together.

    The pair of the candidates i < j has the code i * (number of candidates) + j; `codes` are
    ascending and distinct, `counts` beside them.
    """

    codes: Ints
    counts: Ints

    def shards(self, n: int) -> Iterable[tuple[int, "PairCounts"]]:
        """Split into the pairs of each code modulo `n`; empty shards are left out."""
        shard = self.codes % n
        for i in np.unique(shard).tolist():
            chosen = shard == i
            yield i, PairCounts(self.codes[chosen], self.counts[chosen])


NO_PAIRS = PairCounts(np.empty(0, np.int64), np.empty(0, np.int64))


def count_pairs(
    matrices: Sequence[sparse.csr_matrix], leads: Sequence[int] | None = None
) -> PairCounts:
    """Count the pairs within the rows of 0/1 matrices of posts by the same candidates.

    With `leads` only those pairs are counted whose first word has one of these positions.
    """
    if not matrices:
        return NO_PAIRS
    posts = sparse.vstack(matrices, format="csr")
    size = posts.shape[1]
    rows = np.arange(size) if leads is None else np.array(leads, np.int64)
    together = ((posts if leads is None else posts[:, rows]).T @ posts).tocoo()
    first = rows[together.row]
    kept = first < together.col
    codes = first[kept] * size + together.col[kept]
    return add_pairs([PairCounts(codes, together.data[kept])])


def add_pairs(parts: Sequence[PairCounts]) -> PairCounts:
    """Add up pair counts, in any order and with codes in any order."""
    if not parts:
        return NO_PAIRS
    codes = np.concatenate([part.codes for part in parts])
    counts = np.concatenate([part.counts for part in parts])
    distinct, position = np.unique(codes, return_inverse=True)
    sums = np.zeros(len(distinct), np.int64)
    np.add.at(sums, position, counts)
    return PairCounts(distinct, sums)


def top_pairs(pairs: PairCounts, words: Candidates, posts: int, k: int) -> list[Weighted]:
    """Return the k pairs of the highest log_weight by (-log_weight, w1, w2), none that weighs 0.

    log_weight = n * log(N / max(df1, df2)), with the C library's logarithm (math.log: numpy's may
    differ in the last bit), taken once a word; the product of doubles is the same in numpy.
    """
    if not len(pairs.codes):
        return []
    size, names = len(words), words.words
    df = np.array(words.df)
    logs = np.array([math.log(posts / count) for count in words.df])
    first, second = pairs.codes // size, pairs.codes % size
    weights = pairs.counts * np.where(df[first] >= df[second], logs[first], logs[second])
    kept = weights > 0.0
    if np.count_nonzero(kept) > k:
        kept = weights >= max(np.partition(weights, -k)[-k], np.nextafter(0.0, 1.0))
    # Codes ascend with (w1, w2), and the sort is stable.
    chosen = np.flatnonzero(kept)
    chosen = chosen[np.argsort(-weights[chosen], kind="stable")][:k]
    return [
        (names[first[i]], names[second[i]], int(pairs.counts[i]), float(weights[i])) for i in chosen
    ]


def merge_top_pairs(tops: Iterable[Sequence[Weighted]], k: int) -> list[Weighted]:
    """Return the k first of several rankings of `top_pairs` over different pairs."""
    return list(islice(merge(*tops, key=_by_weight), k))


def _by_weight(pair: Weighted) -> tuple[float, str, str]:
    return -pair[3], pair[0], pair[1]


def mark(ranked: Sequence[Weighted], words: Candidates, k: int) -> Mark | None:
    """Return what a pair that is not among `words` must attain, None if `ranked` is final.

    `ranked` are the k best pairs among `words`. They are the k best of all where the last of them
    weighs more than any pair with a word that was left out; a tie would be decided by the words.
    """
    first, _, _, weight = ranked[k - 1] if len(ranked) >= k else ("", "", 0, 0.0)
    final = weight > words.left_out or words.left_out == 0.0
    return None if final else Mark(weight, first)
