"""Reads the posts of a window from Datastore, in parallel and in batches."""

from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, fields
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.options.value_provider import ValueProvider
from apache_beam.pvalue import PBegin

from dfpipe import progress
from dfpipe.analysis.tokenizing import PostBatch, Reads, TokenBatch
from dfpipe.datastore import connect
from dfpipe.engines import read_ahead
from dfpipe.engines.at_launch import value_of
from dfpipe.posts.reading import read_posts
from dfpipe.posts.slices import Reading, TimeSlice, Window, time_slices
from dfpipe.slices.parts import parts
from dfpipe.slices.reader import tokens_of


@dataclass
class ReadPosts(beam.PTransform):
    """Read a window's posts as batches of ids, users, texts, links and times.

    Beam's own source reads a query with an inequality on one worker, however long it takes. Here
    each slice of the window is a query of its own, and the workers share the slices. In a template,
    source and window may be ValueProviders. It begins a pipeline, or follows a step that yields one
    element.
    """

    source: str
    window: Window | TimeSlice
    slices: int

    def expand(self, begin: Any) -> beam.PCollection:
        """Give a PCollection of PostBatch, of up to 5,000 posts each."""
        step = beam.ParDo(_ReadPosts(self.source)).with_output_types(PostBatch)
        window, n = self.window, self.slices
        return (
            _shared_out(begin, lambda: time_slices(value_of(window), n), window)
            | "ReadSlice" >> step
        )


@dataclass
class ReadTokens(beam.PTransform):
    """Read a window's posts, as ReadPosts does, and take the words and URLs of each at once.

    With a cache, hours that have not changed come from there. In a template reading and window may
    be ValueProviders.
    """

    reading: Reading
    window: Window
    slices: int

    def expand(self, begin: Any) -> beam.PCollection:
        """Give a PCollection of TokenBatch, of up to 5,000 posts each."""
        step = beam.ParDo(_ReadTokens(self.reading)).with_output_types(TokenBatch)
        reading, window, n = self.reading, self.window, self.slices
        return (
            _shared_out(begin, lambda: parts(value_of(reading), value_of(window), n), window)
            | "ReadSlice" >> step
        )


def _shared_out(begin: Any, cut: Callable[[], list[Any]], window: Any) -> beam.PCollection:
    if isinstance(begin, PBegin) and not isinstance(window, ValueProvider):
        given = begin | "CutWindow" >> beam.Create(cut(), False)
    else:
        one = begin | "Begin" >> beam.Impulse() if isinstance(begin, PBegin) else begin
        given = one | "CutWindow" >> beam.FlatMap(lambda _: cut())
    return given | "ShareOut" >> beam.Reshuffle()


class _ReadPosts(beam.DoFn):
    def __init__(self, source: str) -> None:
        self.source = source
        self.read = Metrics.counter("dfpipe", "posts_read")

    def setup(self) -> None:
        self.client = connect(value_of(self.source), create=False)

    def process(self, time_slice: TimeSlice) -> Iterable[PostBatch]:
        for batch in read_posts(self.client, time_slice):
            self.read.inc(len(batch.texts))
            progress.posts_read(len(batch.texts))
            yield batch


class _ReadTokens(beam.DoFn):
    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.counters = [Metrics.counter("dfpipe", each.name) for each in fields(Reads)]
        self.skipped = Metrics.counter("dfpipe", "posts_skipped_without_text")

    def setup(self) -> None:
        self.reading = value_of(self.reading)
        self.tokens = tokens_of(self.reading)

    def process(self, part: Any) -> Iterable[TokenBatch]:
        for batch in read_ahead.tokens(self.reading, part, self.tokens):
            tally = batch.tally()
            for counter, n in zip(self.counters, astuple(batch.reads), strict=True):
                counter.inc(n)
            self.skipped.inc(tally.skipped)
            progress.posts_read(tally.posts + tally.skipped)
            yield batch
