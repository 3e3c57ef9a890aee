"""`dfpipe run` on any engine of Beam, and its tables to the last bit."""

import os
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from dfpipe.analysis.stopwords import stop_words_in_effect
from tests import oracle, stories_oracle
from tests.support import analysis
from tests.support.command import dfpipe
from tests.support.engine_cases import Case

Row = dict[str, Any]
Tables = dict[str, list[Row]]

TABLES = (
    *("word_counts", "urls", "word_cooccur", "rising_words", "rising_pairs"),
    *("stories", "story_posts", "story_urls", "story_timeline", "timeline", "runs"),
)
# What is not the same on another engine, or with the cache of another run.
LEFT_OUT = {"seconds", "runner", "posts_read", "posts_cached"}
EMULATORS = ("DATASTORE_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST")
SECONDS = 1_200  # a run of some seconds where the machine is not busy
LINE = re.compile(
    r"([\d,]+) posts(?: \([\d,]+ read anew\))?, ([\d,]+) words, ([\d,]+) pairs ranked in [\d.]+ s: "
    r"run \S+ is"
)


def fill(store: str, case: Case, data: Callable[[], Path]) -> None:
    """Put a case's posts into an empty store; `data` gives the folder of real posts."""
    analysis.store_posts(store, case.posts)
    if case.archives:
        archives = sorted(map(str, data().glob(case.archives)))
        done = dfpipe("import", *archives, "--store", store, env=emulators())
        assert done.returncode == 0, done.stderr


def emulators() -> dict[str, str]:
    """The addresses of the emulators in use, for the environment of a child process."""
    return {name: os.environ[name] for name in EMULATORS if name in os.environ}


def run(case: Case, store: str, sink: str, *engine: str) -> Tables:
    """Analyse a case as a user does, with the options of an engine; give the tables.

    The line that it prints must have the figures of the tables.
    """
    argv = [f"--store={store}", f"--sink={sink}", *case.argv, *engine]
    done = dfpipe("run", *argv, env=emulators(), seconds=SECONDS)
    assert done.returncode == 0, done.stderr
    line = LINE.match(done.stdout)
    assert line, done.stdout
    found = tables(sink)
    figures = [found["runs"][-1]["tweets"], found["runs"][-1]["words"], len(found["word_cooccur"])]
    assert [int(n.replace(",", "")) for n in line.groups()] == figures, done.stdout
    return found


def run_with_cache(case: Case, expected: Tables, ends: tuple[str, str], *engine: str) -> None:
    """Run a case of real posts twice with a new cache: workers make it, and then read it alone."""
    for is_made in (True, False):
        assert run(case, *ends, *engine) == expected
        read = _duckdb_rows if ends[1].startswith("duckdb:") else _bigquery_rows
        (row,) = read(ends[1], "runs")
        assert row["posts_read"] == (row["tweets"] if is_made else 0)
        assert row["posts_cached"] == (0 if is_made else row["tweets"])


def tables(sink: str) -> Tables:
    """All rows of all runs in a warehouse, doubles bit for bit, read by nothing of dfpipe."""
    read = _duckdb_rows if sink.startswith("duckdb:") else _bigquery_rows
    return {
        table: sorted(map(_exact, read(sink, table)), key=lambda row: list(row.values()))
        for table in TABLES
    }


def _duckdb_rows(sink: str, table: str) -> Iterable[Row]:
    with duckdb.connect(sink.removeprefix("duckdb:///"), read_only=True) as connection:
        found = connection.execute(f"SELECT * FROM {table}")
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _bigquery_rows(sink: str, table: str) -> Iterable[Row]:
    """Read with Google's client alone, from the emulator of the environment."""
    parts = urlsplit(sink)
    client = bigquery.Client(
        project=parts.netloc,
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": os.environ["BIGQUERY_EMULATOR_HOST"]},
    )
    dataset = f"{parts.netloc}.{parts.path.strip('/')}"
    return [
        dict(row.items()) for row in client.query_and_wait(f"SELECT * FROM `{dataset}.{table}`")
    ]


def _exact(row: Row) -> Row:
    return {name: _value(row[name]) for name in row if name not in LEFT_OUT}


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value.hex() if isinstance(value, float) else value


class Reference:
    """What Beam's in-process runner makes of each case, and the posts in an embedded store.

    `data` gives the folder of real posts. The brute-force oracle has the last word on the cases
    that are small enough for it.
    """

    def __init__(self, folder: Path, data: Callable[[], Path]) -> None:
        self.folder = folder
        self.data = data
        self.found: dict[str, Tables] = {}

    def store(self, case: Case) -> str:
        """The URL of the embedded store with the case's posts, which are not to be changed."""
        path = self.folder / f"{case.archives.replace('/', '') or case.name}.db"
        if not path.exists():
            fill(f"sqlite:///{path}", case, self.data)
        return f"sqlite:///{path}"

    def tables(self, case: Case) -> Tables:
        """The tables that every engine must write."""
        if case.name not in self.found:
            path = self.folder / f"{case.name}.duckdb"
            found = run(case, self.store(case), f"duckdb:///{path}")
            if not case.archives:
                assert analysis.tables(path, case.end) == oracle_of(case)
                assert analysis.stories(path, case.end) == stories_of(case)
            self.found[case.name] = found
        return self.found[case.name]


def oracle_of(case: Case) -> oracle.Analysis:
    """The analysis of a case by brute force."""
    stop_words = stop_words_in_effect("modern")
    return oracle.analyse(case.posts, case.end, case.days, case.text, stop_words, *case.top)


def stories_of(case: Case) -> stories_oracle.Stories:
    """What is rising in a case, and its stories, by brute force."""
    stop_words = stop_words_in_effect("modern")
    return stories_oracle.analyse(
        case.posts, case.end, case.days, case.text, stop_words, case.top[2]
    )
