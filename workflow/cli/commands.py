"""Commands that start workflows, look at them and change them."""

from datetime import UTC, datetime
from typing import Any

import click

from workflow import values
from workflow.cli import tree as cli_tree
from workflow.cli.options import (
    ID,
    JSON,
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
from workflow.web.status import get_root_list, get_status_tree


@click.command("list", short_help="List the workflows, the newest first.")
@STORE
@click.option("--class", "class_path", metavar="MODULE.CLASS", help="List only this class.")
@click.option("--count", type=click.IntRange(1, 500), default=50, show_default=True)
@click.option("--cursor", help="Continue where a list ended.")
@JSON
def list_(
    store: str, class_path: str | None, count: int, cursor: str | None, as_json: bool
) -> None:
    """List the workflows, the newest first."""
    open_engine(store, "")
    found = get_root_list(class_path, cursor, count)
    if as_json:
        click.echo(values.dumps(found))
        return
    for about in found["pipelines"]:
        name, status, path = about["pipelineId"], about["status"], about["classPath"]
        click.echo(f"{_time(about['createdTimeMs'])}  {status:<10}  {name}  {path}")
    if "cursor" in found:
        click.echo(f"more: --cursor {found['cursor']}")


def _time(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


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
@JSON
def show(store: str, pipeline_id: str, children: int, as_json: bool) -> None:
    """Show the stages of a workflow: state, arguments, outputs and errors."""
    open_engine(store, "")
    tree = get_status_tree(pipeline_id)
    if as_json:
        click.echo(values.dumps(tree))
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
    root = actions.abort(open_engine(store, ""), pipeline_id, message)
    click.echo(f"workflow {root} is being aborted")


@click.command(short_help="Run a stage again.")
@STORE
@ID
@MESSAGE
def retry(store: str, pipeline_id: str, message: str) -> None:
    """Run a stage now that waits for its next attempt, or rerun an asynchronous one."""
    actions.retry(open_engine(store, ""), pipeline_id, message)
    click.echo(f"stage {pipeline_id} is tried again")


@click.command(short_help="Start a workflow again.")
@STORE
@ID
def rerun(store: str, pipeline_id: str) -> None:
    """Start a new workflow with the arguments of an old one, and print its id."""
    click.echo(actions.rerun(open_engine(store, ""), pipeline_id))


@click.command(short_help="Delete everything that is stored of a workflow.")
@STORE
@ID
@click.option("--yes", is_flag=True, help="Do not ask.")
def cleanup(store: str, pipeline_id: str, yes: bool) -> None:
    """Delete everything that is stored of a workflow that is over."""
    engine = open_engine(store, "")
    if not yes and not click.confirm(f"Delete all of the workflow {pipeline_id}?", err=True):
        raise UsageError("nothing was deleted")
    root = actions.cleanup(engine, pipeline_id)
    click.echo(f"workflow {root} is being deleted")


@click.command(short_help="Resume stages whose tasks were lost.")
@STORE
def reap(store: str) -> None:
    """Resume or abort stages whose tasks were lost or given up, and print how many."""
    report: dict[str, Any] = dict(reap_all(open_engine(store, "")))
    click.echo(values.dumps(report))


COMMANDS = (list_, show, start, abort, retry, rerun, cleanup, reap)
