"""Commands that start workflows, look at them and change them."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from service.cli import is_quiet
from service.options import format_option, limit_option
from service.tables import print_csv, print_table
from service.times import rfc3339
from workflow import values
from workflow.cli import tree as cli_tree
from workflow.cli.options import (
    ID,
    MESSAGE,
    QUEUE_YAML,
    STORE,
    stage_of,
    stage_options,
)
from workflow.engine import actions
from workflow.engine.reaper import reap as reap_all
from workflow.errors import UsageError
from workflow.settings import open_engine
from workflow.web.status import MOST_ROOTS, get_root_list, get_status_tree


@click.command("list", short_help="List the workflows, the newest first.")
@STORE
@click.option("--class", "class_path", metavar="MODULE.CLASS", help="List only this class.")
@limit_option(50, most=MOST_ROOTS)
@click.option("--cursor", help="Continue where a list ended.")
@format_option()
def list_(store: str, class_path: str | None, limit: int, cursor: str | None, format_: str) -> None:
    """List the workflows, the newest first.

    Where there are more, a table says how to continue; JSON has a `cursor`.
    """
    open_engine(store, "", create=False)
    found = get_root_list(class_path, cursor, limit)
    rows = [_row(about) for about in found["pipelines"]]
    if format_ == "json":
        click.echo(values.dumps(found))
    elif format_ == "csv":
        print_csv(rows)
    elif rows:
        print_table(tuple(rows[0]), [tuple(row.values()) for row in rows])
    if format_ == "table" and "cursor" in found and not is_quiet():
        click.echo(f"more: --cursor {found['cursor']}")


def _row(about: dict[str, Any]) -> dict[str, object]:
    started = datetime.fromtimestamp(about["createdTimeMs"] / 1000, UTC)
    return {
        "started": rfc3339(started, "seconds"),
        "status": about["status"],
        "id": about["pipelineId"],
        "class": about["classPath"],
        "message": _message(about),
    }


def _message(about: dict[str, Any]) -> str:
    """The first failure of a workflow, or else what it says of itself."""
    if failed := about.get("failure"):
        return f"{failed['classPath']}: {failed['message']}"
    names = ("abortMessage", "lastRetryMessage", "statusMessage")
    return next((about[name] for name in names if about.get(name)), "")


@click.command(short_help="Show the stages of a workflow.")
@STORE
@ID
@click.option(
    "--children",
    type=click.IntRange(1),
    default=cli_tree.MOST_CHILDREN,
    show_default=True,
    help="How many children of each stage to show.",
)
@format_option()
def show(store: str, pipeline_id: str, children: int, format_: str) -> None:
    """Show the stages of a workflow: state, arguments, outputs and errors."""
    open_engine(store, "", create=False)
    tree = get_status_tree(pipeline_id)
    if format_ == "json":
        click.echo(values.dumps(tree))
        return
    if format_ == "csv":
        print_csv([asdict(line) for line in cli_tree.lines(tree, children)])
        return
    for line in cli_tree.lines(tree, children):
        click.echo(line)
    for row in cli_tree.failure(tree):
        click.echo(row)


@click.command(short_help="Start a workflow.")
@STORE
@QUEUE_YAML
@stage_options
@click.option(
    "--id", "key", default="", metavar="TEXT", help="Its id; refused if it was used before."
)
@click.option("--countdown", type=click.FloatRange(0), metavar="SECONDS", help="Start it later.")
def start(
    store: str,
    queue_yaml: str,
    path: str,
    arguments: tuple[str, ...],
    kwargs: str,
    queue_name: str,
    key: str,
    countdown: float | None,
) -> None:
    """Start a workflow and print its id; the dispatcher and its handlers do the rest.

    An ARGUMENT is read as JSON if possible, otherwise as text. Put those that begin with a dash
    after `--`.
    """
    open_engine(store, queue_yaml)
    stage = stage_of(path, arguments, kwargs)
    stage.start(idempotence_key=key, queue_name=queue_name, countdown=countdown)
    click.echo(stage.pipeline_id)


@click.command(short_help="Abort a workflow.")
@STORE
@ID
@MESSAGE
def abort(store: str, pipeline_id: str, message: str) -> None:
    """Abort the whole workflow of a stage."""
    root = actions.abort(open_engine(store, "", create=False), pipeline_id, message)
    click.echo(f"workflow {root} is being aborted")


@click.command(short_help="Run a stage again.")
@STORE
@ID
@MESSAGE
def retry(store: str, pipeline_id: str, message: str) -> None:
    """Run a stage now that waits for its next attempt, or rerun an asynchronous one."""
    actions.retry(open_engine(store, "", create=False), pipeline_id, message)
    click.echo(f"stage {pipeline_id} is tried again")


@click.command(short_help="Start a workflow again.")
@STORE
@ID
def rerun(store: str, pipeline_id: str) -> None:
    """Start a new workflow with the arguments of an old one, and print its id."""
    click.echo(actions.rerun(open_engine(store, "", create=False), pipeline_id))


@click.command(short_help="Delete everything that is stored of a workflow.")
@STORE
@ID
@click.option("--yes", is_flag=True, help="Do not ask.")
def cleanup(store: str, pipeline_id: str, yes: bool) -> None:
    """Delete everything that is stored of a workflow that is over."""
    engine = open_engine(store, "", create=False)
    if not yes and not click.confirm(f"Delete all of the workflow {pipeline_id}?", err=True):
        raise UsageError("nothing was deleted")
    root = actions.cleanup(engine, pipeline_id)
    click.echo(f"workflow {root} is being deleted")


@click.command(short_help="Resume stages whose tasks were lost.")
@STORE
def reap(store: str) -> None:
    """Resume or abort stages whose tasks were lost or given up, and print how many."""
    report: dict[str, Any] = dict(reap_all(open_engine(store, "", create=False)))
    click.echo(values.dumps(report))


COMMANDS = (list_, show, start, abort, retry, rerun, cleanup, reap)
