"""The pairs of words that tell most, exactly, without counting more pairs than needed."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import AsList, AsSingleton
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from dfpipe import progress
from dfpipe.analysis import pairs, ranking
from dfpipe.analysis.level import LEVEL
from dfpipe.analysis.measures import measures
from dfpipe.analysis.pairs import Found, PairCounter, PairCounts, ShardOfPairs, Weighted
from dfpipe.analysis.ranking import Candidates
from dfpipe.analysis.recency import Sizes
from dfpipe.analysis.rising import p_value, tests_of_pairs
from dfpipe.analysis.tokenizing import TokenBatch
from dfpipe.transforms.once import Once, Packed
from dfpipe.transforms.top_counts import Shard


class RankedPairs(NamedTuple):
    """By each of `measures`: pairs by (-log_weight, w1, w2), and by (-score, w1, w2)."""

    telling: list[Weighted]
    rising: list[Weighted]


@dataclass
class PairRankings(beam.PTransform):
    """Rank the k pairs of the highest log_weight and of the highest score, ties by (w1, w2).

    Of the rising ones those by chance are then left out.

    The pairs among the `candidates` words of the highest bounds are counted first. The k-th of them
    is a weight that every word of a ranked pair can reach: nearly always no word but the candidates
    can, and the ranking is final. Otherwise the pairs of all the words that can are counted anew.
    """

    k: int
    candidates: int
    shards: int

    def expand(self, inputs: Any) -> beam.PCollection:
        """Take (TokenBatch, shards of CountInShards, one Sizes); give one RankedPairs."""
        batches, counts, one = inputs
        sizes = AsSingleton(one)
        likely = AsSingleton(counts | "MostPromising" >> _Candidates(self.candidates, sizes))
        first = batches | "RankLikely" >> _RankAmong(likely, self.k, self.shards, sizes)
        ranked = AsSingleton(first)
        reaching = counts | "Survivors" >> _Survivors(self.k, ranked, likely, sizes)
        again = batches | "RankAll" >> _RankAmong(AsSingleton(reaching), self.k, self.shards, sizes)
        k = self.k

        def choose(
            first: RankedPairs, likely: Candidates, again: RankedPairs, sizes: Sizes
        ) -> RankedPairs:
            marks = pairs.marks(first, likely, measures(sizes), k)
            telling, rising = (
                some if mark is None else more
                for some, mark, more in zip(first, marks, again, strict=True)
            )
            return RankedPairs(telling, not_by_chance(rising, sizes))

        return batches.pipeline | "Choose" >> Once(
            choose, ranked, likely, AsSingleton(again), sizes
        )


def not_by_chance(pairs: Iterable[Weighted], sizes: Sizes) -> list[Weighted]:
    """Return the pairs whose p-values are low enough for them to be listed."""
    tests = tests_of_pairs(sizes)
    return [pair for pair in pairs if p_value(pair.weight, tests) < LEVEL]


@dataclass
class _Candidates(beam.PTransform):
    limit: int
    sizes: AsSingleton

    def expand(self, counts: beam.PCollection) -> beam.PCollection:
        limit = self.limit

        def of_shard(shard: Shard, sizes: Sizes) -> Candidates:
            return ranking.candidates(shard[1].items(), measures(sizes), limit)

        def of_all(parts: Sequence[Candidates], sizes: Sizes) -> Candidates:
            return ranking.merge_candidates(parts, measures(sizes), limit)

        best = counts | "BestOfShard" >> beam.Map(of_shard, self.sizes)
        return counts.pipeline | Once(of_all, AsList(best), self.sizes)


@dataclass
class _Survivors(beam.PTransform):
    """Give the words that a ranked pair may have; none where the first rankings are final."""

    k: int
    ranked: AsSingleton
    likely: AsSingleton
    sizes: AsSingleton

    def expand(self, counts: beam.PCollection) -> beam.PCollection:
        k = self.k

        def of_shard(
            shard: Shard, ranked: Packed[RankedPairs], likely: Candidates, sizes: Sizes
        ) -> Candidates:
            by = measures(sizes)
            marks = pairs.marks(ranked.value(), likely, by, k)
            return ranking.survivors(shard[1].items(), by, marks)

        def of_all(
            parts: Sequence[Candidates], ranked: RankedPairs, likely: Candidates, sizes: Sizes
        ) -> Candidates:
            by = measures(sizes)
            return ranking.join_survivors(parts, by, pairs.marks(ranked, likely, by, k))

        views = (self.ranked, self.likely, self.sizes)
        reaching = counts | "Reaching" >> beam.Map(of_shard, *views)
        return counts.pipeline | Once(of_all, AsList(reaching), *views)


@dataclass
class _RankAmong(beam.PTransform):
    words: AsSingleton
    k: int
    shards: int
    sizes: AsSingleton

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        k, shards = self.k, self.shards

        def of_shard(
            shard: tuple[int, Iterable[PairCounts | Found]], words: Candidates, sizes: Sizes
        ) -> Packed[RankedPairs]:
            counted = ShardOfPairs(shard[0], shards, shard[1])
            return Packed.of(RankedPairs(*(counted.top(words, m, k) for m in measures(sizes))))

        def of_all(parts: Sequence[RankedPairs]) -> Packed[RankedPairs]:
            telling, rising = ([part[i] for part in parts] for i in range(2))
            merge = pairs.merge_top_pairs
            return Packed.of(RankedPairs(merge(telling, k), merge(rising, k)))

        tops = (
            batches
            | "CountPairs"
            >> beam.ParDo(_CountPairs(shards), self.words).with_output_types(tuple[int, Any])
            | "GatherPairs" >> beam.GroupByKey()
            | "TopOfShard" >> beam.Map(of_shard, self.words, self.sizes)
        )
        return batches.pipeline | Once(of_all, AsList(tops))


class _CountPairs(beam.DoFn):
    """Counts pairs by arrays over many posts at once, within bounded memory.

    Where the candidates are so many that their pairs cannot all be held, long posts go on as they
    are, to every shard that a pair of them may be in.
    """

    LIMIT = 2_000_000  # words of posts held, some 60 MB with what is made of them

    def __init__(self, shards: int) -> None:
        self.shards = shards
        self.counted = Metrics.counter("dfpipe", "pairs_counted")
        self.pruned = Metrics.counter("dfpipe", "words_pruned")

    def start_bundle(self) -> None:
        self.index: dict[str, int] = {}
        self.counter = PairCounter(0)
        self.found: dict[bool, list[Found]] = {False: [], True: []}  # of recent posts or not
        self.held = 0

    def process(self, batch: TokenBatch, words: Candidates) -> Iterable[Any]:
        if not words:
            return
        progress.stage("counting pairs")
        if not self.index:
            self.index = words.index()
            self.counter = PairCounter(len(words), words.leads)
        found = pairs.among(batch.words, self.index, batch.is_recent)
        self.pruned.inc(len(batch.words.indices) - len(found.positions))
        if not pairs.all_held(len(words)):
            found, long = found.split()
            for shard in self.counter.shards_with(long, self.shards):
                yield shard, long
        self.found[batch.is_recent].append(found)
        self.held += len(found.positions)
        if self.held > self.LIMIT:
            yield from self._count()

    def finish_bundle(self) -> Iterable[WindowedValue]:
        window = GlobalWindow()
        for shard in chain(self._count(), self._hand_on()):
            yield WindowedValue(shard, window.max_timestamp(), [window])
        self.counter = PairCounter(0)

    def _count(self) -> Iterator[tuple[int, PairCounts]]:
        """Count the pairs of what is held; gives those that would become too many."""
        for is_recent, found in self.found.items():
            for codes in self.counter.codes(found):
                self.counted.inc(len(codes))
                self.counter.add(codes, is_recent)
                if self.counter.is_full:
                    yield from self._hand_on()
            found.clear()
        self.held = 0

    def _hand_on(self) -> Iterator[tuple[int, PairCounts]]:
        yield from self.counter.counts().shards(self.shards, len(self.index))
        self.counter.clear()
