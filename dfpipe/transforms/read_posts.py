"""Reads the posts of a window from Datastore, in parallel and in batches."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.options.value_provider import ValueProvider
from apache_beam.pvalue import PBegin

from dfpipe import progress
from dfpipe.analysis.tokenizing import PostBatch, TokenBatch
from dfpipe.datastore import connect
from dfpipe.engines import read_ahead
from dfpipe.engines.at_launch import value_of
from dfpipe.posts.reading import Reader, read_posts
from dfpipe.posts.slices import Reading, TimeSlice, Window, time_slices


@dataclass
class ReadPosts(beam.PTransform):
    """Read a window's posts as batches.

    A query with an inequality on one property is read by one worker, however long it takes: here
    each slice of the window is a query of its own, and the slices are shared out. In a template
    source and window may be ValueProviders. It begins a pipeline, or goes on from the one element
    of a step that comes first.
    """

    source: str
    window: Window | TimeSlice
    slices: int

    def expand(self, begin: Any) -> beam.PCollection:
        """Give a PCollection of PostBatch."""
        step = beam.ParDo(_ReadPosts(self.source)).with_output_types(PostBatch)
        return _slices(begin, self.window, self.slices) | "ReadSlice" >> step


@dataclass
class ReadTokens(beam.PTransform):
    """Read a window's posts, as ReadPosts does, and take the words and URLs of each at once."""

    reading: Reading
    window: Window
    slices: int

    def expand(self, begin: Any) -> beam.PCollection:
        """Give a PCollection of TokenBatch."""
        step = beam.ParDo(_ReadTokens(self.reading)).with_output_types(TokenBatch)
        return _slices(begin, self.window, self.slices) | "ReadSlice" >> step


def _slices(begin: Any, window: Window | TimeSlice, n: int) -> beam.PCollection:
    if isinstance(begin, PBegin) and not isinstance(window, ValueProvider):
        cut = begin | "CutWindow" >> beam.Create(time_slices(window, n), False)
    else:
        one = begin | "Begin" >> beam.Impulse() if isinstance(begin, PBegin) else begin
        cut = one | "CutWindow" >> beam.FlatMap(lambda _: time_slices(value_of(window), n))
    return cut | "ShareOut" >> beam.Reshuffle()


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
        self.read = Metrics.counter("dfpipe", "posts_read")
        self.skipped = Metrics.counter("dfpipe", "posts_skipped_without_text")

    def setup(self) -> None:
        self.reading = value_of(self.reading)
        self.reader = Reader(self.reading)

    def process(self, time_slice: TimeSlice) -> Iterable[TokenBatch]:
        for batch in read_ahead.tokens(self.reading, time_slice, self.reader.tokens):
            tally = batch.tally()
            self.read.inc(tally.posts + tally.skipped)
            self.skipped.inc(tally.skipped)
            progress.posts_read(tally.posts + tally.skipped)
            yield batch
