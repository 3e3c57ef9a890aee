"""The command `workflow`."""

import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from service.cli import ServiceGroup
from workflow.cli import commands, run, serve


@click.group("workflow", cls=ServiceGroup)
def workflow() -> None:
    """Start workflows, look at them, and end them."""


for _command in (*commands.COMMANDS, run.run_workflow, serve.serve):
    workflow.add_command(_command)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit: 0 success, 1 failure or abort, 2 wrong usage, 130 interrupted."""
    # Stages are often in the folder where the command is typed, as they are for gunicorn.
    if "" not in sys.path:
        sys.path.insert(0, "")
    workflow.run(argv)
