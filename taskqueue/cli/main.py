"""The command `taskqueue`."""

from collections.abc import Sequence
from typing import NoReturn

import click

from service.cli import ServiceGroup

# The short help of the commands, by module.
COMMANDS = {
    "taskqueue.cli.queues": {
        "getqueue": "Show a queue.",
        "listtasks": "List the first tasks of a queue.",
        "gettask": "Show a task.",
        "addtask": "Add a task to a queue.",
        "leasetask": "Lease tasks.",
        "modifytask": "Extend or release the lease of a task.",
        "deletetask": "Delete a task.",
        "clear": "Delete the first tasks of a queue.",
        "deadletters": "List dead letters.",
        "retry": "Put dead letters back into their queue.",
    },
    "taskqueue.cli.services": {
        "dispatch": "Send the due tasks of push queues to their handlers.",
        "serve": "Serve the REST API of pull queues.",
        "puller": "Run a program for each task of a pull queue.",
    },
}


@click.group(
    "taskqueue",
    cls=ServiceGroup,
    lazy=COMMANDS,
    extra="services",
    option_names={"max-listed": "limit"},
)
@click.version_option(package_name="dfpipe", prog_name="taskqueue")
def taskqueue() -> None:
    """Work with push and pull queues, in a store or through the REST API."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit: 0 success, 1 failure, 2 wrong usage, 130 interrupted."""
    taskqueue.run(argv)
