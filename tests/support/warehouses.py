"""Runs and rows for warehouses in tests, and a way around the seam to look at what is stored."""

from collections.abc import Mapping
from dataclasses import astuple, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import duckdb
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from dfpipe.warehouse.tables import (
    TABLES,
    URLS,
    WORD_COOCCUR,
    WORD_COUNTS,
    Run,
    TableRows,
    UrlCount,
    WordCooccur,
    WordCount,
    in_writing_order,
)

TS = datetime(2015, 1, 11, tzinfo=UTC)
DATASETS = count()  # for the names of datasets in an emulator that all tests share


def a_run(ts: datetime = TS, **changes: Any) -> Run:
    """The row of a run."""
    run = Run(ts, ts - timedelta(days=4), ts, 7, 1, 3, 2, "modern", "FnApiRunner", "0.1.0", 1.5)
    return replace(run, **changes)


def some_rows(ts: datetime, name: str, n: int) -> TableRows:
    """So many rows of each table, all of them with the name in their texts."""
    return {
        WORD_COUNTS: [WordCount(ts, i, f"{name}{i}", 9, 9.5) for i in range(1, n + 1)],
        URLS: [UrlCount(ts, i, f"https://{name}.org/{i}", 9) for i in range(1, n + 1)],
        WORD_COOCCUR: [
            WordCooccur(ts, i, f"{name}{i}", f"{name}{i}b", 9, 9.5) for i in range(1, n + 1)
        ],
    }


def execute(sink: str, sql: str) -> list[tuple[Any, ...]]:
    """Run a statement past the seam."""
    if sink.startswith("duckdb"):
        with duckdb.connect(sink.removeprefix("duckdb:///")) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()
    _, _, project, dataset = sink.split("/")
    with bigquery.Client(project, AnonymousCredentials()) as client:
        config = bigquery.QueryJobConfig(default_dataset=f"{project}.{dataset}")
        return [row.values() for row in client.query(sql, config).result()]


def stored(sink: str, ts: datetime = TS) -> Mapping[str, list[tuple[Any, ...]]]:
    """The rows of a run in every table, times in UTC."""
    found = {
        table.name: execute(sink, f"SELECT {', '.join(table.columns)} FROM {table.name}")
        for table in TABLES
    }
    return {name: sorted(row for row in rows if row[0] == ts) for name, rows in found.items()}


def expected(run: Run, rows: TableRows) -> Mapping[str, list[tuple[Any, ...]]]:
    """What `stored` gives after a run was written."""
    return {table.name: sorted(map(astuple, given)) for table, given in in_writing_order(run, rows)}
