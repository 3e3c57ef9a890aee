"""Counting texts over all batches, in shards, and the highest counts."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import compress, crc32, decompress

import apache_beam as beam
import msgpack
from apache_beam.pvalue import AsList
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from dfpipe.analysis.ranking import Counted, merge_top_counts, top_counts
from dfpipe.analysis.recency import total
from dfpipe.transforms.once import Once, Packed

HELD = 500_000  # texts: some 60 MB as a dictionary
MOST_PARTS = 4096  # of a shard


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of texts in a form that is a tenth of a dictionary, for the way between steps."""

    packed: bytes

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> "Counts":
        """Pack counts by text into one value."""
        return cls(compress(msgpack.packb(counts), 1))

    def items(self) -> Iterable[Counted]:
        """Return each text with its count."""
        counts: dict[str, int] = msgpack.unpackb(decompress(self.packed))
        return counts.items()


Shard = tuple[int, Counts]


def shard_of(text: str, shards: int) -> int:
    """Return the shard in which a text is counted, the same on every machine."""
    return crc32(text.encode()) % shards


def into_shards(counts: Mapping[str, int], shards: int) -> Iterator[Shard]:
    """Split counts into those of each shard."""
    split: dict[int, dict[str, int]] = {}
    for text, n in counts.items():
        split.setdefault(shard_of(text, shards), {})[text] = n
    for shard, some in split.items():
        yield shard, Counts.of(some)


def add_counts(total: dict[str, int], counts: Iterable[Counted]) -> dict[str, int]:
    """Add counts to a total, in place."""
    get = total.get
    for text, n in counts:
        total[text] = get(text, 0) + n
    return total


def add_in_parts(
    counts: Iterable[Counts], shards: int, held: int, parts: int = 1, part: int = 0
) -> Iterator[Counts]:
    """Add up the counts of one shard; if they have more than `held` texts, in several parts.

    Each part has other texts: the counts are read again for each half of the texts, and so on for
    each half of that. This takes more time, but less memory.
    """
    total: dict[str, int] = {}
    for some in counts:
        add_counts(total, _of_part(some.items(), shards, parts, part))
        if len(total) > held and parts < MOST_PARTS:
            total.clear()
            yield from add_in_parts(counts, shards, held, 2 * parts, part)
            yield from add_in_parts(counts, shards, held, 2 * parts, part + parts)
            return
    yield Counts.of(total)


def _of_part(counts: Iterable[Counted], shards: int, parts: int, part: int) -> Iterable[Counted]:
    if parts == 1:
        return counts
    return (item for item in counts if crc32(item[0].encode()) // shards % parts == part)


@dataclass
class CountInShards(beam.PTransform):
    """Add up counts of texts.

    A shard is all texts of one hash: a shuffle of few and large elements, where one element a text
    would cost a hundred times as much. No worker holds many more than `held` texts at a time.
    `counts` gives the (text, count) pairs of an element, each text once.
    """

    shards: int
    counts: Callable[[Any], Iterable[Counted]]
    held: int = HELD

    def expand(self, elements: beam.PCollection) -> beam.PCollection:
        """Give the counts of each shard that is not empty, in one part or several."""
        shards, held = self.shards, self.held

        def add_shard(shard: int, counts: Iterable[Counts]) -> Iterator[Shard]:
            for part in add_in_parts(counts, shards, held):
                yield shard, part

        add = beam.ParDo(_AddInBundle(shards, self.counts, held)).with_output_types(Shard)
        return (
            elements
            | "AddInBundle" >> add
            # A CombinePerKey would add up in each bundle once more, and not within bounds.
            | "GatherShards" >> beam.GroupByKey()
            | "AddShards" >> beam.FlatMapTuple(add_shard).with_output_types(Shard)
        )


class _AddInBundle(beam.DoFn):
    def __init__(
        self, shards: int, counts: Callable[[Any], Iterable[Counted]], held: int = HELD
    ) -> None:
        self.shards = shards
        self.counts = counts
        self.held = held

    def start_bundle(self) -> None:
        self.total: dict[str, int] = {}

    def process(self, element: Any) -> Iterable[Shard]:
        add_counts(self.total, self.counts(element))
        if len(self.total) > self.held:
            yield from into_shards(self.total, self.shards)
            self.total = {}

    def finish_bundle(self) -> Iterable[WindowedValue]:
        window = GlobalWindow()
        for shard in into_shards(self.total, self.shards):
            yield WindowedValue(shard, window.max_timestamp(), [window])
        self.total = {}


@dataclass(frozen=True, slots=True)
class Ranked:
    """The highest counts of distinct texts, and how many texts there are."""

    top: list[Counted]
    distinct: int


@dataclass
class TopCounts(beam.PTransform):
    """Rank the k texts of the highest counts by (-count, text); counts may be of `recency`."""

    k: int

    def expand(self, shards: beam.PCollection) -> beam.PCollection:
        """Take the counts of CountInShards; give one Ranked."""
        k = self.k

        def of_shard(shard: Shard) -> Packed[Ranked]:
            counts = {text: total(n) for text, n in shard[1].items()}
            return Packed.of(Ranked(top_counts(counts, k), len(counts)))

        def of_all(parts: Sequence[Ranked]) -> Ranked:
            tops = [part.top for part in parts]
            return Ranked(merge_top_counts(tops, k), sum(part.distinct for part in parts))

        tops = shards | "TopOfShard" >> beam.Map(of_shard)
        return shards.pipeline | Once(of_all, AsList(tops))
