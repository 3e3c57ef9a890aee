"""The options that several commands have, and what they name."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import click

from collector.settings import STORE, Settings, read_settings
from dfpipe.errors import UsageError

PIPE_WIDTH = 160  # columns of a table that nobody sees on a terminal
STORE_OPTION = click.option(
    "--store",
    metavar="URL",
    envvar=STORE,
    show_envvar=True,
    help="sqlite:///FILE or datastore://PROJECT?namespace=N.",
)
QUEUE_YAML_OPTION = click.option(
    "--queue_yaml",
    metavar="FILE",
    envvar="COLLECTOR_QUEUE_YAML",
    show_envvar=True,
    default="queue.yaml",
    show_default=True,
    help="Defines the queues `timeline` and `ingest`.",
)


def settings_of(store: str | None, queue_yaml: str | None = None) -> Settings:
    """The settings of the environment, with what the words of the command name.

    Raises UsageError where no store is named.
    """
    settings = read_settings(os.environ)
    settings = replace(settings, store=store or settings.store)
    if not settings.store:
        raise UsageError(f"no store is named: give --store sqlite:///FILE, or set {STORE}")
    return replace(settings, queue_yaml=queue_yaml or settings.queue_yaml)


@contextmanager
def client_of(settings: Settings) -> Iterator[Any]:
    """A client of the settings' store, closed at the end."""
    from dfpipe.datastore import check, connect

    check(settings.store)
    client = connect(settings.store)
    try:
        yield client
    finally:
        client.close()


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under a head; numbers stand to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        number = any(isinstance(row[i], int | float) for row in rows)
        table.add_column(column, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(readable(value)) for value in row))
    Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table)


def readable(value: object) -> str:
    r"""A table's text for a value: nothing in it moves a cursor.

    >>> readable(1234567), readable(None), readable("a\x1b[2Jb")
    ('1,234,567', '', 'a\\x1b[2Jb')
    """
    if isinstance(value, int | float):
        return f"{value:,}"
    text = "" if value is None else str(value)
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
