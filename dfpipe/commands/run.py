"""`dfpipe run`."""

import gc
import os
from datetime import UTC, datetime
from typing import Any

import click


@click.command(
    "run",
    short_help="Analyse the posts of the last days, on any Beam runner.",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Analyse the posts of a window and write the result tables.

    The options are Beam's, and those that dfpipe.options adds to them.
    """
    from dfpipe.engines import read_ahead

    now = datetime.now(UTC)
    with read_ahead.begin(words, os.environ, now):
        launch = _import_launch()
        if {"-h", "--help"} & set(words):
            click.echo(launch.help_text())
            return
        verbose = bool(ctx.find_root().params.get("verbose"))
        click.echo(launch.launch(words, os.environ, verbose, now))


def _import_launch() -> Any:
    # Beam takes a second to import, which no other command shall pay for, and a sixth of that goes
    # to looking for garbage where there is none. What it has made stays, and is not looked through
    # again.
    gc.disable()
    from dfpipe import launch

    gc.freeze()
    gc.enable()

    return launch
