"""`dfpipe run`."""

import os
import sys
from datetime import UTC, datetime
from typing import Any

import click

from dfpipe.importing import import_launch

QUIET = "--quiet"


@click.command(
    "run",
    short_help="Analyse the posts of the last days, on any Beam runner.",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("argv", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(ctx: click.Context, argv: tuple[str, ...]) -> None:
    """Analyse the posts of a window and write the result tables.

    Takes Beam's options, those that dfpipe.options adds, and --quiet. On a terminal it ends with
    the largest stories and those that rise most; with --quiet it does not.
    """
    from dfpipe.engines import read_ahead

    now = datetime.now(UTC)
    tell = _tell if _is_terminal() and QUIET not in argv else None
    argv = tuple(arg for arg in argv if arg != QUIET)
    with read_ahead.begin(argv, os.environ, now):
        launch = import_launch()
        if {"-h", "--help"} & set(argv):
            click.echo(launch.help_text())
            return
        verbose = bool(ctx.find_root().params.get("verbose"))
        click.echo(launch.launch(argv, os.environ, verbose, now, tell))


def _tell(summary: Any) -> list[str]:
    """Return what a run has found, as its Summary says."""
    from dfpipe import warehouse
    from dfpipe.commands.story_text import closing_lines

    return closing_lines(warehouse.connect(summary.sink), summary.ts)


def _is_terminal() -> bool:
    return sys.stdout.isatty()
