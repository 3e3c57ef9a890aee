"""`dfpipe cache`."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from dfpipe.commands.options import FORMAT, store_option
from dfpipe.errors import UsageError

if TYPE_CHECKING:
    from dfpipe.slices.folder import File, Folder

COLUMNS = ("folder", "store", "text", "hours", "first", "last", "bytes")
EXAMPLES = """\b
Examples:
  dfpipe cache list --store sqlite:///posts.db
  dfpipe cache prune --store sqlite:///posts.db --days 90
  dfpipe cache clear --cache gs://bucket/cache
"""


@click.group("cache", short_help="Show or clean what runs keep of past hours.", epilog=EXAMPLES)
def command() -> None:
    """Show or clean what runs keep of past hours.

    Nothing in a cache is needed: what has been removed is made again by the next run. It never
    changes a result.
    """


def _of_a_cache(function: Any) -> Any:
    """Add the options that say which cache."""
    cache = click.option(
        "--cache",
        metavar="FOLDER",
        envvar="DFPIPE_CACHE",
        show_envvar=True,
        help="A folder, or gs://BUCKET/FOLDER.  [default: FILE.cache beside --store]",
    )
    return store_option(required=False)(cache(function))


def _folder(store: str | None, cache: str | None) -> "Folder":
    from dfpipe.slices import folders  # --help needs none of it

    if cache is None and store is None:
        raise UsageError("give --cache FOLDER, or --store sqlite:///FILE for the one beside it")
    url = folders.chosen(cache, store or "")
    if url is None:
        raise UsageError(
            "there is no cache without --cache FOLDER: only a store in a file has one beside it"
        )
    return folders.folder(url)


@command.command("list")
@_of_a_cache
@FORMAT
@click.option("--limit", type=click.IntRange(1), help="Maximum number of rows.  [default: all]")
def show(store: str | None, cache: str | None, format_: str, limit: int | None) -> None:
    """Show which hours of which stores are in the cache."""
    from dfpipe.commands.query import as_csv, as_json
    from dfpipe.slices import upkeep
    from dfpipe.warehouse.named_queries import Result

    folder = _folder(store, cache)
    rows = [
        (kept.folder, kept.source, kept.text, kept.hours, kept.first, kept.last, kept.size)
        for kept in islice(upkeep.kept(folder), limit)
    ]
    if format_ != "table":
        result = Result(COLUMNS, tuple(rows))
        click.echo(as_json(result) if format_ == "json" else as_csv(result), nl=False)
    elif rows:
        _print_table(rows)
    else:
        click.echo(f"{folder.url} is empty")


def _print_table(rows: Iterable[tuple[Any, ...]]) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE, pad_edge=False)
    for name in COLUMNS[:3]:
        table.add_column(name, overflow="fold")
    for name in COLUMNS[3:]:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else cell for cell in row))
    Console().print(table)


@command.command()
@_of_a_cache
@click.option(
    "--days",
    type=click.FloatRange(0, 36_500),
    default=30,
    show_default=True,
    help="Remove what was written more than so many days ago.",
)
def prune(store: str | None, cache: str | None, days: float) -> None:
    """Remove old slices, and what runs that were killed have left."""
    from dfpipe.slices import upkeep

    if math.isnan(days):  # which every range accepts
        raise UsageError("--days must be a number of days from 0 to 36500 (got nan)")
    folder, now = _folder(store, cache), datetime.now(UTC)
    _remove(folder, upkeep.old(folder.files(), now - timedelta(days=days), now))


@command.command()
@_of_a_cache
def clear(store: str | None, cache: str | None) -> None:
    """Remove everything that runs have put into the cache."""
    from dfpipe.slices import upkeep

    folder, now = _folder(store, cache), datetime.now(UTC)
    _remove(folder, upkeep.old(folder.files(), datetime.max.replace(tzinfo=UTC), now))


def _remove(folder: "Folder", files: "list[File]") -> None:
    folder.remove([file.path for file in files])
    size = sum(file.size for file in files)
    name = "file" if len(files) == 1 else "files"
    click.echo(f"{len(files):,} {name} removed from {folder.url}, {size:,} bytes")
