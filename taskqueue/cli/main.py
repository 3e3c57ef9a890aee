"""The command `taskqueue`."""

from collections.abc import Sequence
from typing import NoReturn

import click

from service.cli import ServiceGroup
from taskqueue.cli import queues, services


@click.group("taskqueue", cls=ServiceGroup)
def taskqueue() -> None:
    """Work with push and pull queues, in a store or through the REST API."""


for _command in (*queues.COMMANDS, *services.COMMANDS):
    taskqueue.add_command(_command)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit: 0 success, 1 failure, 2 wrong usage, 130 interrupted."""
    taskqueue.run(argv)
