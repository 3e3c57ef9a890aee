"""The analysis wired as a Beam pipeline: `build()` gives its parts, `run_analysis()` runs it."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import apache_beam as beam
from apache_beam.metrics import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.pvalue import AsSingleton

from dfpipe import datastore, progress, warehouse
from dfpipe.analysis.parts import Parts
from dfpipe.analysis.recency import MOST_POSTS, Sizes
from dfpipe.analysis.tokenizing import Tally, TokenBatch, add_tallies
from dfpipe.engines.at_launch import AtLaunch, now, part, value_of
from dfpipe.errors import DfpipeError
from dfpipe.posts.post import INDEXES, KIND
from dfpipe.posts.slices import Window
from dfpipe.settings import LOCAL_RUNNER, RunSettings
from dfpipe.slices import folders
from dfpipe.times import microseconds
from dfpipe.transforms import rows
from dfpipe.transforms.once import Once
from dfpipe.transforms.pair_rankings import PairRankings
from dfpipe.transforms.read_posts import ReadTokens
from dfpipe.transforms.stories import RisingWords, Stories
from dfpipe.transforms.top_counts import CountInShards, Ranked, TopCounts
from dfpipe.transforms.write_results import WriteResults

# The start of the last line of a traceback, which some runners include in their error.
_CLASS = re.compile(r"^(RuntimeError|dfpipe\.errors\.\w+): ")


@dataclass(frozen=True)
class Analysis:
    """The PCollections of an analysis, so that a pipeline can continue from them."""

    batches: beam.PCollection  # TokenBatch
    tables: beam.PCollection  # one TableRows; in RUNS the one Run, its seconds 0.0
    began: beam.PCollection | None  # in a template: when a job of it began


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of a finished run."""

    ts: datetime
    posts: int
    posts_read: int
    posts_cached: int
    words: int
    pairs: int
    seconds: float
    sink: str


def build(
    pipeline: beam.Pipeline,
    settings: RunSettings,
    runner: str = LOCAL_RUNNER,
    given: AtLaunch | None = None,
) -> Analysis:
    """Add the analysis to a pipeline, from the posts to the rows of the result tables.

    It writes nothing. In a template, `given` are the settings that its workers will have.
    """
    window = part(settings, given, lambda s: s.window)
    parts = part(settings, given, lambda s: parts_of(s.window))
    reading = part(settings, given, lambda s: s.reading)
    began = None if given is None else pipeline | beam.Impulse() | "Began" >> beam.Map(now)
    read = ReadTokens(reading, window, settings.slices)
    batches = (pipeline if began is None else began) | "ReadTokens" >> read
    shards, held = settings.shards, settings.held_texts
    words = batches | "CountWords" >> CountInShards(shards, TokenBatch.word_counts, held)
    urls = batches | "CountUrls" >> CountInShards(shards, TokenBatch.url_counts, held)
    tally = (
        batches
        | "Tallies" >> beam.Map(lambda batch: batch.tally(value_of(parts)))
        | "AddTallies" >> beam.CombineGlobally(add_tallies)
    )
    top_words = words | "TopWords" >> TopCounts(settings.top_words)
    top_urls = urls | "TopUrls" >> TopCounts(settings.top_urls)
    sizes = pipeline | "Sizes" >> Once(sizes_of, AsSingleton(tally), AsSingleton(top_words))
    rising = (words, sizes) | "RisingWords" >> RisingWords(settings.top_rising)
    pairs = (batches, words, sizes) | "PairRankings" >> PairRankings(
        settings.top_pairs, settings.pair_candidates, shards
    )
    stories = (batches, pairs, sizes) | "Stories" >> Stories(
        settings.top_stories, settings.story_users, parts, shards, held
    )
    known = settings if given is None else given
    tables = pipeline | "Rows" >> Once(
        lambda *found: rows.of_run(rows.Found(*found), value_of(known), runner),
        *map(AsSingleton, (tally, sizes, top_words, top_urls, pairs, rising, stories)),
    )
    return Analysis(batches, tables, began)


