"""The analysis in the plain form of a first Beam pipeline: the competitor on the same runner.

One element for each word, URL and pair of words, GroupByKey and sum, the document frequencies as a
dictionary on the side. The words come from the same tokenizer, the posts from the same store, and
the rows go through the same sink: what differs is the form alone.
"""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import combinations
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pvalue import AsDict, AsSingleton
from google.cloud.datastore.query import PropertyFilter

from dfpipe import datastore, warehouse
from dfpipe.analysis.tokenizer import Tokenizer
from dfpipe.options import settings
from dfpipe.posts.post import KIND
from dfpipe.settings import RunSettings
from dfpipe.version import VERSION
from dfpipe.warehouse.tables import (
    URLS,
    WORD_COOCCUR,
    WORD_COUNTS,
    Run,
    UrlCount,
    WordCooccur,
    WordCount,
)

RUNNER = "FnApiRunner"  # that of `dfpipe run`
Pair = tuple[str, str]


def read(window: RunSettings) -> Iterable[Mapping[str, Any]]:
    """Yield the posts of a window, from one query."""
    query = datastore.connect(window.source, create=False).query(kind=KIND)
    query.add_filter(filter=PropertyFilter("created_at", ">=", window.start))
    query.add_filter(filter=PropertyFilter("created_at", "<", window.end))
    yield from query.fetch()


class CountEach(beam.PTransform):
    """Count equal elements: a pair of each with one, GroupByKey, and the sum."""

    def expand(self, elements: beam.PCollection) -> beam.PCollection:
        """Give (element, count)."""
        return (
            elements
            | "PairWithOne" >> beam.Map(lambda element: (element, 1))
            | "Group" >> beam.GroupByKey()
            | "Sum" >> beam.MapTuple(lambda element, ones: (element, sum(ones)))
        )


def pairs_of(words: Iterable[str]) -> Iterable[Pair]:
    """Yield each pair w1 < w2 of a post's words."""
    return combinations(sorted(words), 2)


def weigh(
    counted: tuple[Pair, int], df: Mapping[str, int], posts: int
) -> tuple[str, str, int, float]:
    """Return w1, w2, count and log_weight of a pair."""
    (w1, w2), n = counted
    return w1, w2, n, n * math.log(posts / max(df[w1], df[w2]))


def by_count(counted: tuple[str, int]) -> tuple[int, str]:
    """Return the key that sorts by (-count, text)."""
    return -counted[1], counted[0]


def by_weight(pair: tuple[str, str, int, float]) -> tuple[float, str, str]:
    """Return the key that sorts by (-log_weight, w1, w2)."""
    return -pair[3], pair[0], pair[1]


def first(k: int, key: Any) -> beam.PTransform:
    """Give one list of the k elements of the lowest keys."""
    return beam.combiners.Top.Of(k, key=key, reverse=True)


def build(pipeline: beam.Pipeline, chosen: RunSettings) -> tuple[beam.PCollection, ...]:
    """Wire the three branches; return what `write` takes, each a PCollection of one element.

    They are the numbers of posts stored, of those with a text, of words and of URLs, and the lists
    of the ranked words, URLs and pairs.
    """
    tokenizer = Tokenizer(chosen.text, chosen.stop_words)
    stored = pipeline | beam.Create([chosen]) | "Read" >> beam.FlatMap(read)
    posts = stored | "WithText" >> beam.Filter(lambda post: isinstance(post.get("text"), str))
    n_posts = posts | "CountPosts" >> beam.combiners.Count.Globally()
    df = (
        posts
        | "Words" >> beam.FlatMap(lambda post: tokenizer.words(post["text"]))
        | "CountWords" >> CountEach()
    )
    urls = (
        posts
        | "Urls" >> beam.FlatMap(lambda post: tokenizer.urls(post.get("urls")))
        | "CountUrls" >> CountEach()
    )
    pairs = (
        posts
        | "Pairs" >> beam.FlatMap(lambda post: pairs_of(tokenizer.words(post["text"])))
        | "CountPairs" >> CountEach()
        | "Weigh" >> beam.Map(weigh, AsDict(df), AsSingleton(n_posts))
        | "LeaveOutZero" >> beam.Filter(lambda pair: pair[3] != 0)
    )
    return (
        stored | "CountStored" >> beam.combiners.Count.Globally(),
        n_posts,
        df | "DistinctWords" >> beam.combiners.Count.Globally(),
        urls | "DistinctUrls" >> beam.combiners.Count.Globally(),
        df | "TopWords" >> first(chosen.top_words, by_count),
        urls | "TopUrls" >> first(chosen.top_urls, by_count),
        pairs | "TopPairs" >> first(chosen.top_pairs, by_weight),
    )


def write(
    chosen: RunSettings,
    started: float,
    stored: int,
    posts: int,
    n_words: int,
    n_urls: int,
    words: Sequence[tuple[str, int]],
    urls: Sequence[tuple[str, int]],
    pairs: Sequence[tuple[str, str, int, float]],
) -> None:
    """Write the tables from what `build` gives."""
    ts = chosen.ts
    run = Run(
        ts=ts,
        window_start=chosen.start,
        window_end=chosen.end,
        tweets=posts,
        skipped=stored - posts,
        words=n_words,
        urls=n_urls,
        text_mode=chosen.text,
        runner=RUNNER,
        version=VERSION,
        seconds=time.time() - started,
    )
    warehouse.connect(chosen.sink).replace_run(
        run,
        {
            WORD_COUNTS: [
                WordCount(ts, i, w, n, 100 * n / posts) for i, (w, n) in enumerate(words, 1)
            ],
            URLS: [UrlCount(ts, i, url, n) for i, (url, n) in enumerate(urls, 1)],
            WORD_COOCCUR: [WordCooccur(ts, i, *pair) for i, pair in enumerate(pairs, 1)],
        },
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Analyse as the words of the command say; they are those of `dfpipe run`."""
    started = time.time()
    options = PipelineOptions(argv, runner=RUNNER)
    chosen = settings(options, datetime.now(UTC))
    warehouse.connect(chosen.sink).prepare()
    with beam.Pipeline(options=options) as pipeline:
        found = map(AsSingleton, build(pipeline, chosen))
        pipeline | "Once" >> beam.Create([chosen]) | "Write" >> beam.Map(write, started, *found)


if __name__ == "__main__":
    main()
