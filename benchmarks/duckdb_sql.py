"""The analysis as SQL in DuckDB with two threads: the competitor outside of Beam.

Edges are grouped into stories one after the other, which is a few lines of Python.
"""

import argparse
import html
import math
import unicodedata
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from dfpipe.analysis.stopwords import stop_words_in_effect

SQL = Path(__file__).parent / "sql"
RECENT = timedelta(hours=24)


def analyse(posts_file: str, output: str, end: datetime, days: float, text_mode: str) -> None:
    """Write the tables of the window's posts, read from JSON lines, to a new DuckDB file."""
    with duckdb.connect(output) as connection:
        connection.execute("SET threads = 2; SET preserve_insertion_order = false")
        connection.create_function("unescape", html.unescape, ["VARCHAR"], "VARCHAR")
        connection.create_function("fold", fold, ["VARCHAR"], "VARCHAR")
        connection.create_function("erfc", math.erfc, ["DOUBLE"], "DOUBLE")
        for name, value in {
            "posts_file": posts_file,
            "window_start": end - timedelta(days=days),
            "window_end": end,
            "recent_start": end - RECENT,
            "length": round(days * 86_400_000_000),
            "stop_words": sorted(stop_words_in_effect(text_mode)),
        }.items():
            connection.execute(f"SET VARIABLE {name} = $value", {"value": value})
        for part in ("read", text_mode, "rank", "rising"):
            connection.execute(text_of(part))
        group(connection)
        connection.execute(text_of("stories"))


def text_of(part: str) -> str:
    """Return the SQL of a file."""
    return (SQL / f"{part}.sql").read_text(encoding="utf-8")


def group(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables edge_groups and set_groups: see "Stories" in the reference."""
    (edges,) = connection.execute("SELECT count(*) FROM edges").fetchone() or (0,)
    found = connection.execute("SELECT edges, count(*) FROM post_edges GROUP BY edges").fetchall()
    posts = {tuple(edge_set): n for edge_set, n in found}
    groups: list[set[tuple[int, ...]]] = []  # the sets of edges of each group's posts
    group_of: list[int] = []
    for edge in range(edges):
        having = {edge_set for edge_set in posts if edge in edge_set}
        half = sum(posts[edge_set] for edge_set in having) / 2
        shared = (sum(posts[edge_set] for edge_set in having & each) for each in groups)
        joined = next((i for i, n in enumerate(shared) if n >= half), len(groups))
        if joined == len(groups):
            groups.append(set())
        groups[joined] |= having
        group_of.append(joined)
    chosen = [Counter(sorted(group_of[edge] for edge in one)).most_common(1)[0][0] for one in posts]
    for name, key, keys, values in (
        ("edge_groups", "edge", list(range(edges)), group_of),
        ("set_groups", "edges", [list(edge_set) for edge_set in posts], chosen),
    ):
        kind = "BIGINT" if key == "edge" else "BIGINT[]"
        connection.execute(
            f"CREATE TEMP TABLE {name} AS SELECT unnest($keys::{kind}[]) AS {key}, "
            "unnest($values::BIGINT[]) AS story_group",
            {"keys": keys, "values": values},
        )


def fold(text: str) -> str:
    """Normalise to NFKC and to lower case."""
    return unicodedata.normalize("NFKC", text).lower()


def main(argv: Sequence[str] | None = None) -> None:
    """Analyse as the words of the command say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("posts_file", help="JSON lines, not compressed")
    parser.add_argument("output", help="the DuckDB file to write; it must not exist")
    parser.add_argument("--until", type=datetime.fromisoformat, required=True)
    parser.add_argument("--days", type=float, default=4)
    parser.add_argument("--text", choices=("modern", "classic"), default="modern")
    args = parser.parse_args(argv)
    analyse(args.posts_file, args.output, args.until, args.days, args.text)


if __name__ == "__main__":
    main()
