"""Counting the pairs of words in posts, and ranking them exactly."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import merge
from itertools import islice, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dfpipe.analysis.ranking import Candidates, Floats, Ints, Mark, Measure
from dfpipe.analysis.recency import total, unit
from dfpipe.analysis.word_sets import WordSets

Bools = npt.NDArray[np.bool_]
AT_ONCE = 1_000_000  # pairs, some 60 MB
ALL_HELD = 4_000_000  # pairs: where candidates cannot have more, all may be held, some 130 MB
LISTED = 2_000_000  # pairs held with their counts where candidates may have more, some 200 MB
# Candidates in a post: where pairs are listed, one with more is handed on as it is, as it may have
# millions of pairs.
LONG = 64


class Weighted(NamedTuple):
    """A pair, w1 < w2, and what it weighs by a measure.

    `posts` is how many posts have it, a count of `recency`; `larger` how many have its more
    frequent word.
    """

    w1: str
    w2: str
    posts: int
    larger: int
    weight: float


@dataclass(frozen=True, slots=True)
class Found:
    """The candidates in some posts: post after post their positions, ascending within each.

    All of the posts are recent, or none is.
    """

    positions: Ints
    lengths: Ints  # of each post, by number of candidates
    is_recent: bool = False

    def split(self) -> tuple["Found", "Found"]:
        """Split into the posts that are not long and those that are, the latter in fewer bytes."""
        long = self.lengths > LONG
        of_long = np.repeat(long, self.lengths)
        return (
            replace(self, positions=self.positions[~of_long], lengths=self.lengths[~long]),
            replace(
                self,
                positions=self.positions[of_long].astype(np.int32),
                lengths=self.lengths[long],
            ),
        )


def among(sets: WordSets, index: Mapping[str, int], is_recent: bool = False) -> Found:
    """Find the words of `index`, given with their positions, in posts; empty posts are left out."""
    found = in_each(sets, index)
    return Found(found.positions, found.lengths[found.lengths > 0], is_recent)


def in_each(sets: WordSets, index: Mapping[str, int]) -> Found:
    """Find the words of `index` in posts, those included that have none of them."""
    position = np.fromiter((index.get(w, -1) for w in sets.words), np.int64, len(sets.words))
    positions = position[sets.indices]
    kept = positions >= 0
    lengths = np.diff(np.concatenate(([0], np.cumsum(kept)))[sets.indptr])
    post = np.repeat(np.arange(len(lengths)), lengths) * len(index)
    return Found(np.sort(positions[kept] + post) - post, lengths)


@dataclass(frozen=True, slots=True)
class PairCounts:
    """In how many posts pairs of candidates are together.

    The pair of the candidates i < j has the code i * (number of candidates) + j; `codes` are
    ascending and distinct, `counts` (of `recency`) beside them.
    """

    codes: Ints
    counts: Ints

    def shards(self, n: int, size: int) -> Iterable[tuple[int, "PairCounts"]]:
        """Split into the pairs of each shard (see `shards_of`); empty shards are left out."""
        if not len(self.codes):
            return
        shard = shards_of(self.codes // size, n)
        order = np.argsort(shard, kind="stable")
        for chosen in np.split(order, np.flatnonzero(np.diff(shard[order])) + 1):
            yield int(shard[chosen[0]]), self.where(chosen)

    def where(self, chosen: Ints | Bools) -> "PairCounts":
        """Return the pairs at some places."""
        return PairCounts(self.codes[chosen], self.counts[chosen])


NO_PAIRS = PairCounts(np.empty(0, np.int64), np.empty(0, np.int64))


def shards_of(positions: Ints, shards: int) -> Ints:
    """Return in which of so many shards the pairs are that begin with these candidates."""
    return positions % shards


def all_held(size: int) -> bool:
    """Whether all possible pairs of that many candidates may be held."""
    return size * (size - 1) // 2 <= ALL_HELD


class PairCounter:
    """Counts the pairs of `size` candidates within posts.

    With `leads` only those pairs are counted whose first word has one of these positions.
    """

    def __init__(self, size: int, leads: Sequence[int] | Ints | None = None) -> None:
        """Count nothing yet; `leads` are positions among the candidates."""
        self._size = size
        self._leads = None if leads is None else _mask(size, leads)
        self.clear()

    def clear(self) -> None:
        """Forget all counts, to count other posts."""
        self._sum = Sum()

    @property
    def is_full(self) -> bool:
        """Whether more pairs are held than should be."""
        return self._sum.held > LISTED and not all_held(self._size)

    def following(self, found: Found) -> Ints:
        """Return for each word in posts the number of pairs that begin with it."""
        following = following_in_post(found)
        return following if self._leads is None else following * self._leads[found.positions]

    def shards_with(self, found: Found, shards: int) -> list[int]:
        """Return the shards that pairs in posts may be in."""
        leads = found.positions
        if self._leads is not None:
            leads = leads[self._leads[leads]]
        shard: list[int] = np.unique(shards_of(leads, shards)).tolist()
        return shard

    def codes(self, parts: Sequence[Found]) -> Iterator[Ints]:
        """Give the codes of the pairs in posts, to be added: about a million at a time."""
        if not parts:
            return
        found = Found(
            np.concatenate([part.positions for part in parts]).astype(np.int64, copy=False),
            np.concatenate([part.lengths for part in parts]),
        )
        for _, codes in pair_codes(found.positions, self.following(found), self._size):
            yield codes

    def add(self, codes: Ints, is_recent: bool = False) -> None:
        """Count each of the codes once, as `codes` gives them."""
        codes, counts = np.unique(codes, return_counts=True)
        self._sum.add(PairCounts(codes, counts * unit(is_recent)))

    def counts(self) -> PairCounts:
        """Return the counts since the last `clear`, by ascending code."""
        return self._sum.total()


def _mask(size: int, positions: Sequence[int] | Ints) -> Bools:
    mask = np.zeros(size, np.bool_)
    mask[positions] = True
    return mask


def following_in_post(found: Found) -> Ints:
    """Return for each word in posts how many words follow it in its post."""
    lengths = found.lengths
    ends: Ints = np.repeat(np.cumsum(lengths), lengths)
    return ends - np.arange(1, len(found.positions) + 1)


def pair_codes(positions: Ints, following: Ints, size: int) -> Iterator[tuple[Ints, Ints]]:
    """Give the pairs of each word with so many that follow it: about a million at a time.

    They come as the places of their first words, and their codes.
    """
    starts = np.arange(0, following.sum(), AT_ONCE)
    bounds = np.searchsorted(np.cumsum(following), starts, "right")
    for start, end in pairwise((*np.unique(bounds).tolist(), len(following))):
        n = following[start:end]
        first = np.repeat(np.arange(start, end), n)
        # 1, 2, 3, ... for the pairs of each word
        distance = np.arange(1, len(first) + 1) - np.repeat(np.cumsum(n) - n, n)
        yield first, positions[first] * size + positions[first + distance]


def add_pairs(parts: Sequence[PairCounts]) -> PairCounts:
    """Return the sum of pair counts, by ascending code, each code once."""
    parts = [part for part in parts if len(part.codes)]
    if len(parts) < 2:
        return parts[0] if parts else NO_PAIRS
    codes = np.concatenate([part.codes for part in parts])
    order = np.argsort(codes, kind="stable")
    codes = codes[order]
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    counts = np.concatenate([part.counts for part in parts])[order]
    return PairCounts(codes[starts], np.add.reduceat(counts, starts))


class Sum:
    """Pair counts added up as they come: in linear time, holding twice as many as there are.

    At least `waiting` pairs, or as many as the sum has, are collected before they are added to it.
    """

    def __init__(self, waiting: int = 100_000) -> None:
        """Hold no pairs yet."""
        self._waiting = waiting
        self._parts = [NO_PAIRS]
        self.held = 0  # pairs

    def add(self, part: PairCounts) -> None:
        """Hold counts, and add them to the sum when there are enough."""
        self._parts.append(part)
        self.held += len(part.codes)
        added = len(self._parts[0].codes)
        if self.held - added > max(self._waiting, added):
            self.total()

    def total(self) -> PairCounts:
        """Return the sum of all that was added so far."""
        self._parts = [add_pairs(self._parts)]
        self.held = len(self._parts[0].codes)
        return self._parts[0]


class Weights:
    """What pairs of candidates weigh by a measure."""

    def __init__(self, words: Candidates, measure: Measure) -> None:
        """Take what is the same for all pairs."""
        self.names = words.words
        self.least = measure.least
        self.bounds = np.array([measure.bound(count) for count in words.counts])
        self._df = total(np.array(words.counts, np.int64))
        self._weigh = measure.weigher(words)

    def of(self, pairs: PairCounts) -> Floats:
        """Return the weight of each pair."""
        return self._weigh(pairs.counts, self._larger(pairs.codes))

    def _larger(self, codes: Ints) -> Ints:
        """Return the position of each pair's more frequent word."""
        first, second = codes // len(self.names), codes % len(self.names)
        return np.where(self._df[first] >= self._df[second], first, second)

    def rows(self, pairs: PairCounts, weights: Floats) -> list[Weighted]:
        """Return pairs with their weights as what they are."""
        larger = self._df[self._larger(pairs.codes)]
        names, size = self.names, len(self.names)
        columns = (pairs.codes, pairs.counts, larger, weights)
        return [
            Weighted(names[code // size], names[code % size], count, df, weight)
            for code, count, df, weight in zip(*(c.tolist() for c in columns), strict=True)
        ]


def top_pairs(pairs: PairCounts, weights: Weights, k: int) -> list[Weighted]:
    """Return the k pairs that weigh most by (-weight, w1, w2), of those above the least."""
    if not len(pairs.codes):
        return []
    weight = weights.of(pairs)
    kept = weight > weights.least
    if np.count_nonzero(kept) > k:
        kept &= weight >= np.partition(weight, -k)[-k]
    # Codes ascend with (w1, w2), and the sort is stable.
    chosen = np.flatnonzero(kept)
    chosen = chosen[np.argsort(-weight[chosen], kind="stable")][:k]
    return weights.rows(pairs.where(chosen), weight[chosen])


@dataclass(frozen=True, slots=True)
class ShardOfPairs:
    """All pairs that begin with a candidate of one shard.

    `parts` are pairs that have been counted, and long posts whose pairs have not; they are gone
    over again and again, and never held.
    """

    shard: int
    shards: int
    parts: Iterable[PairCounts | Found]

    def top(self, words: Candidates, measure: Measure, k: int) -> list[Weighted]:
        """Return the k first pairs, as `top_pairs` does."""
        weights = Weights(words, measure)
        counts = Sum()
        for part in self.parts:
            if isinstance(part, PairCounts):
                counts.add(part)
        counted = counts.total()
        if all_held(len(words)):  # and no long posts
            return top_pairs(counted, weights, k)
        top: list[Weighted] = []
        for leads in self._leads(words, weights):
            if _beyond(weights, leads[0], top, k):
                break
            pairs = self._beginning_with(leads, counted, len(words))
            top = merge_top_pairs([top, top_pairs(pairs, weights, k)], k)
        return top

    def _long(self) -> Iterator[Found]:
        return (part for part in self.parts if isinstance(part, Found))

    def _leads(self, words: Candidates, weights: Weights) -> list[Ints]:
        """Return the words that begin pairs by (-bound, word), as many at a time as bounded."""
        size = len(words)
        counter = PairCounter(size, words.leads)
        pairs = np.zeros(size, np.int64)
        for found in self._long():
            np.add.at(pairs, found.positions, counter.following(found))
        leads = np.argsort(-weights.bounds, kind="stable")
        leads = leads[shards_of(leads, self.shards) == self.shard]
        if words.leads is not None:
            leads = leads[_mask(size, words.leads)[leads]]
        part = np.cumsum(pairs[leads]) // LISTED
        return [some for some in np.split(leads, np.flatnonzero(np.diff(part)) + 1) if len(some)]

    def _beginning_with(self, leads: Ints, counted: PairCounts, size: int) -> PairCounts:
        counter = PairCounter(size, leads)
        for found in self._long():
            for codes in counter.codes([found]):
                counter.add(codes, found.is_recent)
        return add_pairs(
            [counter.counts(), counted.where(_mask(size, leads)[counted.codes // size])]
        )


def _beyond(weights: Weights, lead: int, top: Sequence[Weighted], k: int) -> bool:
    """Whether no pair that begins with a word is among the k best any more."""
    most = weights.bounds[lead]
    if len(top) < k:
        return bool(most <= weights.least)
    last = top[-1]
    name = weights.names[lead]
    return bool(most < last.weight or (most == last.weight and name > last.w1))


def merge_top_pairs(tops: Iterable[Sequence[Weighted]], k: int) -> list[Weighted]:
    """Return the k first of several rankings of `top_pairs` over different pairs."""
    return list(islice(merge(*tops, key=_by_weight), k))


def _by_weight(pair: Weighted) -> tuple[float, str, str]:
    return -pair.weight, pair.w1, pair.w2


def marks(
    rankings: Sequence[Sequence[Weighted]],
    words: Candidates,
    measures: Sequence[Measure],
    k: int,
) -> list[Mark | None]:
    """Return for each measure what a pair that is not among `words` must attain.

    That is None if its ranking is final. `rankings` are the k best pairs among `words`. They are
    the k best of all where the last of them weighs more than any pair with a word that was left
    out; a tie would be decided by the words.
    """
    each = zip(rankings, words.left_out, measures, strict=True)
    return [_mark(ranked, left_out, measure, k) for ranked, left_out, measure in each]


def _mark(ranked: Sequence[Weighted], left_out: float, measure: Measure, k: int) -> Mark | None:
    last = ranked[k - 1] if len(ranked) >= k else None
    mark = Mark(last.weight, last.w1) if last else Mark(measure.least, "")
    return None if mark.weight > left_out or left_out == 0.0 else mark
