"""Translates the named queries for other warehouses: `python -m dfpipe.warehouse.translate`."""

import sqlglot

from dfpipe.warehouse import KINDS
from dfpipe.warehouse.named_queries import WRITTEN, folder_of, names, sql

DIALECTS = sorted({kind.dialect for kind in KINDS.values()} - {WRITTEN})


def translate(text: str, dialect: str) -> str:
    """Return a query of GoogleSQL in another dialect, without its comments."""
    (translated,) = sqlglot.transpile(
        text, read=WRITTEN, write=dialect, pretty=True, comments=False
    )
    return f"{translated}\n"


def main() -> None:
    """Write the translations of every query."""
    for dialect in DIALECTS:
        folder_of(dialect).mkdir(exist_ok=True)
        for name in names():
            path = folder_of(dialect) / f"{name}.sql"
            path.write_text(translate(sql(name), dialect), encoding="utf-8")


if __name__ == "__main__":
    main()
