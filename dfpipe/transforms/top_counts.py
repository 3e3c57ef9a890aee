"""Counting texts over all batches, in shards, and the highest counts."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import apache_beam as beam
from apache_beam.pvalue import AsList
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from dfpipe.ranking import Counted, merge_top_counts, top_counts
from dfpipe.transforms.once import Once

Shard = tuple[int, dict[str, int]]


def shard_of(text: str, shards: int) -> int:
    """Return the shard in which a text is counted, the same on every machine."""
    return crc32(text.encode()) % shards


def into_shards(counts: Mapping[str, int], shards: int) -> Iterator[Shard]:
    """Split counts into those of each shard."""
    split: dict[int, dict[str, int]] = {}
    for text, n in counts.items():
        split.setdefault(shard_of(text, shards), {})[text] = n
    yield from split.items()


def add_counts(total: dict[str, int], counts: Iterable[Counted]) -> dict[str, int]:
    """Add counts to a total, in place."""
    get = total.get
    for text, n in counts:
        total[text] = get(text, 0) + n
    return total


@dataclass
class CountInShards(beam.PTransform):
    """Add up counts of texts.

    A shard is a dictionary with all texts of one hash: a shuffle of few and large elements, where
    one element a text would cost a hundred times as much. `counts` gives the (text, count) pairs of
    an element, each text once.
    """

    shards: int
    counts: Callable[[Any], Iterable[Counted]]

    def expand(self, elements: beam.PCollection) -> beam.PCollection:
        """Give one (shard, counts) for each shard that is not empty."""
        add = beam.ParDo(_AddInBundle(self.shards, self.counts)).with_output_types(Shard)
        return (
            elements
            | "AddInBundle" >> add
            | "AddShards" >> beam.CombinePerKey(_AddShards()).with_output_types(Shard)
        )


class _AddInBundle(beam.DoFn):
    LIMIT = 1_000_000  # distinct texts held, some 120 MB

    def __init__(self, shards: int, counts: Callable[[Any], Iterable[Counted]]) -> None:
        self.shards = shards
        self.counts = counts

    def start_bundle(self) -> None:
        self.total: dict[str, int] = {}

    def process(self, element: Any) -> Iterable[Shard]:
        add_counts(self.total, self.counts(element))
        if len(self.total) > self.LIMIT:
            yield from into_shards(self.total, self.shards)
            self.total = {}

    def finish_bundle(self) -> Iterable[WindowedValue]:
        window = GlobalWindow()
        for shard in into_shards(self.total, self.shards):
            yield WindowedValue(shard, window.max_timestamp(), [window])
        self.total = {}


class _AddShards(beam.CombineFn):
    def create_accumulator(self) -> dict[str, int]:
        return {}

    def add_input(self, total: dict[str, int], counts: dict[str, int]) -> dict[str, int]:
        return add_counts(total, counts.items())

    def merge_accumulators(self, totals: Iterable[dict[str, int]]) -> dict[str, int]:
        merged: dict[str, int] = {}
        for total in totals:
            add_counts(merged, total.items())
        return merged

    def extract_output(self, total: dict[str, int]) -> dict[str, int]:
        return total


@dataclass(frozen=True, slots=True)
class Ranked:
    """The highest counts of distinct texts, and how many texts there are."""

    top: list[Counted]
    distinct: int


@dataclass
class TopCounts(beam.PTransform):
    """Rank the k texts of the highest counts by (-count, text)."""

    k: int

    def expand(self, shards: beam.PCollection) -> beam.PCollection:
        """Take the shards of CountInShards; give one Ranked."""
        k = self.k

        def of_shard(shard: Shard) -> Ranked:
            return Ranked(top_counts(shard[1], k), len(shard[1]))

        def of_all(parts: Sequence[Ranked]) -> Ranked:
            tops = [part.top for part in parts]
            return Ranked(merge_top_counts(tops, k), sum(part.distinct for part in parts))

        tops = shards | "TopOfShard" >> beam.Map(of_shard)
        return shards.pipeline | Once(of_all, AsList(tops))
