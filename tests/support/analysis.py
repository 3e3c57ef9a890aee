"""Running the analysis over posts and reading its tables back, as values to compare."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.datastore import Entity

from dfpipe import datastore, pipeline
from dfpipe.launch import parse
from dfpipe.options import settings
from dfpipe.posts.post import KIND, UNINDEXED
from tests import oracle
from tests.stories_oracle import Stories

END = datetime.fromisoformat("2015-01-11T00:00:00+00:00")


def store_posts(url: str, posts: Iterable[Mapping[str, Any]]) -> None:
    """Put posts with any properties, 500 at a time; each has an integer `tid`, its key."""
    client = datastore.connect(url)
    entities = []
    for post in posts:
        entity = Entity(client.key(KIND, post["tid"]), exclude_from_indexes=UNINDEXED)
        entity.update(post)
        entities.append(entity)
    for i in range(0, len(entities), 500):
        client.put_multi(entities[i : i + 500])
    client.close()


def run(source: str, sink: str, *argv: str) -> pipeline.Summary:
    """Analyse the window that ends at END, unless the words say otherwise."""
    until = () if any(w.startswith("--until") for w in argv) else (f"--until={END.isoformat()}",)
    options = parse([f"--store={source}", f"--sink={sink}", *until, *argv], {})
    return pipeline.run_analysis(settings(options, END), options)


def tables(path: Path, ts: datetime = END) -> oracle.Analysis:
    """Read a run out of a DuckDB file with nothing of dfpipe, in the oracle's form."""
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")

        def rows(columns: str, table: str) -> list[tuple[Any, ...]]:
            found = connection.execute(
                f"SELECT {columns} FROM {table} WHERE ts = ? ORDER BY ALL", [ts]
            )
            return found.fetchall()

        return _analysis(rows)


def stories(path: Path, ts: datetime = END) -> Stories:
    """Read the tables of what is rising, and of the stories, likewise."""
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")

        def rows(columns: str, table: str) -> list[tuple[Any, ...]]:
            found = connection.execute(
                f"SELECT {columns} FROM {table} WHERE ts = ? ORDER BY ALL", [ts]
            )
            return found.fetchall()

        return _stories(rows)


def bigquery_tables(
    address: str, dataset: str, ts: datetime = END
) -> tuple[oracle.Analysis, Stories]:
    """Read a run out of a BigQuery emulator with Google's client alone, in the oracles' forms."""
    client = bigquery.Client(
        project=dataset.partition(".")[0],
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": address},
    )

    def rows(columns: str, table: str) -> list[tuple[Any, ...]]:
        where = f"ts = TIMESTAMP '{ts.isoformat()}'"
        sql = f"SELECT {columns} FROM `{dataset}.{table}` WHERE {where}"
        return sorted(tuple(row.values()) for row in client.query_and_wait(sql))

    return _analysis(rows), _stories(rows)


def _stories(rows: Callable[[str, str], list[tuple[Any, ...]]]) -> Stories:
    ((since, recent),) = rows("recent_start, recent", "runs")
    score = "recent, before, score, p_value"
    return Stories(
        since,
        recent,
        rows(
            "rank, word, recent, before, percent_recent, percent_before, score, p_value",
            "rising_words",
        ),
        rows(f"rank, w1, w2, {score}", "rising_pairs"),
        rows(
            f"rank, w1, w2, words, posts, users, {score}, pairs, first_seen, last_seen", "stories"
        ),
        rows("story, rank, tid, copies", "story_posts"),
        rows("story, rank, url, count", "story_urls"),
        rows("story, part_start, count", "story_timeline"),
        rows("part_start, count", "timeline"),
    )


def _analysis(rows: Callable[[str, str], list[tuple[Any, ...]]]) -> oracle.Analysis:
    names = ("tweets", "skipped", "words", "urls")
    (counts,) = rows(", ".join(names), "runs")
    return oracle.Analysis(
        rows("rank, word, count, percent", "word_counts"),
        rows("rank, url, count", "urls"),
        rows("rank, w1, w2, count, log_weight", "word_cooccur"),
        dict(zip(names, counts, strict=True)),
    )
