"""The command `workflow`."""

import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from service.cli import ServiceGroup

# The short help of the commands, by module.
COMMANDS = {
    "workflow.cli.commands": {
        "list": "List the workflows, the newest first.",
        "show": "Show the stages of a workflow.",
        "start": "Start a workflow.",
        "abort": "Abort a workflow.",
        "retry": "Run a stage again.",
        "rerun": "Start a workflow again.",
        "cleanup": "Delete everything that is stored of a workflow.",
        "reap": "Resume stages whose tasks were lost.",
    },
    "workflow.cli.run": {
        "run": "Run a workflow to its end in this process.",
    },
    "workflow.cli.serve": {
        "serve": "Serve the stages' tasks and callbacks, and the status page.",
    },
}


@click.group(
    "workflow", cls=ServiceGroup, lazy=COMMANDS, extra="services", option_names={"count": "limit"}
)
@click.version_option(package_name="dfpipe", prog_name="workflow")
def workflow() -> None:
    """Start workflows, look at them, and end them."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit: 0 success, 1 failure or abort, 2 wrong usage, 130 interrupted."""
    # Stages are often in the folder where the command is typed, as they are for gunicorn.
    if "" not in sys.path:
        sys.path.insert(0, "")
    workflow.run(argv)
