"""`dfpipe run`."""

import argparse
import os
import sys
from datetime import UTC, datetime
from typing import Any

import click
from click.shell_completion import CompletionItem

from dfpipe.commands.options import is_quiet
from dfpipe.importing import import_launch
from dfpipe.settings import add_arguments


class _Run(click.Command):
    """Completes the options of an analysis; Beam takes too long to import to ask for its own."""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the options that begin so."""
        parser = argparse.ArgumentParser(add_help=False)
        add_arguments(parser)
        options = {action.option_strings[0]: action.help for action in parser._actions}
        return [
            CompletionItem(name, help=text)
            for name, text in options.items()
            if name.startswith(incomplete)
        ]


@click.command(
    "run",
    cls=_Run,
    short_help="Analyse the posts of the last days, on any Beam runner.",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("argv", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(ctx: click.Context, argv: tuple[str, ...]) -> None:
    """Analyse the posts of a window and write the result tables.

    Takes Beam's options and those that dfpipe.options adds. On a terminal it ends with the largest
    stories and those that rise most; with --quiet it does not.
    """
    from dfpipe.engines import read_ahead

    now, quiet = datetime.now(UTC), is_quiet()
    tell = _tell if _is_terminal() and not quiet else None
    with read_ahead.begin(argv, os.environ, now):
        launch = import_launch()
        if {"-h", "--help"} & set(argv):
            click.echo(launch.help_text())
            return
        verbose = bool(ctx.find_root().params.get("verbose"))
        click.echo(launch.launch(argv, os.environ, verbose, now, tell, quiet=quiet))


def _tell(summary: Any) -> list[str]:
    """Return what a run has found, as its Summary says."""
    from dfpipe import warehouse
    from dfpipe.commands.story_text import closing_lines

    return closing_lines(warehouse.connect(summary.sink), summary.ts)


def _is_terminal() -> bool:
    return sys.stdout.isatty()
