"""What is rising, and the stories that the pairs belong to."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import AsList, AsSingleton
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from dfpipe import progress
from dfpipe.analysis import copies, rising, stories
from dfpipe.analysis.copies import Largest
from dfpipe.analysis.edges import EdgeIndex, EdgePosts, ordered_edges
from dfpipe.analysis.parts import Parts
from dfpipe.analysis.ranking import Ints
from dfpipe.analysis.recency import Sizes
from dfpipe.analysis.rising import RisingWord
from dfpipe.analysis.stories import Fact, FactFinder, Grouping, PostFacts, Story
from dfpipe.analysis.tokenizing import TokenBatch
from dfpipe.engines.at_launch import value_of
from dfpipe.transforms.once import Once, Packed
from dfpipe.transforms.pair_rankings import RankedPairs
from dfpipe.transforms.top_counts import CountInShards, Shard


@dataclass
class RisingWords(beam.PTransform):
    """Rank the k words that rise most by (-score, word), without those by chance."""

    k: int

    def expand(self, inputs: Any) -> beam.PCollection:
        """Take (shards of CountInShards, one Sizes); give one list of RisingWord."""
        k = self.k

        def of_shard(shard: Shard, sizes: Sizes) -> list[RisingWord]:
            return rising.rising_words(shard[1].items(), sizes, k)

        def of_all(parts: Sequence[list[RisingWord]], sizes: Sizes) -> list[RisingWord]:
            return rising.merge_rising(parts, sizes, k)

        counts, sizes = inputs[0], AsSingleton(inputs[1])
        tops = counts | "RisingOfShard" >> beam.Map(of_shard, sizes)
        return counts.pipeline | Once(of_all, AsList(tops), sizes)


@dataclass
class Stories(beam.PTransform):
    """Group the posts that have an edge, a ranked pair, into stories; rank the k largest.

    Edges are grouped in one place, given how many posts have each distinct set of them. What a
    story shows is added up in shards from the posts that have an edge.
    """

    k: int
    least_users: int
    parts: Parts
    shards: int
    held: int

    def expand(self, inputs: Any) -> beam.PCollection:
        """Take (TokenBatch, one RankedPairs, one Sizes); give one list of Story."""
        batches, pairs, one = inputs
        sizes = AsSingleton(one)
        posts = batches | "EdgePosts" >> beam.ParDo(_FindEdges(), AsSingleton(pairs), sizes)
        sets = posts | "CountEdgeSets" >> CountInShards(
            self.shards, EdgePosts.set_counts, self.held
        )
        grouping = batches.pipeline | "Group" >> Once(
            _group, AsList(sets), AsSingleton(pairs), sizes
        )
        known = AsSingleton(grouping)
        found = posts | "FindFacts" >> beam.ParDo(_FindFacts(self.parts), known)
        texts = found | "CountFacts" >> CountInShards(self.shards, _texts, self.held)
        facts = texts | "FactsOfShard" >> beam.Map(_facts)
        alike = found | "Copies" >> _Copies(self.shards)
        return batches.pipeline | "Stories" >> Once(
            partial(_stories, k=self.k, least_users=self.least_users),
            known,
            AsList(facts),
            AsList(alike),
            sizes,
        )


def _group(sets: Sequence[Shard], pairs: RankedPairs, sizes: Sizes) -> Grouping:
    progress.stage("grouping")
    counts = [item for _, counts in sets for item in counts.items()]
    Metrics.counter("dfpipe", "edge_sets").inc(len(counts))
    return stories.grouped(_edges(pairs, sizes), counts)


def _edges(pairs: RankedPairs, sizes: Sizes) -> list[tuple[str, str]]:
    return ordered_edges((pairs.telling, pairs.rising), sizes.posts)


def _texts(found: PostFacts) -> Iterable[tuple[str, int]]:
    return found.texts


def _facts(shard: Shard) -> Packed[list[Fact]]:
    return Packed.of(stories.facts(shard[1].items()))


def _stories(
    grouping: Grouping,
    facts: Sequence[Sequence[Fact]],
    alike: Sequence[Largest],
    sizes: Sizes,
    k: int,
    least_users: int,
) -> list[Story]:
    every = (fact for some in facts for fact in some)
    return stories.stories(grouping, every, alike, sizes, k, least_users)


class _FindEdges(beam.DoFn):
    def start_bundle(self) -> None:
        self.index: EdgeIndex | None = None

    def process(self, batch: TokenBatch, pairs: RankedPairs, sizes: Sizes) -> Iterable[EdgePosts]:
        progress.stage("finding stories")
        if self.index is None:
            self.index = EdgeIndex(_edges(pairs, sizes))
        found = self.index.posts_of(batch)
        if len(found.tids):
            yield found


class _FindFacts(beam.DoFn):
    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    def start_bundle(self) -> None:
        self.finder: FactFinder | None = None

    def process(self, posts: EdgePosts, grouping: Grouping) -> Iterable[PostFacts]:
        if self.finder is None:
            self.finder = FactFinder(grouping, value_of(self.parts))
        yield self.finder.facts_of(posts)


@dataclass
class _Copies(beam.PTransform):
    """Add up copies in shards of their sets of words; give the Largest of each."""

    shards: int

    def expand(self, found: beam.PCollection) -> beam.PCollection:
        def of_shard(_: int, parts: Iterable[Ints]) -> Largest:
            return copies.largest(copies.merged(parts), stories.EXAMPLES)

        add = beam.ParDo(_AddCopies(self.shards)).with_output_types(tuple[int, Any])
        return (
            found
            | "AddInBundle" >> add
            | "GatherCopies" >> beam.GroupByKey()
            | "LargestOfShard" >> beam.MapTuple(of_shard)
        )


class _AddCopies(beam.DoFn):
    HELD = 500_000  # sets of words, some 60 MB with what is made of them

    def __init__(self, shards: int) -> None:
        self.shards = shards

    def start_bundle(self) -> None:
        self.parts: list[Ints] = []

    def process(self, found: PostFacts) -> Iterator[tuple[int, Ints]]:
        self.parts.append(found.copies)
        if sum(map(len, self.parts)) > self.HELD:
            yield from self._hand_on()

    def finish_bundle(self) -> Iterable[WindowedValue]:
        window = GlobalWindow()
        for shard in self._hand_on():
            yield WindowedValue(shard, window.max_timestamp(), [window])

    def _hand_on(self) -> Iterator[tuple[int, Ints]]:
        yield from copies.shards_of(copies.merged(self.parts), self.shards)
        self.parts = []
