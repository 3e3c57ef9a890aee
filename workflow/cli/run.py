"""`workflow run`: a workflow to its end, in this process."""

import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.auth import AuthSettings, Guard
from service.cli import is_quiet
from taskqueue.storage.record import StoredTask
from workflow.cli import tree as cli_tree
from workflow.cli.options import QUEUE_YAML, STORE, stage_of, stage_options
from workflow.engine.engine import Engine
from workflow.engine.local import LocalRunner, Other
from workflow.errors import Error, UsageError
from workflow.records import ABORTED, Record
from workflow.settings import open_engine, read_settings
from workflow.web.status import get_status_tree

if TYPE_CHECKING:
    from rich.live import Live

LOOK = 0.5  # seconds between two looks at the tree, at least
PART = 10  # of the time at most one in so many parts is spent on looking
NAP = 0.2  # seconds
TERMINAL_ROWS = 40


@click.command("run", short_help="Run a workflow to its end in this process.")
@STORE
@QUEUE_YAML
@stage_options
def run_workflow(
    store: str,
    queue_yaml: str,
    path: str,
    arguments: tuple[str, ...],
    kwargs: str,
    queue_name: str,
) -> int:
    """Run a workflow to its end in this process, and print its stages as they change.

    An ARGUMENT is read as JSON if possible, otherwise as text. Put those that begin with a dash
    after `--`. The store is a temporary one unless the command line has --store; its queues must be
    empty. The exit status is 0 if the workflow succeeded and 1 if it was aborted.
    """
    source = click.get_current_context().get_parameter_source("store")
    given = store if source is click.core.ParameterSource.COMMANDLINE else ""
    with _store(given) as url:
        engine = open_engine(url, queue_yaml, read_settings(os.environ).mail)
        runner = LocalRunner(engine, _callbacks())
        if runner.next_due() is not None:
            raise UsageError(
                f"the queues of {url} hold tasks: give an empty store, or leave out --store. "
                "`workflow serve` and `taskqueue dispatch` handle the tasks that are there"
            )
        stage = stage_of(path, arguments, kwargs)
        stage.start(queue_name=queue_name)
        root = str(stage.pipeline_id)
        with _progress(root) as progress:
            record = _finish(engine, runner, root, progress)
        engine.client.close()
    return 1 if record.status == ABORTED else 0


@contextmanager
def _store(given: str) -> Iterator[str]:
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="workflow-") as folder:
        yield f"sqlite:///{Path(folder)}/store.db"


def _callbacks() -> Other:
    """Calls the handler of any task as a dispatcher would, without a server."""
    from flask import Flask

    from workflow.web.handlers import create_blueprint

    token = secrets.token_urlsafe()
    app = Flask("workflow")
    Guard(AuthSettings(token=token)).install(app)
    app.register_blueprint(create_blueprint())

    def call(task: StoredTask) -> int:
        assert task.request is not None
        headers = [*task.request.headers, ("Authorization", f"Bearer {token}")]
        with app.test_client() as client:
            response = client.open(
                task.request.url, method=task.request.method, data=task.payload, headers=headers
            )
        return response.status_code

    return call


def _finish(engine: Engine, runner: LocalRunner, root: str, progress: "_Progress") -> Record:
    """Handle tasks until the workflow is over. Raises Error where nothing more can happen."""
    while True:
        number = runner.step()
        record = engine.record(root)
        if record is None:
            raise Error(f"the workflow {root} was deleted while it ran")
        progress.look()
        if number:
            continue
        due = runner.next_due()
        # Stages that nobody waits for may be tried again after the root is done.
        if due is None or (record.is_over and record.status == ABORTED):
            progress.end()
            if record.is_over:
                return record
            raise Error(f"the workflow {root} waits for something outside this process")
        time.sleep(min(NAP, max(0.0, (due - engine.service.now()) / 1_000_000)))


class _Progress:
    """Prints the stages as they change."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._next = 0.0
        self._last: dict[str, cli_tree.Line] = {}

    def look(self) -> None:
        """Print what has changed, if the last look is some time ago."""
        begin = time.monotonic()
        if begin >= self._next:
            self._show(get_status_tree(self._root))
            end = time.monotonic()
            self._next = end + max(LOOK, PART * (end - begin))

    def end(self) -> None:
        """Print how the workflow ended, whenever the last look was."""
        self._show(get_status_tree(self._root))

    def _show(self, tree: dict[str, Any]) -> None:
        for line in cli_tree.lines(tree, None):
            if self._last.get(line.pipeline_id) != line:
                self._last[line.pipeline_id] = line
                click.echo(line)


class _EndOnly(_Progress):
    """Prints the stages once, at the end."""

    def look(self) -> None:
        """Print nothing: the end prints the whole tree."""


class _LiveProgress(_Progress):
    """Draws the tree anew on a terminal."""

    def __init__(self, root: str, live: "Live") -> None:
        super().__init__(root)
        self._live = live

    def _show(self, tree: dict[str, Any]) -> None:
        from rich.text import Text

        rows = list(cli_tree.lines(tree))
        text = Text(no_wrap=True, overflow="ellipsis")
        for row in rows[:TERMINAL_ROWS]:
            text.append(f"{row}\n", style=cli_tree.STYLES.get(row.status, "dim"))
        if rows[TERMINAL_ROWS:]:
            text.append(f"{len(rows) - TERMINAL_ROWS:,} more lines: see `workflow show`\n")
        self._live.update(text, refresh=True)


def _progress(root: str) -> AbstractContextManager[_Progress]:
    if is_quiet():
        return nullcontext(_EndOnly(root))
    if not sys.stdout.isatty():
        return nullcontext(_Progress(root))
    return _live(root)


@contextmanager
def _live(root: str) -> Iterator[_Progress]:
    from rich.live import Live

    with Live(auto_refresh=False) as live:
        yield _LiveProgress(root, live)


COMMANDS = (run_workflow,)
