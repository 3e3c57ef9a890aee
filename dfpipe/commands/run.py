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
@click.argument("argv", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(ctx: click.Context, argv: tuple[str, ...]) -> None:
    """Analyse the posts of a window and write the result tables.

    Takes Beam's options, and those that dfpipe.options adds.
    """
    from dfpipe.engines import read_ahead

    now = datetime.now(UTC)
    with read_ahead.begin(argv, os.environ, now):
        launch = _import_launch()
        if {"-h", "--help"} & set(argv):
            click.echo(launch.help_text())
            return
        verbose = bool(ctx.find_root().params.get("verbose"))
        click.echo(launch.launch(argv, os.environ, verbose, now))


def _import_launch() -> Any:
    # Beam takes a second to import, which other commands do not pay for. A sixth of that is garbage
    # collection that finds nothing; what the import made stays, so it is frozen.
    gc.disable()
    from dfpipe import launch

    gc.freeze()
    gc.enable()

    return launch
