"""The pairs of words that tell most, exactly, without counting more pairs than needed."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import AsList, AsSingleton
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from dfpipe import progress
from dfpipe.analysis import pairs, ranking
from dfpipe.analysis.pairs import Found, PairCounter, PairCounts, ShardOfPairs, Weighted
from dfpipe.analysis.ranking import Candidates
from dfpipe.analysis.tokenizing import Tally
from dfpipe.analysis.word_sets import WordSets
from dfpipe.transforms.once import Once
from dfpipe.transforms.top_counts import Shard


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

        shards = self.shards

        def of_shard(
            shard: tuple[int, Iterable[PairCounts | Found]], words: Candidates, tally: Tally
        ) -> list[Weighted]:
            return ShardOfPairs(shard[0], shards, shard[1]).top(words, tally.posts, k)

        tops = (
            sets
            | "CountPairs"
            >> beam.ParDo(_CountPairs(shards), self.words).with_output_types(tuple[int, Any])
            | "GatherPairs" >> beam.GroupByKey()
            | "TopOfShard" >> beam.Map(of_shard, self.words, self.tally)
        )
        return sets.pipeline | Once(lambda listed: pairs.merge_top_pairs(listed, k), AsList(tops))


class _CountPairs(beam.DoFn):
    """Counts pairs by arrays over many posts at once, within bounded memory.

    Where the candidates are so many that their pairs cannot all have a cell, long posts go on as
    they are, to every shard that a pair of them may be in.
    """

    LIMIT = 2_000_000  # words of posts held, some 60 MB with what is made of them

    def __init__(self, shards: int) -> None:
        self.shards = shards
        self.counted = Metrics.counter("dfpipe", "pairs_counted")
        self.pruned = Metrics.counter("dfpipe", "words_pruned")

    def start_bundle(self) -> None:
        self.index: dict[str, int] = {}
        self.counter = PairCounter(0)
        self.found: list[Found] = []
        self.held = 0

    def process(self, sets: WordSets, words: Candidates) -> Iterable[Any]:
        if not words:
            return
        progress.stage("counting pairs")
        if not self.index:
            self.index = words.index()
            self.counter = PairCounter(len(words), words.leads)
        found = pairs.among(sets, self.index)
        self.pruned.inc(len(sets.indices) - len(found.positions))
        if not pairs.in_cells(len(words)):
            found, long = found.split()
            for shard in self.counter.shards_with(long, self.shards):
                yield shard, long
        self.found.append(found)
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
        for codes in self.counter.codes(self.found):
            self.counted.inc(len(codes))
            self.counter.add(codes)
            if self.counter.listed > pairs.LISTED:
                yield from self._hand_on()
        self.found, self.held = [], 0

    def _hand_on(self) -> Iterator[tuple[int, PairCounts]]:
        yield from self.counter.counts().shards(self.shards, len(self.index))
        self.counter.clear()
