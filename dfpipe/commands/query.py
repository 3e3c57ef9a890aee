"""`dfpipe query`."""

import csv
import io
import json
import re
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import click

from dfpipe.commands.options import FORMAT, SINK, is_quiet, require_sink
from dfpipe.errors import UsageError
from dfpipe.warehouse import connect, named_queries
from dfpipe.warehouse.named_queries import NamedQuery, Result
from dfpipe.warehouse.notes import is_blank, notes_on

TABLE_ROWS = 20  # fit a terminal
PIPE_WIDTH = 160
EXAMPLES = """\b
Examples:
  dfpipe query --list
  dfpipe query popular_words --sink duckdb:///results.duckdb
  dfpipe query emerging_pairs --param since=6 --limit 10
  dfpipe query pair_history --param w1=new --param w2=york --format csv
"""


def _names(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in named_queries.names() if name.startswith(incomplete)]


def _parameters(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    # While the value of --param is missing, click leaves the argument before it unassigned.
    name = ctx.params.get("name") or next(iter(ctx.args), "")
    known = named_queries.load(name).parameters if name in named_queries.names() else ()
    return [f"{each.name}=" for each in known if each.name.startswith(incomplete)]


@click.command("query", short_help="Answer a named query from the results.", epilog=EXAMPLES)
@click.argument("name", required=False, shell_complete=_names)
@click.option("--list", "list_", is_flag=True, help="List the queries and their parameters.")
@SINK
@click.option(
    "--limit", metavar="N", help="Maximum number of rows.  [default: 20 for a table, else all]"
)
@click.option(
    "--param",
    "params",
    metavar="K=V",
    multiple=True,
    shell_complete=_parameters,
    help="Set a parameter of the query; repeatable.",
)
@FORMAT
def command(
    name: str | None,
    list_: bool,
    sink: str | None,
    limit: str | None,
    params: tuple[str, ...],
    format_: str,
) -> None:
    """Answer a named query from the results.

    Times are in UTC. Tables round numbers to two decimals; json and csv do not.
    """
    if list_:
        click.echo(catalogue())
        return
    if name is None:
        raise UsageError(
            f"the name of a query is required: give one of {', '.join(named_queries.names())}"
        )
    given, rows = parameters(params), row_limit(limit, format_)
    query = named_queries.load(name)
    values = query.bind(given)
    warehouse = connect(require_sink(sink))
    with warehouse.reading():
        result = warehouse.query(name, **given)
        for note in () if is_quiet() else notes_on(warehouse, query, values, result):
            click.echo(f"dfpipe: {readable(note)}", err=True)
    if format_ == "table":
        shown = Result(result.columns, ()) if is_blank(query, result) else result
        print_table(query, shown, rows, is_default=limit is None)
        return
    kept = Result(result.columns, result.rows[:rows])
    sys.stdout.write(as_json(kept) if format_ == "json" else as_csv(kept))


def parameters(args: Sequence[str]) -> dict[str, str]:
    """Return the parameters of K=V arguments; of equal names the last wins. Raises UsageError."""
    for arg in args:
        if "=" not in arg:
            raise UsageError(f"--param must be NAME=VALUE (got {arg})")
    return dict(arg.split("=", 1) for arg in args)


def row_limit(given: str | None, format_: str) -> int | None:
    """Return how many rows to print, None for all. Raises UsageError."""
    if given is None:
        return TABLE_ROWS if format_ == "table" else None
    if not re.fullmatch("0*[1-9][0-9]{0,17}", given):
        raise UsageError(f"--limit must be a whole number of at least 1 (got {given[:80]})")
    return int(given)


def catalogue() -> str:
    """Return a text that lists the queries with their parameters."""
    lines = []
    for query in map(named_queries.load, named_queries.names()):
        lines += [query.name, *(f"    {line}" for line in (query.answers, query.notes) if line)]
        for parameter in query.parameters:
            default = {None: "required", "NULL": "optional"}.get(
                parameter.default, f"default {parameter.default}"
            )
            lines.append(f"    --param {parameter.name}=  {parameter.answers} [{default}]")
    return "\n".join(lines)


def as_json(result: Result) -> str:
    """Return one array of objects, a row a line, numbers in full and times as RFC 3339."""
    lines = (json.dumps(row, default=_rfc3339, ensure_ascii=False) for row in result.dicts())
    return "[" + ",\n ".join(lines) + "]\n"


def as_csv(result: Result) -> str:
    """Return a header and the rows, numbers in full and times as RFC 3339."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(result.columns)
    writer.writerows([_cell(value) for value in row] for row in result.rows)
    return text.getvalue()


def print_table(
    query: NamedQuery, result: Result, limit: int | None, is_default: bool = False
) -> None:
    """Print the first rows under a heading, which names the run if they are all of one.

    Columns of lists are left out, and those that the query does not name for tables.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    heading, skip = query.name.replace("_", " "), 0
    runs = {row[0] for row in result.rows} if result.columns[0] == "ts" else set()
    if len(runs) == 1 and any(parameter.name == "ts" for parameter in query.parameters):
        heading, skip = f"{heading}, run {_rfc3339(runs.pop())}", 1
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    lists = {i for row in result.rows for i, value in enumerate(row) if isinstance(value, list)}
    shown = set(query.table_columns or result.columns)
    columns = [
        i for i, name in enumerate(result.columns) if i >= skip and i not in lists and name in shown
    ]
    for i in columns:
        number = any(isinstance(row[i], int | float) for row in result.rows)
        justify: Literal["right", "left"] = "right" if number else "left"
        table.add_column(result.columns[i], justify=justify, no_wrap=number, overflow="fold")
    for row in result.rows[:limit]:
        table.add_row(*(Text(readable(row[i])) for i in columns))
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
    console.print(heading, table)
    left = len(result.rows) - len(result.rows[:limit])
    if not result.rows:
        console.print("no rows")
    elif left:
        console.print(f"{left:,} more{': give --limit' if is_default else ''}")


def readable(value: object) -> str:
    r"""Return a table's text for a value: two decimals, and nothing that moves a cursor.

    >>> readable(3.14159), readable(None), readable("a\x1b[2Jb")
    ('3.14', '', 'a\\x1b[2Jb')
    """
    if isinstance(value, float):
        return f"{value:.2f}"
    text = _cell(value)
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return _rfc3339(value)
    if isinstance(value, list):
        return json.dumps(value, default=_rfc3339, ensure_ascii=False)
    return "" if value is None else repr(value) if isinstance(value, float) else str(value)


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
