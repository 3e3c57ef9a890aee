"""The options of a run, checked, as a frozen settings object."""

import argparse
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

from dfpipe.errors import UsageError
from dfpipe.stopwords import language_list, read_stop_words, stop_words_in_effect
from dfpipe.text import MODES, Mode

_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a run's result depends on, and where it comes from and goes to.

    The window is `start <= created_at < end`, both in UTC.
    """

    source: str
    sink: str
    start: datetime
    end: datetime
    text: Mode
    stop_words: frozenset[str]
    top_words: int
    top_urls: int
    top_pairs: int
    processes: int
    slices: int
    shards: int
    held_texts: int
    pair_candidates: int

    @property
    def ts(self) -> datetime:
        """The run's identity: the window's end, to the second."""
        return self.end.replace(microsecond=0)


class AnalysisOptions(PipelineOptions):
    """The analysis: which posts, how their words are taken, and how much is ranked."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        add = parser.add_argument
        add(
            "--source",
            metavar="STORE",
            help="where the posts are: sqlite:///FILE or datastore://PROJECT?namespace=N "
            "(default: $DFPIPE_STORE)",
        )
        add(
            "--sink",
            metavar="WAREHOUSE",
            help="where the results go: duckdb:///FILE or bigquery://PROJECT/DATASET?location=L "
            "(default: $DFPIPE_WAREHOUSE)",
        )
        add("--days", default="4", help="length of the window, may be fractional (default: 4)")
        add(
            "--until",
            metavar="TIME",
            help="end of the window, which is excluded, as 2015-01-11T00:00:00Z (default: now)",
        )
        add(
            "--text",
            default="modern",
            metavar="|".join(MODES),
            help="how words and URLs are taken from a post (default: modern)",
        )
        add("--top_words", default="500", metavar="N", help="words ranked (default: 500)")
        add("--top_urls", default="300", metavar="N", help="URLs ranked (default: 300)")
        add("--top_pairs", default="300", metavar="N", help="word pairs ranked (default: 300)")
        add(
            "--languages",
            metavar="L,L...",
            help="languages whose stop words are left out, as en,fr (default: en)",
        )
        add("--stopwords_file", metavar="FILE", help="more stop words, one a line, # comments")
        add(
            "--processes",
            default="1",
            metavar="N",
            help="processes that share the work of one worker (default: 1; on this machine, "
            "as many as it has cores)",
        )
        add(
            "--slices",
            default="64",
            metavar="N",
            help="queries into which the window is cut to be read in parallel (default: 64)",
        )
        add(
            "--shards",
            default="16",
            metavar="N",
            help="parts in which words, URLs and pairs are added up in parallel (default: 16)",
        )
        add(
            "--held_texts",
            default="500000",
            metavar="N",
            help="words or URLs that a step which counts them holds in memory at a time, some "
            "60 MB (default: 500000)",
        )
        add(
            "--pair_candidates",
            default="2048",
            metavar="N",
            help="words whose pairs are counted at first; the result does not depend on it, "
            "the time does (default: 2048)",
        )


def settings(options: PipelineOptions, now: datetime) -> Settings:
    """Check the options of a run; `now` is the default end of the window. Raises UsageError."""
    given = options.view_as(AnalysisOptions)
    end = _time(given.until) if given.until is not None else now
    languages, words = given.languages, given.stopwords_file
    return Settings(
        source=_required(given.source, "source", "STORE, as sqlite:///posts.db"),
        sink=_required(given.sink, "sink", "WAREHOUSE, as duckdb:///results.duckdb"),
        start=_start(end, given.days),
        end=end,
        text=_mode(given.text),
        stop_words=stop_words_in_effect(
            _mode(given.text),
            language_list(languages),
            read_stop_words(words) if words is not None else (),
        ),
        **{
            name: _count(name, getattr(given, name))
            for name in (
                *("top_words", "top_urls", "top_pairs"),
                *("processes", "slices", "shards", "held_texts", "pair_candidates"),
            )
        },
    )


def _required(value: str | None, name: str, form: str) -> str:
    if not value:
        raise UsageError(f"--{name} is missing: give --{name} {form}")
    return value


def _mode(value: str) -> Mode:
    if value not in MODES:
        raise UsageError(f"--text={value} is no text mode: choose from {', '.join(MODES)}")
    return value


def _time(value: str) -> datetime:
    try:
        if not _RFC3339.fullmatch(value):
            raise ValueError("no date, time and offset")
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"--until={value} is no RFC 3339 time ({error}): write it as 2015-01-11T00:00:00Z"
        ) from error


def _start(end: datetime, days: Any) -> datetime:
    wrong = UsageError(
        f"--days={days} is no length of a window: give a number above 0, as 4 or 0.5, "
        "whose window begins after the year 1"
    )
    try:
        length = float(days)
        if not (math.isfinite(length) and length > 0):
            raise wrong
        start = end - timedelta(days=length)
    except (ValueError, OverflowError) as error:
        raise wrong from error
    if start >= end:
        raise wrong
    return start


def _count(name: str, value: Any) -> int:
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise UsageError(
            f"--{name}={value} is no number of things: give a whole number from 1 to 999999999"
        )
    return int(text)
