"""The settings of a run: the options of its command line, checked; no Beam."""

import argparse
import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn

from dfpipe.analysis.stopwords import (
    default_languages,
    language_list,
    read_stop_words,
    stop_words_in_effect,
)
from dfpipe.analysis.text import MODES, Mode
from dfpipe.errors import UsageError
from dfpipe.posts.slices import Reading, Window
from dfpipe.slices import folders
from dfpipe.times import EXPECTED, parse_time

# Beam's in-process runner: it starts at once and raises the user's own exceptions.
LOCAL_RUNNER = "FnApiRunner"
# The runners that execute the steps in this process by default: Beam's own, and Prism.
IN_PROCESS = {"fnapirunner", "fnapi", "directrunner", "direct", "prismrunner", "prism"}
# Texts, about a megabyte: holding fewer costs time and saves nothing.
LEAST_HELD = 10_000
MOST_DIGITS = 9
RECENT = timedelta(hours=24)
# The options that the environment can set, in all their spellings, and the variables for it.
ENVIRONMENT = {
    ("--store", "--source"): ("DFPIPE_STORE",),
    ("--sink",): ("DFPIPE_SINK", "DFPIPE_WAREHOUSE"),  # the second is its old name
    ("--cache",): ("DFPIPE_CACHE",),
}


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What the result of a run depends on, and where its posts come from and its rows go.

    The window is `start <= created_at < end`, both in UTC.
    """

    source: str
    sink: str
    cache: str | None  # the folder of the hourly slices, if they are kept
    start: datetime
    end: datetime
    recent: timedelta  # the end of the window, which is compared with what was before
    text: Mode
    languages: tuple[str, ...]  # of the stop words; none in the classic mode
    stop_words: frozenset[str]
    top_words: int
    top_urls: int
    top_pairs: int
    top_rising: int
    top_stories: int
    story_users: int  # that a story needs at least
    processes: int
    slices: int
    shards: int
    held_texts: int
    pair_candidates: int

    @property
    def ts(self) -> datetime:
        """The run's identity: the window's end, to the second."""
        return self.end.replace(microsecond=0)

    @property
    def window(self) -> Window:
        """The times of the posts that are analysed."""
        return Window(self.start, self.end, self.end - self.recent)

    @property
    def reading(self) -> Reading:
        """What the words and URLs of the posts depend on."""
        return Reading(self.source, self.text, self.stop_words, self.cache)

    @property
    def stop_words_digest(self) -> str:
        """Tell whether two runs left out the same words."""
        return _digest(*sorted(self.stop_words))

    @property
    def digest(self) -> str:
        """Tell whether the rankings of two runs can be compared: all but where and when."""
        return _digest(
            self.text,
            self.stop_words_digest,
            self.end - self.start,
            self.recent,
            self.top_words,
            self.top_urls,
            self.top_pairs,
            self.top_rising,
            self.top_stories,
            self.story_users,
        )


def _digest(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:12]


class Parser(argparse.ArgumentParser):
    """Raises UsageError where argparse prints and exits."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError, with where to find help."""
        raise UsageError(f"{message} (see `dfpipe run --help`)")