def parts_of(window: Window) -> Parts:
    """Return the parts of a window."""
    start, end = microseconds(window.start), microseconds(window.end)
    return Parts(start, end - start)


def sizes_of(tally: Tally, words: Ranked) -> Sizes:
    """Return the sizes of a window. Raises DfpipeError if they are too large to count."""
    if tally.posts > MOST_POSTS:
        raise DfpipeError(
            f"the window has {tally.posts:,} posts, and at most {MOST_POSTS:,} can be counted: "
            "give a smaller --days"
        )
    return Sizes(tally.posts, tally.recent, words.distinct)


def run_analysis(settings: RunSettings, options: PipelineOptions) -> Summary:
    """Analyse a window and write its tables; return when that is done.

    Opens the store and the warehouse first, so that mistakes show before an hour of reading.
    Raises DfpipeError.
    """
    started = time.time()
    progress.stage("connecting")
    client = datastore.connect(settings.source, create=False, verify=True)
    progress.stage("building indexes")  # of a store that an earlier version has made
    with suppress(datastore.StoreError):  # one for reading only; reading says it if it matters
        datastore.build_indexes(client, KIND, *INDEXES)
    client.close()
    progress.stage("connecting")
    warehouse.connect(settings.sink).prepare()
    if settings.cache is not None:
        folders.prepare(settings.cache, settings.source)
    standard = options.view_as(StandardOptions)
    standard.runner = standard.runner or LOCAL_RUNNER
    result = _run_to_end(settings, options, started)
    figures = counters(result)
    return Summary(
        ts=settings.ts,
        posts=figures.get("posts_analysed", 0),
        posts_read=figures.get("posts_read", 0),
        posts_cached=figures.get("posts_cached", 0),
        words=figures.get("words_distinct", 0),
        pairs=figures.get("pairs_ranked", 0),
        seconds=time.time() - started,
        sink=settings.sink,
    )


def submit(
    settings: RunSettings, options: PipelineOptions, started: float, given: AtLaunch | None = None
) -> Any:
    """Submit the whole analysis, including the writing of tables; return Beam's result object.

    `started`, in seconds of the Unix epoch, is when the run began; `given` as in `build`. Raises
    DfpipeError.
    """
    with _errors_in_one_line():
        pipeline = beam.Pipeline(options=options)
        runner = (options.view_as(StandardOptions).runner or LOCAL_RUNNER).rpartition(".")[2]
        analysis = build(pipeline, settings, runner, given)
        sink = part(settings, given, lambda s: s.sink)
        since = started if analysis.began is None else AsSingleton(analysis.began)
        analysis.tables | "WriteResults" >> WriteResults(sink, since)
        return pipeline.run()


def _run_to_end(settings: RunSettings, options: PipelineOptions, started: float) -> Any:
    result = submit(settings, options, started)
    with _errors_in_one_line():
        state = result.wait_until_finish()
    if state is not None and state != "DONE":
        raise DfpipeError(f"the run ended as {state}, not DONE: see the runner's log")
    return result


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    try:
        yield
    # A step may fail with any exception, and a runner may wrap it in any other.
    except Exception as error:
        # A gRPC error has its message in `details`, and a text of many lines.
        details = getattr(error, "details", None)
        text = str(details() if callable(details) else error)
        # Dataflow adds this if it knows no message.
        text = text.strip().removesuffix("\nNone")
        message = text.splitlines() or [type(error).__name__]
        raise DfpipeError(f"the run failed: {_CLASS.sub('', message[-1])}") from error


def counters(result: Any) -> dict[str, int]:
    """Return the counters of a finished run by name."""
    found = result.metrics().query(MetricsFilter().with_namespace("dfpipe"))["counters"]
    totals: dict[str, int] = {}
    for metric in found:
        value = metric.committed if metric.committed is not None else metric.attempted
        totals[metric.key.metric.name] = totals.get(metric.key.metric.name, 0) + value
    return totals
