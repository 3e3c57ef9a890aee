"""The pages on chains and their jobs: lists, graphs, buttons, and the same as JSON and CSV."""

import csv
import dataclasses
import io
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, abort, jsonify, redirect, request, url_for

from launcher.chains.records import RunRecord
from launcher.chains.runs import Runs, UnknownRunError
from launcher.pages.access import Access
from launcher.pages.board import Board
from launcher.pages.rendering import harmless, page, rfc3339, whole
from launcher.views.chains import ChainView, picture
from service.clock import Clock

PAGE_CHAINS = 30
MOST_CHAINS = 480  # in a list or a download
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
CHAIN_COLUMNS = ("id", "chain", "slot", "state", "started", "ended", "error")
# Starts the chain of the current slot, if it was not.
Start = Callable[[], RunRecord]


class JobPages:
    """The routes on chains and jobs."""

    def __init__(
        self,
        pages: Blueprint,
        access: Access,
        board: Board,
        runs: Runs,
        start: Start,
        clock: Clock,
    ) -> None:
        self.board = board
        self.runs = runs
        self.start = start
        self.clock = clock
        add = pages.add_url_rule
        add("/runs", "chains", access.looked_at(self.chains))
        add("/runs/<run_id>", "chain", access.looked_at(self.chain))
        add("/api/runs.<form>", "chains_data", access.read(self.chains_data))
        add("/api/jobs.<form>", "jobs_data", access.read(self.jobs_data))
        for url, name in (
            ("/runs", "run_now"),
            ("/runs/<run_id>/cancel", "cancel"),
            ("/runs/<run_id>/retry", "retry"),
        ):
            add(url, name, access.pressed(getattr(self, name)), methods=["POST"])

    def chains(self) -> Response:
        """The newest chains."""
        most = min(max(whole("show", PAGE_CHAINS), 1), MOST_CHAINS)
        found = self.board.newest(most + 1)
        shown = found[:most]
        return page(
            "launcher_chains.html",
            chains=shown,
            goes_on=any(chain.goes_on for chain in shown),
            more=4 * most if len(found) > most else None,
        )

    def chain(self, run_id: str) -> Response:
        """A chain, its graph and its jobs."""
        found = self._found(run_id)
        return page(
            "launcher_chain.html",
            chain=found,
            picture=picture(found, self.clock()),
            was_there="before" in request.args,
        )

    # Buttons

    def run_now(self) -> Any:
        """Start the chain of the current slot, or show the one that was started before."""
        now = self.clock()
        run = self.start()
        before = "1" if run.created < now else None
        return redirect(url_for("pages.chain", run_id=run.id, before=before), 303)

    def cancel(self, run_id: str) -> Any:
        """Cancel a chain."""
        self.runs.cancel(run_id)
        return redirect(url_for("pages.chain", run_id=run_id), 303)

    def retry(self, run_id: str) -> Any:
        """Run again what did not succeed."""
        self.runs.retry(run_id)
        return redirect(url_for("pages.chain", run_id=run_id), 303)

    # Data

    def chains_data(self, form: str) -> Response:
        """The newest chains, in JSON with their jobs."""
        found = self.board.newest(MOST_CHAINS)
        if form == "json":
            return jsonify([_plain(chain) for chain in found])
        return _csv(form, "chains", CHAIN_COLUMNS, (_cells(c, CHAIN_COLUMNS) for c in found))

    def jobs_data(self, form: str) -> Response:
        """The jobs of the newest chains."""
        columns = ("run", "slot", *JOB_COLUMNS)
        found = [
            [chain.id, rfc3339(chain.slot), *_cells(job, JOB_COLUMNS)]
            for chain in self.board.newest(MOST_CHAINS)
            for job in chain.jobs
        ]
        if form == "json":
            return jsonify([dict(zip(columns, row, strict=True)) for row in found])
        return _csv(form, "jobs", columns, found)

    def _found(self, run_id: str) -> ChainView:
        found = self.board.find(run_id)
        if found is None:
            raise UnknownRunError(f"there is no run {run_id[:80]!r}")
        return found


def _plain(view: Any) -> dict[str, Any]:
    """A chain for JSON."""
    found = dataclasses.asdict(view)
    for each in (found, *found["jobs"]):
        each.update({k: rfc3339(v) for k, v in each.items() if isinstance(v, datetime)})
    return found


def _cells(view: Any, columns: Iterable[str]) -> list[Any]:
    values = (getattr(view, name) for name in columns)
    return [rfc3339(v) if isinstance(v, datetime) else "" if v is None else v for v in values]


def _csv(form: str, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Response:
    if form != "csv":
        abort(404)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(map(harmless, row) for row in rows)
    response = Response(text.getvalue(), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response
