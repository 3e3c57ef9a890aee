"""The command `collector`."""

from collections.abc import Sequence
from typing import NoReturn

import click

from collector.cli import accounts, letters, services
from dfpipe.version import VERSION
from service.cli import ServiceGroup


@click.group("collector", cls=ServiceGroup)
@click.version_option(VERSION, prog_name="collector")
def collector() -> None:
    """Collect posts: follow accounts, fetch their new posts, and accept posts that are pushed.

    Settings come from environment variables, listed in docs/reference/collector.md.
    """


for _command in (*accounts.COMMANDS, *letters.COMMANDS, *services.COMMANDS):
    collector.add_command(_command)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit: 0 success, 1 failure, 2 wrong usage, 130 interrupted."""
    collector.run(argv)
