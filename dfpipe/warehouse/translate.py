"""Translates the named queries for DuckDB: run as `python -m dfpipe.warehouse.translate`."""

import sqlglot

from dfpipe.warehouse.named_queries import DUCKDB_FOLDER, names, sql


def to_duckdb(text: str) -> str:
    """Return a query of GoogleSQL in DuckDB's dialect, without its comments."""
    (translated,) = sqlglot.transpile(
        text, read="bigquery", write="duckdb", pretty=True, comments=False
    )
    return f"{translated}\n"


def main() -> None:
    """Write the translation of every query beside the others."""
    DUCKDB_FOLDER.mkdir(exist_ok=True)
    for name in names():
        (DUCKDB_FOLDER / f"{name}.sql").write_text(to_duckdb(sql(name)), encoding="utf-8")


if __name__ == "__main__":
    main()
