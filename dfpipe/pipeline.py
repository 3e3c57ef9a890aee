"""The analysis wired as a Beam pipeline: `build()` gives its parts, `run()` runs it whole."""

import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import apache_beam as beam
from apache_beam.metrics import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.pvalue import AsSingleton

from dfpipe import datastore, progress, warehouse
from dfpipe.analysis.pairs import Weighted
from dfpipe.analysis.tokenizing import Tally, add_tallies
from dfpipe.analysis.word_sets import WordSets
from dfpipe.engines.at_launch import AtLaunch, now, part, value_of
from dfpipe.engines.read_ahead import Reading
from dfpipe.errors import DfpipeError
from dfpipe.posts.slices import TimeSlice
from dfpipe.settings import Settings
from dfpipe.transforms import read_posts
from dfpipe.transforms.once import Once
from dfpipe.transforms.pair_rankings import PairRankings
from dfpipe.transforms.read_posts import ReadTokens
from dfpipe.transforms.top_counts import CountInShards, Ranked, TopCounts
from dfpipe.transforms.write_results import WriteResults
from dfpipe.version import VERSION
from dfpipe.warehouse.tables import (
    RUNS,
    URLS,
    WORD_COOCCUR,
    WORD_COUNTS,
    Run,
    Table,
    UrlCount,
    WordCooccur,
    WordCount,
)

# Beam's in-process runner: it starts at once and raises the user's own exceptions.
LOCAL_RUNNER = "FnApiRunner"
# How the last line of a traceback begins, which some runners give in whole.
_CLASS = re.compile(r"^(RuntimeError|dfpipe\.errors\.\w+): ")


@dataclass(frozen=True)
class Analysis:
    """The PCollections of an analysis, for a pipeline that goes on from one of them."""

    word_sets: beam.PCollection  # WordSets, one a batch
    tables: dict[Table, beam.PCollection]  # rows; in RUNS the one Run, its seconds 0.0
    began: beam.PCollection | None  # in a template: when a job of it began


@dataclass(frozen=True, slots=True)
class Summary:
    """What a finished run has found."""

    ts: datetime
    posts: int
    words: int
    pairs: int
    seconds: float
    sink: str


def build(
    pipeline: beam.Pipeline,
    settings: Settings,
    runner: str = LOCAL_RUNNER,
    given: AtLaunch | None = None,
) -> Analysis:
    """Wire the analysis, from the posts to the rows of the result tables; nothing is written.

    In a template `given` is what its workers will have as settings.
    """
    window = part(settings, given, lambda s: TimeSlice(s.start, s.end))
    reading = part(settings, given, lambda s: Reading(s.source, s.text, s.stop_words))
    began = None if given is None else pipeline | beam.Impulse() | "Began" >> beam.Map(now)
    read = ReadTokens(reading, window, settings.slices)
    tokens = (pipeline if began is None else began) | "ReadTokens" >> read
    tally = tokens[read_posts.TALLY] | "AddTallies" >> beam.CombineGlobally(add_tallies)
    shards, held = settings.shards, settings.held_texts
    words = tokens.words | "CountWords" >> CountInShards(shards, WordSets.counts, held)
    urls = tokens[read_posts.URLS] | "CountUrls" >> CountInShards(shards, Counter.items, held)
    pairs = (tokens.words, words, tally) | "PairRankings" >> PairRankings(
        settings.top_pairs, settings.pair_candidates, shards
    )
    top_words = words | "TopWords" >> TopCounts(settings.top_words)
    top_urls = urls | "TopUrls" >> TopCounts(settings.top_urls)
    n, ts = AsSingleton(tally), part(settings, given, lambda s: s.ts)
    known = settings if given is None else given
    run = pipeline | "RunRow" >> Once(
        lambda tally, words, urls: run_row(
            tally, words.distinct, urls.distinct, value_of(known), runner
        ),
        n,
        AsSingleton(top_words),
        AsSingleton(top_urls),
    )
    tables = {
        WORD_COUNTS: top_words
        | "WordRows" >> beam.FlatMap(lambda r, n: word_rows(r, n, value_of(ts)), n),
        URLS: top_urls | "UrlRows" >> beam.FlatMap(lambda r: url_rows(r, value_of(ts))),
        WORD_COOCCUR: pairs | "PairRows" >> beam.FlatMap(lambda r: pair_rows(r, value_of(ts))),
        RUNS: run,
    }
    return Analysis(tokens.words, tables, began)


