"""The pairs of words that tell most, exactly, without counting more pairs than needed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import AsList, AsSingleton
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from dfpipe import pairs, progress, ranking
from dfpipe.pairs import Found, PairCounter, PairCounts, Weighted
from dfpipe.ranking import Candidates
from dfpipe.tokenizing import Tally
from dfpipe.transforms.once import Once
from dfpipe.transforms.top_counts import Shard
from dfpipe.word_sets import WordSets


@dataclass
class PairRankings(beam.PTransform):
    """Rank the k pairs of the highest log_weight by (-log_weight, w1, w2).

    The pairs among the `candidates` words of the highest bound are counted first. The k-th of them
    is a score that every word of a ranked pair can reach: nearly always no word but the candidates
    can, and the ranking is final. Otherwise the pairs of all the words that can are counted anew.
    """

    k: int
    candidates: int
    shards: int

    def expand(self, inputs: Any) -> beam.PCollection:
        """Take (WordSets, shards of CountInShards, one Tally); give one list of Weighted."""
        sets, counts, tally = inputs
        n = AsSingleton(tally)
        likely = AsSingleton(counts | "MostPromising" >> _Candidates(self.candidates, n))
        first = sets | "RankLikely" >> _RankAmong(likely, self.k, self.shards, n)
        ranked = AsSingleton(first)
        reaching = counts | "Survivors" >> _Survivors(self.k, ranked, likely, n)
        again = sets | "RankAll" >> _RankAmong(AsSingleton(reaching), self.k, self.shards, n)
        k = self.k

        def choose(
            first: list[Weighted], likely: Candidates, again: list[Weighted]
        ) -> list[Weighted]:
            return first if pairs.mark(first, likely, k) is None else again

        return sets.pipeline | "Choose" >> Once(choose, ranked, likely, AsSingleton(again))


@dataclass
class _Candidates(beam.PTransform):
    limit: int
    tally: AsSingleton

    def expand(self, counts: beam.PCollection) -> beam.PCollection:
        limit = self.limit

        def of_shard(shard: Shard, tally: Tally) -> Candidates:
            return ranking.candidates(shard[1].items(), tally.posts, limit)

        def of_all(parts: Sequence[Candidates], tally: Tally) -> Candidates:
            return ranking.merge_candidates(parts, tally.posts, limit)

        best = counts | "BestOfShard" >> beam.Map(of_shard, self.tally)
        return counts.pipeline | Once(of_all, AsList(best), self.tally)


@dataclass
class _Survivors(beam.PTransform):
    """Give the words that a ranked pair may have; none where the first ranking is final."""

    k: int
    ranked: AsSingleton
    likely: AsSingleton
    tally: AsSingleton

    def expand(self, counts: beam.PCollection) -> beam.PCollection:
        k = self.k

        def of_shard(
            shard: Shard, ranked: list[Weighted], likely: Candidates, tally: Tally
        ) -> Candidates:
            mark = pairs.mark(ranked, likely, k)
            if mark is None:
                return Candidates()
            return ranking.survivors(shard[1].items(), tally.posts, mark)

        def of_all(
            parts: Sequence[Candidates], ranked: list[Weighted], likely: Candidates, tally: Tally
        ) -> Candidates:
            mark = pairs.mark(ranked, likely, k)
            return ranking.join_survivors(parts, tally.posts, mark) if mark else Candidates()

        views = (self.ranked, self.likely, self.tally)
        reaching = counts | "Reaching" >> beam.Map(of_shard, *views)
        return counts.pipeline | Once(of_all, AsList(reaching), *views)


@dataclass
class _RankAmong(beam.PTransform):
    words: AsSingleton
    k: int
    shards: int
    tally: AsSingleton

    def expand(self, sets: beam.PCollection) -> beam.PCollection:
        k = self.k

        def of_shard(
            shard: tuple[int, PairCounts], words: Candidates, tally: Tally
        ) -> list[Weighted]:
            return pairs.top_pairs(shard[1], words, tally.posts, k)

        def add_shard(shard: int, counts: Iterable[PairCounts]) -> tuple[int, PairCounts]:
            return shard, pairs.add_many(counts)

        tops = (
            sets
            | "CountPairs"
            >> beam.ParDo(_CountPairs(self.shards), self.words).with_output_types(
                tuple[int, PairCounts]
            )
            | "GatherPairs" >> beam.GroupByKey()
            | "AddPairs" >> beam.MapTuple(add_shard).with_output_types(tuple[int, PairCounts])
            | "TopOfShard" >> beam.Map(of_shard, self.words, self.tally)
        )
        return sets.pipeline | Once(lambda listed: pairs.merge_top_pairs(listed, k), AsList(tops))


class _CountPairs(beam.DoFn):
    """Counts pairs by arrays over many posts at once, within bounded memory."""

    LIMIT = 2_000_000  # words of posts held, some 60 MB with what is made of them
    PAIRS = 4_000_000  # pairs held, 64 MB, where the candidates may have very many

    def __init__(self, shards: int) -> None:
        self.shards = shards
        self.counted = Metrics.counter("dfpipe", "pairs_counted")
        self.pruned = Metrics.counter("dfpipe", "words_pruned")

    def start_bundle(self) -> None:
        self.words: Candidates | None = None
        self.index: dict[str, int] = {}
        self.counter = PairCounter(0)
        self.found: list[Found] = []
        self.held = 0

    def process(self, sets: WordSets, words: Candidates) -> Iterable[Any]:
        if not words:
            return
        progress.stage("counting pairs")
        if words is not self.words:
            self.words, self.index = words, words.index()
            self.counter = PairCounter(len(words), words.leads)
        found = pairs.among(sets, self.index)
        self.pruned.inc(len(sets.indices) - len(found.positions))
        self.found.append(found)
        self.held += len(found.positions)
        if self.held > self.LIMIT:
            self._count()
            if len(self.counter) > self.PAIRS:
                yield from self.counter.counts().shards(self.shards)
                self.counter.clear()

    def finish_bundle(self) -> Iterable[WindowedValue]:
        self._count()
        window = GlobalWindow()
        for shard in self.counter.counts().shards(self.shards):
            yield WindowedValue(shard, window.max_timestamp(), [window])
        self.counter = PairCounter(0)

    def _count(self) -> None:
        self.counted.inc(self.counter.add(self.found))
        self.found, self.held = [], 0
