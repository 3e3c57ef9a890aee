"""Reading the posts of a window out of Datastore, in parallel and in batches."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import apache_beam as beam
from apache_beam.metrics import Metrics
from google.cloud.datastore.query import PropertyFilter

from dfpipe import progress
from dfpipe.datastore import connect, fetch_values
from dfpipe.post import KIND
from dfpipe.tokenizing import PostBatch

BATCH = 5_000  # posts: some 2 MB of text, a fraction of the vocabulary
BATCH_CHARACTERS = 5_000_000  # where posts are long, which may each be of 1 MB


@dataclass(frozen=True, slots=True)
class TimeSlice:
    """The times `start <= t < end`, both in UTC."""

    start: datetime
    end: datetime


def time_slices(window: TimeSlice, n: int) -> list[TimeSlice]:
    """Cut a window into at most n slices of equal length, to the microsecond; none is empty."""
    step = timedelta(microseconds=1)
    length = (window.end - window.start) // step
    bounds = sorted({length * i // n for i in range(n + 1)})
    times = [window.start + bound * step for bound in bounds]
    return [TimeSlice(start, end) for start, end in pairwise(times)]


def post_batches(posts: Iterable[tuple[object, object]]) -> Iterator[PostBatch]:
    """Cut the texts and urls of posts into batches of BATCH posts, or fewer where they are long."""
    texts: list[object] = []
    urls: list[object] = []
    characters = 0
    for text, value in posts:
        texts.append(text)
        urls.append(value)
        characters += len(text) if isinstance(text, str) else 0
        if len(texts) == BATCH or characters >= BATCH_CHARACTERS:
            yield PostBatch(texts, urls)
            texts, urls, characters = [], [], 0
    if texts:
        yield PostBatch(texts, urls)


@dataclass
class ReadPosts(beam.PTransform):
    """Read a window's posts as batches.

    A query with an inequality on one property is read by one worker, however long it takes: here
    each slice of the window is a query of its own, and the slices are shared out.
    """

    source: str
    window: TimeSlice
    slices: int

    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection:
        """Give a PCollection of PostBatch."""
        return (
            pbegin
            | "CutWindow" >> beam.Create(time_slices(self.window, self.slices), False)
            | "ShareOut" >> beam.Reshuffle()
            | "ReadSlice" >> beam.ParDo(_ReadSlice(self.source)).with_output_types(PostBatch)
        )


class _ReadSlice(beam.DoFn):
    def __init__(self, source: str) -> None:
        self.source = source
        self.read = Metrics.counter("dfpipe", "posts_read")

    def setup(self) -> None:
        self.client = connect(self.source, create=False)

    def process(self, time_slice: TimeSlice) -> Iterable[PostBatch]:
        query = self.client.query(kind=KIND)
        query.add_filter(filter=PropertyFilter("created_at", ">=", time_slice.start))
        query.add_filter(filter=PropertyFilter("created_at", "<", time_slice.end))
        for batch in post_batches(fetch_values(query, "text", "urls")):
            self.read.inc(len(batch.texts))
            progress.posts_read(len(batch.texts))
            yield batch
