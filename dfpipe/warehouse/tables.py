"""The rows of the result tables, which are also their schemas."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from operator import attrgetter
from typing import Any

from dfpipe.errors import DfpipeError

# What a field's type is in GoogleSQL; every column is REQUIRED.
SQL_TYPES: dict[Any, str] = {datetime: "TIMESTAMP", int: "INT64", str: "STRING", float: "FLOAT64"}


@dataclass(frozen=True, slots=True)
class WordCount:
    """A word and the `count` posts that contain it, `percent` (0..100) of the run's posts."""

    ts: datetime
    rank: int
    word: str
    count: int
    percent: float


@dataclass(frozen=True, slots=True)
class UrlCount:
    """A URL and the `count` posts that carry it."""

    ts: datetime
    rank: int
    url: str
    count: int


@dataclass(frozen=True, slots=True)
class WordCooccur:
    """Two words, w1 < w2, the `count` posts that contain both, and the pair's weight."""

    ts: datetime
    rank: int
    w1: str
    w2: str
    count: int
    log_weight: float


@dataclass(frozen=True, slots=True)
class Run:
    """A complete run: the window's posts, the distinct words and URLs in them, and how it was made.

    `ts` is the window's end, to the second, and names the run. Times are aware and in UTC.
    """

    ts: datetime
    window_start: datetime
    window_end: datetime
    tweets: int
    skipped: int
    words: int
    urls: int
    text_mode: str
    runner: str
    version: str
    seconds: float


Row = WordCount | UrlCount | WordCooccur | Run


@dataclass(frozen=True, slots=True)
class Table:
    """A result table: its name, the class of its rows and the columns that it is clustered by."""

    name: str
    row: type[Row]
    clustered_by: tuple[str, ...] = ()

    @property
    def columns(self) -> dict[str, str]:
        """Return the GoogleSQL type of each column, in order.

        >>> URLS.columns
        {'ts': 'TIMESTAMP', 'rank': 'INT64', 'url': 'STRING', 'count': 'INT64'}
        """
        return {field.name: SQL_TYPES[field.type] for field in fields(self.row)}

    def transpose(self, rows: Iterable[Row]) -> Sequence[list[Any]]:
        """Return the values of the rows column by column."""
        rows = list(rows)
        return [list(map(attrgetter(name), rows)) for name in self.columns]


WORD_COUNTS = Table("word_counts", WordCount, ("word",))
URLS = Table("urls", UrlCount, ("url",))
WORD_COOCCUR = Table("word_cooccur", WordCooccur, ("w1", "w2"))
RUNS = Table("runs", Run)
# In the order of writing: a run counts as soon as its row in `runs` is there.
TABLES = (WORD_COUNTS, URLS, WORD_COOCCUR, RUNS)


def run_tables(
    run: Run,
    words: Sequence[WordCount],
    urls: Sequence[UrlCount],
    pairs: Sequence[WordCooccur],
) -> list[tuple[Table, Sequence[Row]]]:
    """Return each table with its rows of the run, in the order of writing.

    Raises DfpipeError for a row of another run.
    """
    tables: list[tuple[Table, Sequence[Row]]] = list(
        zip(TABLES, (words, urls, pairs, [run]), strict=True)
    )
    for table, rows in tables:
        for row in rows:
            if row.ts != run.ts:
                raise DfpipeError(
                    f"{table.name}: a row of ts {row.ts} was given for the run {run.ts}: "
                    "a run replaces its own rows only"
                )
    return tables


def check_columns(place: str, table: Table, found: Sequence[str]) -> None:
    """Raise DfpipeError where a table that is already there has other columns."""
    if list(found) != list(table.columns):
        raise DfpipeError(
            f"{place} has a table {table.name} with the columns {', '.join(found)}, where "
            f"{', '.join(table.columns)} are expected: give another place as --sink"
        )