def with_environment(argv: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """Return the arguments, with options added that are set in the environment instead."""
    given = list(argv)
    for options, variables in ENVIRONMENT.items():
        named = any(arg.partition("=")[0] in options for arg in argv)
        value = next(filter(None, map(environ.get, variables)), None)
        if not named and value:
            given.append(f"{options[0]}={value}")
    return given


# Each option with what argparse needs for it.
_OPTIONS: dict[str, dict[str, Any]] = {
    "--store": {
        "dest": "source",
        "metavar": "STORE",
        "help": (
            "store to read posts from: sqlite:///FILE or datastore://PROJECT?namespace=N "
            "(default: $DFPIPE_STORE)"
        ),
    },
    "--sink": {
        "metavar": "WAREHOUSE",
        "help": (
            "warehouse to write results to: duckdb:///FILE or "
            "bigquery://PROJECT/DATASET?location=L (default: $DFPIPE_SINK)"
        ),
    },
    "--cache": {
        "metavar": "FOLDER",
        "help": (
            "where the words and URLs of past hours are kept, so that a run reads only the posts "
            f"of hours that have changed: {folders.FORMS} (default: $DFPIPE_CACHE, or FILE.cache "
            "beside a store in a file)"
        ),
    },
    "--days": {
        "default": "4",
        "help": "length of the window in days, such as 0.5 (default: 4)",
    },
    "--until": {
        "metavar": "TIME",
        "help": (
            "end of the window, exclusive: a time such as 2015-01-11T12:00:00Z, or a date such as "
            "2015-01-11, which means its beginning (default: now)"
        ),
    },
    "--text": {
        "default": "modern",
        "metavar": "|".join(MODES),
        "help": "how words and URLs are taken from a post (default: modern)",
    },
    "--top-words": {
        "default": "500",
        "metavar": "N",
        "help": "words ranked (default: 500)",
    },
    "--top-urls": {
        "default": "300",
        "metavar": "N",
        "help": "URLs ranked (default: 300)",
    },
    "--top-pairs": {
        "default": "300",
        "metavar": "N",
        "help": "word pairs ranked (default: 300)",
    },
    "--recent": {
        "metavar": "HOURS",
        "help": (
            "length of the last part of the window in hours, which is compared with what came "
            "before it (default: 24)"
        ),
    },
    "--top-rising": {
        "default": "100",
        "metavar": "N",
        "help": "rising words ranked (default: 100)",
    },
    "--top-stories": {
        "default": "50",
        "metavar": "N",
        "help": "stories ranked (default: 50)",
    },
    "--story-users": {
        "default": "2",
        "metavar": "N",
        "help": "people a story needs; 1 for the posts of one person (default: 2)",
    },
    "--languages": {
        "metavar": "L,L...",
        "help": "languages whose stop words are left out, such as en,fr (default: en)",
    },
    "--stopwords-file": {
        "metavar": "FILE",
        "help": "more stop words, one per line; # begins a comment",
    },
    "--processes": {
        "metavar": "N",
        "help": (
            "processes that read posts if the runner is in this process; other runners have "
            "their own workers (default: the number of cores)"
        ),
    },
    "--slices": {
        "default": "64",
        "metavar": "N",
        "help": "parts of the window that are read in parallel, each by one query (default: 64)",
    },
    "--shards": {
        "default": "16",
        "metavar": "N",
        "help": "parts in which words, URLs and pairs are counted in parallel (default: 16)",
    },
    "--held-texts": {
        "default": "500000",
        "metavar": "N",
        "help": (
            "words or URLs that a counting step holds in memory, at least 10000; the default "
            "takes about 60 MB (default: 500000)"
        ),
    },
    "--pair-candidates": {
        "default": "2048",
        "metavar": "N",
        "help": (
            "words whose pairs are counted first; changes time and memory, not the result "
            "(default: 2048)"
        ),
    },
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the analysis's own options to a parser.

    Their words are separated by dashes. Underscores, which Beam's own options and the parameters
    of templates have, are understood too.
    """
    for name, how in _OPTIONS.items():
        names = dict.fromkeys((name, f"--{name[2:].replace('-', '_')}"))
        if name == "--store":
            names["--source"] = None  # its old name
        parser.add_argument(*names, **how)


def settings(given: Any, now: datetime) -> RunSettings:
    """Check the options of a run; `now` is the default end of the window. Raises UsageError."""
    end = _time(given.until) if given.until is not None else now
    mode, languages = _mode(given.text), language_list(given.languages)
    file = given.stopwords_file
    start = _start(end, given.days)
    source = _required(given.source, "store", "STORE, such as sqlite:///posts.db")
    return RunSettings(
        source=source,
        sink=_required(given.sink, "sink", "WAREHOUSE, such as duckdb:///results.duckdb"),
        cache=folders.chosen(given.cache, source),
        start=start,
        end=end,
        recent=_recent(given.recent, end - start),
        text=mode,
        languages=languages or default_languages(mode),
        stop_words=stop_words_in_effect(
            mode, languages, read_stop_words(file) if file is not None else ()
        ),
        processes=_count("processes", _cores() if given.processes is None else given.processes),
        **{
            name: _count(name, getattr(given, name))
            for name in (
                *("top_words", "top_urls", "top_pairs", "top_rising", "top_stories"),
                "story_users",
                *("slices", "shards", "pair_candidates"),
            )
        },
        held_texts=_count("held_texts", given.held_texts, LEAST_HELD),
    )


def _cores() -> int:
    """Return how many cores this process may use."""
    usable = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(usable(0)) if usable else os.cpu_count() or 1


def _required(value: str | None, name: str, form: str) -> str:
    if not value:
        raise UsageError(f"--{name} is required: give --{name} {form}")
    return value


def _mode(value: str) -> Mode:
    if value not in MODES:
        raise UsageError(f"--text must be {' or '.join(MODES)} (got {value})")
    return value


def _time(value: str) -> datetime:
    try:
        return parse_time(value)
    except ValueError as error:
        raise UsageError(f"--until must be {EXPECTED} (got {value})") from error


def _start(end: datetime, days: Any) -> datetime:
    wrong = UsageError(
        f"--days must be a number above 0, such as 4 or 0.5, and the window must begin after the "
        f"year 1 (got {days})"
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


def _recent(hours: Any, window: timedelta) -> timedelta:
    """Return how much of the window is recent; by default a shorter window is so as a whole."""
    if hours is None:
        return RECENT
    try:
        recent = timedelta(hours=float(hours))
    except (ValueError, OverflowError):
        recent = timedelta(0)
    if not timedelta(0) < recent < window:
        raise UsageError(
            "--recent must be a number of hours above 0 and below the length of the window, "
            f"{window / timedelta(hours=1):g} hours (got {hours})"
        )
    return recent


def _count(name: str, value: object, least: int = 1) -> int:
    text = str(value)
    is_count = text.isascii() and text.isdigit()
    if not is_count or len(text) > MOST_DIGITS or int(text) < least:
        most = " and at most 999999999" if is_count and len(text) > MOST_DIGITS else ""
        option = f"--{name.replace('_', '-')}"
        raise UsageError(
            f"{option} must be a whole number of at least {least}{most} (got {text[:80]})"
        )
    return int(text)