def word_rows(ranked: Ranked, tally: Tally, ts: datetime) -> Iterable[WordCount]:
    """Return the rows of ranked words; percent = 100 * df / N."""
    for rank, (word, n) in enumerate(ranked.top, 1):
        yield WordCount(ts, rank, word, n, 100 * n / tally.posts)


def url_rows(ranked: Ranked, ts: datetime) -> Iterable[UrlCount]:
    """Return the rows of ranked URLs."""
    for rank, (url, n) in enumerate(ranked.top, 1):
        yield UrlCount(ts, rank, url, n)


def pair_rows(top: Sequence[Weighted], ts: datetime) -> Iterable[WordCooccur]:
    """Return the rows of ranked pairs."""
    for rank, (w1, w2, n, weight) in enumerate(top, 1):
        yield WordCooccur(ts, rank, w1, w2, n, weight)


def run_row(tally: Tally, words: int, urls: int, settings: Settings, runner: str) -> Run:
    """Return the row of the run itself, its seconds 0.0 until it is written."""
    return Run(
        ts=settings.ts,
        window_start=settings.start,
        window_end=settings.end,
        tweets=tally.posts,
        skipped=tally.skipped,
        words=words,
        urls=urls,
        text_mode=settings.text,
        runner=runner,
        version=VERSION,
        seconds=0.0,
        languages=",".join(settings.languages),
        stop_words=settings.stop_words_digest,
        top_words=settings.top_words,
        top_urls=settings.top_urls,
        top_pairs=settings.top_pairs,
        settings=settings.digest,
    )


def run(settings: Settings, options: PipelineOptions) -> Summary:
    """Analyse a window and write its tables; return when that is done.

    Both ends are tried first, so that a mistake is not found out after an hour of reading. Raises
    DfpipeError.
    """
    started = time.time()
    progress.stage("connecting")
    datastore.connect(settings.source, create=False, verify=True).close()
    warehouse.connect(settings.sink).prepare()
    standard = options.view_as(StandardOptions)
    standard.runner = standard.runner or LOCAL_RUNNER
    result = _run_to_end(settings, options, started)
    figures = counters(result)
    return Summary(
        ts=settings.ts,
        posts=figures.get("posts_analysed", 0),
        words=figures.get("words_distinct", 0),
        pairs=figures.get("pairs_ranked", 0),
        seconds=time.time() - started,
        sink=settings.sink,
    )


def submit(
    settings: Settings, options: PipelineOptions, started: float, given: AtLaunch | None = None
) -> Any:
    """Hand the whole analysis, tables included, to its runner; returns what Beam gives for it.

    `started`, in seconds of the Unix epoch, is when the run has begun; `given` as in `build`.
    Raises DfpipeError.
    """
    with _told_in_a_line():
        pipeline = beam.Pipeline(options=options)
        runner = (options.view_as(StandardOptions).runner or LOCAL_RUNNER).rpartition(".")[2]
        analysis = build(pipeline, settings, runner, given)
        sink = part(settings, given, lambda s: s.sink)
        since = started if analysis.began is None else AsSingleton(analysis.began)
        analysis.tables | "WriteResults" >> WriteResults(sink, since)
        return pipeline.run()


def _run_to_end(settings: Settings, options: PipelineOptions, started: float) -> Any:
    result = submit(settings, options, started)
    with _told_in_a_line():
        state = result.wait_until_finish()
    if state is not None and state != "DONE":
        raise DfpipeError(f"the run ended as {state}, not DONE: see the runner's log")
    return result


@contextmanager
def _told_in_a_line() -> Iterator[None]:
    try:
        yield
    # A step may fail with any exception, and a runner hands it on as it likes.
    except Exception as error:
        # An error of gRPC has its message beside a text of many lines.
        details = getattr(error, "details", None)
        text = str(details() if callable(details) else error)
        # Dataflow's, where it has been told of none.
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
