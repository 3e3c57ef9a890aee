"""The command `launcher`."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from dfpipe.version import VERSION
from service.cli import ServiceGroup
from service.errors import UsageError
from service.listening import Listening, listening_options, run_gunicorn, with_login
from service.options import STORE

if TYPE_CHECKING:
    from launcher.settings import LauncherSettings


@click.group("launcher", cls=ServiceGroup, extra="launcher")
@click.version_option(VERSION, prog_name="launcher")
def launcher() -> None:
    """Start chains of jobs when cron says so, watch them, and show what they found.

    The settings are in the environment: docs/reference/launcher.md lists them.
    """


@launcher.command(short_help="Serve the launcher under gunicorn.")
@STORE
@click.option(
    "--queue-yaml",
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
    from launcher.checking import problems_before_serving

    settings = _settings()
    settings = settings.model_copy(
        update={"store": store or settings.store, "queue_yaml": queue_yaml}
    )
    found = problems_before_serving(settings)
    if found:
        more = f" (and {len(found) - 1} more: see `launcher check`)" if found[1:] else ""
        raise UsageError(found[0] + more)
    auth = with_login(settings.auth, listening)
    settings = settings.model_copy(update={"auth": auth})
    run_gunicorn(lambda: create_app(settings), "launcher", listening)


@launcher.command(short_help="Check the settings and what they name.")
@click.pass_context
def check(context: click.Context) -> None:
    """Check the settings, chains.yaml, the queue, the store and the warehouse.

    Prints everything that is wrong, one problem a line, and then exits with status 2.
    """
    from launcher.checking import problems

    found = problems(os.environ)
    for problem in found:
        click.echo(f"launcher: {problem}", err=True)
    if found:
        context.exit(2)
    click.echo("The settings, chains.yaml, the queue, the store and the warehouse can be used.")


@launcher.command("end-jobs", short_help="End the running local jobs.")
def end_jobs() -> None:
    """End the running local jobs, for example before this machine is switched off.

    They count as failed: the launcher starts those again that have retries left.
    """
    from launcher.jobs.local import end_all

    for name in end_all(_settings().jobs_folder):
        click.echo(f"ended job {name}")


@launcher.command("job-starter", short_help="Start local jobs without the wait for Beam.")
def job_starter() -> None:
    """Wait beside the launcher for local jobs, and start those that run dfpipe at once.

    Without this, each such job first imports Beam, which takes some seconds. `dfpipe serve` runs it
    too; it takes 170 MB of memory.
    """
    from launcher.jobs import starter
    from launcher.jobs.runners import local_runner

    settings = _settings()
    starter.serve(Path(settings.jobs_folder), local_runner(settings).variables())


def _settings() -> "LauncherSettings":
    # Late: pydantic takes a tenth of a second to import, and --help does not need it.
    from launcher.settings import read_settings

    return read_settings(os.environ)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit: 0 success, 1 failure, 2 wrong usage, 130 interrupted."""
    launcher.run(argv)
