"""The command `launcher`."""

import os
from collections.abc import Sequence
from contextlib import closing
from typing import NoReturn

import click

from dfpipe.errors import UsageError
from dfpipe.version import VERSION
from launcher.settings import LauncherSettings, read_settings
from service.cli import ServiceGroup
from service.listening import Listening, listening_options, run_gunicorn
from taskqueue.errors import UnknownQueueError


@click.group("launcher", cls=ServiceGroup)
@click.version_option(VERSION, prog_name="launcher")
def launcher() -> None:
    """Start chains of jobs when cron says so, watch them, and show what they found.

    The settings are in the environment: docs/reference/launcher.md lists them.
    """


@launcher.command(short_help="Serve the launcher under gunicorn.")
@click.option(
    "--store",
    metavar="URL",
    envvar="DFPIPE_STORE",
    show_envvar=True,
    help="sqlite:///FILE or datastore://PROJECT?namespace=N.",
)
@click.option(
    "--queue_yaml",
    metavar="FILE",
    envvar="LAUNCHER_QUEUE_YAML",
    show_envvar=True,
    default="queue.yaml",
    show_default=True,
)
@listening_options(timeout=True)
def serve(store: str | None, queue_yaml: str, listening: Listening) -> None:
    """Serve the launcher under gunicorn, until SIGTERM."""
    from launcher.app import create_app

    settings = read_settings(os.environ)
    settings = settings.model_copy(
        update={"store": store or settings.store, "queue_yaml": queue_yaml}
    )
    check(settings)
    run_gunicorn(lambda: create_app(settings), "launcher", listening)


@launcher.command("end-jobs", short_help="End the local jobs that run.")
def end_jobs() -> None:
    """End the local jobs that run, as before this machine is switched off.

    To the launcher they have failed: it starts those again that have retries.
    """
    from launcher.jobs.local import end_all

    for name in end_all(read_settings(os.environ).jobs_folder):
        click.echo(f"job {name} is ended")


def check(settings: LauncherSettings) -> None:
    """Raise what is wrong, so that it is told here and not by a worker process."""
    from dfpipe import warehouse
    from launcher.chains.chains import read_chains
    from taskqueue import TaskQueueService

    if not settings.store:
        raise UsageError("no store is named: give --store sqlite:///FILE, or set DFPIPE_STORE")
    chains = read_chains(settings.chains_yaml)
    if settings.chain and settings.chain not in chains:
        known = ", ".join(chains)
        raise UsageError(f"LAUNCHER_CHAIN is {settings.chain!r}: give one of {known}")
    if settings.warehouse:
        warehouse.connect(settings.warehouse)
    service = TaskQueueService(settings.store, settings.queue_yaml)
    with closing(service.client):
        try:
            is_pull = service.definition(settings.queue).is_pull
        except UnknownQueueError as error:
            raise UsageError(f"LAUNCHER_QUEUE: {error}") from error
    if is_pull:
        raise UsageError(f"LAUNCHER_QUEUE is {settings.queue!r}, a pull queue: give a push queue")


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit: 0 success, 1 failure, 2 wrong usage, 130 interrupted."""
    launcher.run(argv)
