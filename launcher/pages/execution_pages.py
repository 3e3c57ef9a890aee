"""The pages on executions and their jobs: lists, graphs, buttons, and JSON and CSV of them."""

import csv
import dataclasses
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, abort, jsonify, redirect, request, url_for
from flask.typing import ResponseReturnValue

from dfpipe.errors import DfpipeError
from dfpipe.warehouse.named_queries import ResultRow
from launcher.chains.executions import Executions, UnknownExecutionError
from launcher.chains.records import ExecutionRecord
from launcher.pages.board import Board
from launcher.pages.rendering import harmless, whole
from launcher.views.executions import (
    BAR,
    BARS_HEIGHT,
    MOST_BARS,
    ExecutionView,
    JobView,
    bars,
    picture,
)
from launcher.views.next_start import next_start, read_entry
from launcher.views.results import Results
from service.access import own_forms_only, viewers_only, viewers_or_proven
from service.clock import Clock
from service.pages import page
from service.times import rfc3339

PAGE_EXECUTIONS = 30
MOST_EXECUTIONS = 480  # in a list or a download
JOB_COLUMNS = (
    "name",
    "kind",
    "state",
    "attempt",
    "started",
    "ended",
    "error",
    "job_name",
    "job_id",
    "log_link",
)
EXECUTION_COLUMNS = ("id", "chain", "slot", "state", "started", "ended", "error")
LAUNCH_URL = "/launchpipeline"
SHOWN_FAILURES = 3
LOG_LINES = 40
# Starts the chain for the current slot, unless it was started.
Start = Callable[[], ExecutionRecord]
# The end of the log of a step of an execution; None if the launcher has no log of it.
ReadLog = Callable[[str, str], str | None]


class ExecutionPages:
    """The routes on executions and their jobs."""

    def __init__(
        self,
        pages: Blueprint,
        board: Board,
        executions: Executions,
        results: Results,
        start: Start,
        read_log: ReadLog,
        cron_yaml: str,
        clock: Clock,
    ) -> None:
        self.board = board
        self.executions = executions
        self.results = results
        self.start = start
        self.read_log = read_log
        self.cron = read_entry(cron_yaml, LAUNCH_URL)
        self.clock = clock
        add = pages.add_url_rule
        add("/jobs", "executions", viewers_only(self.list_page))
        add("/jobs/of/<slot>", "execution_of", viewers_only(self.execution_of))
        add("/jobs/<execution_id>", "execution", viewers_only(self.page))
        add("/api/executions.<form>", "executions_data", viewers_or_proven(self.executions_data))
        add("/api/jobs.<form>", "jobs_data", viewers_or_proven(self.jobs_data))
        for url, name in (
            ("/jobs", "execute_now"),
            ("/jobs/<execution_id>/cancel", "cancel"),
            ("/jobs/<execution_id>/retry", "retry"),
        ):
            add(url, name, own_forms_only(getattr(self, name)), methods=["POST"])

    def list_page(self) -> Response:
        """The newest executions: the failures first, a picture of the durations, and all."""
        most = min(max(whole("show", PAGE_EXECUTIONS), 1), MOST_EXECUTIONS)
        found, now = self.board.newest(max(most + 1, MOST_BARS)), self.clock()
        shown = found[:most]
        last = max((each.created for each in found if each.created), default=None)
        return page(
            "launcher_executions.html",
            executions=shown,
            failures=[each for each in shown if each.state == "failed"][:SHOWN_FAILURES],
            bars=bars(found, now),
            bar_step=BAR,
            bars_height=BARS_HEIGHT,
            next=next_start(self.cron, last, now) if self.cron else None,
            may_change=any(each.may_change for each in shown),
            more=4 * most if len(found) > most else None,
        )

    def execution_of(self, slot: str) -> ResponseReturnValue:
        """The execution that made the run of a time; the list if no chain did, or it is gone."""
        for each in self.board.newest(MOST_EXECUTIONS):
            if rfc3339(each.slot) == slot:
                return redirect(url_for("pages.execution", execution_id=each.id))
        return redirect(url_for("pages.executions"))

    def page(self, execution_id: str) -> Response:
        """An execution, its graph, its jobs, and the logs of those that a reader looks for."""
        found = self._found(execution_id)
        return page(
            "launcher_execution.html",
            execution=found,
            picture=picture(found, self.clock()),
            logs=list(self._logs(found)),
            run=self._run(found),
            was_there="before" in request.args,
        )

    def _logs(self, execution: ExecutionView) -> Iterator[tuple[JobView, str]]:
        """The ends of the logs of the running jobs, or else of the job that failed first."""
        running = [job for job in execution.jobs if job.state == "running"]
        for job in running or filter(None, [execution.first_failure]):
            text = self.read_log(execution.id, job.name)
            if text is not None:
                yield job, "\n".join(text.splitlines()[-LOG_LINES:])

    def _run(self, execution: ExecutionView) -> ResultRow | None:
        """The analysis of the slot, if it is in the warehouse, which need not be readable."""
        try:
            run = self.results.runs().at(execution.slot)
        except DfpipeError:
            return None
        return run if run and run["ts"] == execution.slot else None

    # Buttons

    def execute_now(self) -> ResponseReturnValue:
        """Start the chain for the current slot, or show the execution that was started before."""
        now = self.clock()
        execution = self.start()
        before = "1" if execution.created < now else None
        return redirect(url_for("pages.execution", execution_id=execution.id, before=before), 303)

    def cancel(self, execution_id: str) -> ResponseReturnValue:
        """Cancel an execution, then show its page."""
        self.executions.cancel(execution_id)
        return redirect(url_for("pages.execution", execution_id=execution_id), 303)

    def retry(self, execution_id: str) -> ResponseReturnValue:
        """Execute again the steps that did not succeed."""
        self.executions.retry(execution_id)
        return redirect(url_for("pages.execution", execution_id=execution_id), 303)

    # Data

    def executions_data(self, form: str) -> Response:
        """The newest executions, in JSON with their jobs."""
        found = self.board.newest(MOST_EXECUTIONS)
        if form == "json":
            return jsonify([_plain(each) for each in found])
        return _csv(
            form, "chains", EXECUTION_COLUMNS, (_cells(c, EXECUTION_COLUMNS) for c in found)
        )

    def jobs_data(self, form: str) -> Response:
        """The jobs of the newest executions."""
        columns = ("execution", "slot", *JOB_COLUMNS)
        found = [
            [execution.id, rfc3339(execution.slot), *_cells(job, JOB_COLUMNS)]
            for execution in self.board.newest(MOST_EXECUTIONS)
            for job in execution.jobs
        ]
        if form == "json":
            return jsonify([dict(zip(columns, row, strict=True)) for row in found])
        return _csv(form, "jobs", columns, found)

    def _found(self, execution_id: str) -> ExecutionView:
        found = self.board.find(execution_id)
        if found is None:
            raise UnknownExecutionError(
                f"No execution has the id {execution_id[:80]!r}. The page Jobs lists them."
            )
        return found


def _plain(view: Any) -> dict[str, object]:
    """An execution for JSON."""
    found = dataclasses.asdict(view)
    for each in (found, *found["jobs"]):
        each.update({k: rfc3339(v) for k, v in each.items() if isinstance(v, datetime)})
    return found


def _cells(view: object, columns: Iterable[str]) -> list[object]:
    values = (getattr(view, name) for name in columns)
    return [rfc3339(v) if isinstance(v, datetime) else "" if v is None else v for v in values]


def _csv(
    form: str, name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> Response:
    if form != "csv":
        abort(404)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(map(harmless, row) for row in rows)
    response = Response(text.getvalue(), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response
