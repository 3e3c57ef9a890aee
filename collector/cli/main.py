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
    """Bring timelines in: follow accounts, fetch what is new there, take posts that are pushed.

    The settings are in the environment: docs/reference/collector.md lists them.
    """


for _command in (*accounts.COMMANDS, *letters.COMMANDS, *services.COMMANDS):
    collector.add_command(_command)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit: 0 success, 1 failure, 2 wrong usage, 130 interrupted."""
    collector.run(argv)
