"""Rows as a table on a terminal, safe for text from strangers, or as CSV.

    print_table(["account", "posts"], [["@alice", 12]])

rich is imported when a table is printed: a command that prints none starts faster.
"""

import csv
import sys
from collections.abc import Mapping, Sequence

PIPE_WIDTH = 160  # columns, where the output is not a terminal


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their heads; columns of numbers are aligned right, long cells folded."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        is_number = any(isinstance(row[i], int | float) for row in rows)
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell(value)) for value in row))
    Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table)


def print_csv(rows: Sequence[Mapping[str, object]]) -> None:
    """Print rows under a header, the names in the first row; nothing where there are no rows."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerows([rows[0]] if rows else [])
    writer.writerows(row.values() for row in rows)


def cell(value: object) -> str:
    r"""The text of a cell: numbers with separators, None empty, text made printable.

    >>> cell(1234567), cell(None), cell("a\x1b[2Jb")
    ('1,234,567', '', 'a\\x1b[2Jb')
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,}"
    return "" if value is None else printable(str(value))


def printable(text: str) -> str:
    r"""One line of text in which every control character is escaped, so no cursor moves.

    >>> printable("red\x1b[31m")
    'red\\x1b[31m'
    """
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
