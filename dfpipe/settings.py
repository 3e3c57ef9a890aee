"""The settings of a run: the options of its command line, checked; no Beam."""

import argparse
import hashlib
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from dfpipe.analysis.stopwords import (
    default_languages,
    language_list,
    read_stop_words,
    stop_words_in_effect,
)
from dfpipe.analysis.text import MODES, Mode
from dfpipe.errors import UsageError

# The runners that execute the steps in this very process, unless they are told of another place:
# Beam's own, and Prism.
IN_PROCESS = {"fnapirunner", "fnapi", "directrunner", "direct", "prismrunner", "prism"}
# Texts, about a megabyte: to hold fewer costs time and saves nothing.
LEAST_HELD = 10_000
ENVIRONMENT = {"--source": "DFPIPE_STORE", "--sink": "DFPIPE_WAREHOUSE"}

_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:[0-5]\d)", re.ASCII
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
    languages: tuple[str, ...]  # of the stop words; none in the classic mode
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
            self.top_words,
            self.top_urls,
            self.top_pairs,
        )


def _digest(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:12]


class Parser(argparse.ArgumentParser):
    """Raises what argparse would print."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(f"{message} (see `dfpipe run --help`)")


def with_environment(words: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """Return the words of a command with those options that the environment gives."""
    given = list(words)
    for option, variable in ENVIRONMENT.items():
        named = any(word.partition("=")[0] == option for word in words)
        if not named and environ.get(variable):
            given.append(f"{option}={environ[variable]}")
    return given


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the analysis's own options to a parser."""
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
        metavar="N",
        help="processes that read posts, where Beam runs in this process; other runners have "
        "workers of their own (default: as many as there are cores)",
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
        "60 MB; 10000 at least (default: 500000)",
    )
    add(
        "--pair_candidates",
        default="2048",
        metavar="N",
        help="words whose pairs are counted at first; the result does not depend on it, "
        "time and memory do (default: 2048)",
    )


def settings(given: Any, now: datetime) -> Settings:
    """Check the options of a run; `now` is the default end of the window. Raises UsageError."""
    end = _time(given.until) if given.until is not None else now
    mode, languages = _mode(given.text), language_list(given.languages)
    file = given.stopwords_file
    return Settings(
        source=_required(given.source, "source", "STORE, as sqlite:///posts.db"),
        sink=_required(given.sink, "sink", "WAREHOUSE, as duckdb:///results.duckdb"),
        start=_start(end, given.days),
        end=end,
        text=mode,
        languages=languages or default_languages(mode),
        stop_words=stop_words_in_effect(
            mode, languages, read_stop_words(file) if file is not None else ()
        ),
        processes=_count("processes", _cores() if given.processes is None else given.processes),
        **{
            name: _count(name, getattr(given, name))
            for name in (
                *("top_words", "top_urls", "top_pairs"),
                *("slices", "shards", "pair_candidates"),
            )
        },
        held_texts=_held_texts(given.held_texts),
    )


def _cores() -> int:
    """Return how many cores this process may use."""
    usable = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(usable(0)) if usable else os.cpu_count() or 1


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


def _count(name: str, value: Any, least: int = 1) -> int:
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise UsageError(
            f"--{name}={value} is no number of things: give a whole number from {least} to "
            "999999999"
        )
    return int(text)


def _held_texts(value: Any) -> int:
    held = _count("held_texts", value, LEAST_HELD)
    if held < LEAST_HELD:
        raise UsageError(
            f"--held_texts={value} is too few: give {LEAST_HELD} or more, as all texts are gone "
            "over again for each so many"
        )
    return held
