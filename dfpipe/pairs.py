"""Counting the pairs of words in posts, and weighing them exactly."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import islice, pairwise

import numpy as np
import numpy.typing as npt

from dfpipe.ranking import Candidates, Mark
from dfpipe.word_sets import WordSets

Ints = npt.NDArray[np.int64]
AT_ONCE = 1_000_000  # pairs, some 60 MB
CELLS = 8_000_000  # pairs that candidates may have, 64 MB
Weighted = tuple[str, str, int, float]  # w1 < w2, posts with both, log_weight


@dataclass(frozen=True, slots=True)
class Found:
    """The candidates in some posts: post after post their positions, ascending within each."""

    positions: Ints
    lengths: Ints  # of each post, by number of candidates


def among(sets: WordSets, index: Mapping[str, int]) -> Found:
    """Find the words of `index`, given with their positions, in posts; empty posts are left out."""
    position = np.fromiter((index.get(w, -1) for w in sets.words), np.int64, len(sets.words))
    positions = position[sets.indices]
    kept = positions >= 0
    lengths = np.diff(np.concatenate(([0], np.cumsum(kept)))[sets.indptr])
    post = np.repeat(np.arange(len(lengths)), lengths) * len(index)
    ordered = np.sort(positions[kept] + post) - post
    return Found(ordered, lengths[lengths > 0])


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


class PairCounter:
    """Counts the pairs of `size` candidates within posts, a million pairs at a time.

    With `leads` only those pairs are counted whose first word has one of these positions.
    """

    def __init__(self, size: int, leads: Sequence[int] | None = None) -> None:
        """Begin with nothing."""
        self._size = size
        self._leads = leads
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        # By code: the quickest form, where it is not too large.
        self._cells = np.zeros(self._size**2, np.int64) if self._size**2 <= CELLS else None
        self._listed = NO_PAIRS

    def __len__(self) -> int:
        """How many pairs are held that may become ever more."""
        return len(self._listed.codes)

    def add(self, found: Sequence[Found]) -> int:
        """Count the pairs of posts; returns how many there are."""
        if not found:
            return 0
        positions = np.concatenate([part.positions for part in found])
        lengths = np.concatenate([part.lengths for part in found])
        # Each word is paired with those that follow it in its post.
        following = np.repeat(np.cumsum(lengths), lengths) - np.arange(1, len(positions) + 1)
        if self._leads is not None:
            following[~np.isin(positions, self._leads)] = 0
        starts = np.arange(0, following.sum(), AT_ONCE)
        bounds = np.searchsorted(np.cumsum(following), starts, "right")
        for start, end in pairwise((*np.unique(bounds).tolist(), len(positions))):
            self._add_codes(_codes(positions, following, start, end, self._size))
        return int(following.sum())

    def _add_codes(self, codes: Ints) -> None:
        if self._cells is not None:
            self._cells += np.bincount(codes, minlength=len(self._cells))
        else:
            counted = PairCounts(*np.unique(codes, return_counts=True))
            self._listed = add_pairs([self._listed, counted])

    def counts(self) -> PairCounts:
        """What was counted."""
        if self._cells is None:
            return self._listed
        codes = np.flatnonzero(self._cells)
        return PairCounts(codes, self._cells[codes])


def _codes(positions: Ints, following: Ints, start: int, end: int, size: int) -> Ints:
    """Return the codes of the pairs that begin with the words from `start` to `end`."""
    n = following[start:end]
    first = np.repeat(np.arange(start, end), n)
    # 1, 2, 3, ... for the pairs of each word
    distance = np.arange(1, len(first) + 1) - np.repeat(np.cumsum(n) - n, n)
    codes: Ints = positions[first] * size + positions[first + distance]
    return codes


def add_pairs(parts: Sequence[PairCounts]) -> PairCounts:
    """Add up pair counts."""
    parts = [part for part in parts if len(part.codes)]
    if len(parts) < 2:
        return parts[0] if parts else NO_PAIRS
    codes = np.concatenate([part.codes for part in parts])
    order = np.argsort(codes, kind="stable")
    codes = codes[order]
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    counts = np.concatenate([part.counts for part in parts])[order]
    return PairCounts(codes[starts], np.add.reduceat(counts, starts))


def add_many(parts: Iterable[PairCounts], waiting: int = 100_000) -> PairCounts:
    """Add up pair counts as they come: in linear time, holding twice as many as there are.

    So many pairs, or as many as the sum has, wait to be added to it.
    """
    held, size, limit = [NO_PAIRS], 0, waiting
    for part in parts:
        held.append(part)
        size += len(part.codes)
        if size > limit:
            held = [add_pairs(held)]
            size, limit = 0, max(waiting, len(held[0].codes))
    return add_pairs(held)


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
