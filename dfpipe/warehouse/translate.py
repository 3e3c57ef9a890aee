"""Translates the named queries for other warehouses: `python -m dfpipe.warehouse.translate`."""

import sqlglot
from sqlglot.errors import ParseError

from dfpipe.warehouse import KINDS
from dfpipe.warehouse.named_queries import WRITTEN, folder_of, names, sql

DIALECTS = sorted({kind.dialect for kind in KINDS.values()} - {WRITTEN})


def translate(text: str, dialect: str) -> str:
    """Return a query of GoogleSQL in another dialect, without its comments.

    A query that means the same in both is returned as it is.

    >>> translate("SELECT MAX(ts) FROM runs -- the newest", "duckdb")
    'SELECT MAX(ts) FROM runs -- the newest'
    """
    translated = _rewritten(text, WRITTEN, dialect)
    try:
        is_the_same = _rewritten(text, dialect, dialect) == translated
    except ParseError:
        is_the_same = False
    return text if is_the_same else translated


def _rewritten(text: str, read: str, write: str) -> str:
    (found,) = sqlglot.transpile(text, read=read, write=write, pretty=True, comments=False)
    return f"{found}\n"


def main() -> None:
    """Write a translation of every query that needs one, and remove the others."""
    for dialect in DIALECTS:
        folder_of(dialect).mkdir(exist_ok=True)
        for name in names():
            path, text = folder_of(dialect) / f"{name}.sql", sql(name)
            translated = translate(text, dialect)
            if translated == text:
                path.unlink(missing_ok=True)
            else:
                path.write_text(translated, encoding="utf-8")


if __name__ == "__main__":
    main()
