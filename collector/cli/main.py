"""The command `collector`."""

from collections.abc import Sequence
from typing import NoReturn

import click

from dfpipe.version import VERSION
from service.cli import ServiceGroup

# The short help of the commands, by module.
COMMANDS = {
    "collector.cli.accounts": {
        "follow": "Follow an account.",
        "unfollow": "Stop following an account; its posts stay.",
        "accounts": "List the accounts and their state.",
        "fetch": "Fetch the new posts of one account now.",
        "purge": "Remove old posts.",
    },
    "collector.cli.letters": {
        "deadletters": "Inspect records that were set aside, and read them again.",
    },
    "collector.cli.services": {
        "serve": "Serve the collector under gunicorn.",
        "ingest-worker": "Store the posts that /ingest accepted.",
    },
}


@click.group("collector", cls=ServiceGroup, lazy=COMMANDS, extra="collector")
@click.version_option(VERSION, prog_name="collector")
def collector() -> None:
    """Collect posts: follow accounts, fetch their new posts, and accept posts that are pushed.

    Settings come from environment variables, listed in docs/reference/collector.md.
    """


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit: 0 success, 1 failure, 2 wrong usage, 130 interrupted."""
    collector.run(argv)
