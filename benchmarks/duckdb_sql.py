"""The analysis as SQL in DuckDB with two threads: the competitor outside of Beam."""

import argparse
import html
import unicodedata
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from dfpipe.analysis.stopwords import stop_words_in_effect

SQL = Path(__file__).parent / "sql"


def analyse(posts_file: str, output: str, end: datetime, days: float, text_mode: str) -> None:
    """Write the tables of the window's posts, read from JSON lines, to a new DuckDB file."""
    with duckdb.connect(output) as connection:
        connection.execute("SET threads = 2; SET preserve_insertion_order = false")
        connection.create_function("unescape", html.unescape, ["VARCHAR"], "VARCHAR")
        connection.create_function("fold", fold, ["VARCHAR"], "VARCHAR")
        for name, value in {
            "posts_file": posts_file,
            "window_start": end - timedelta(days=days),
            "window_end": end,
            "stop_words": sorted(stop_words_in_effect(text_mode)),
        }.items():
            connection.execute(f"SET VARIABLE {name} = $value", {"value": value})
        for part in ("read", text_mode, "rank"):
            connection.execute((SQL / f"{part}.sql").read_text(encoding="utf-8"))


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
