"""The routes for the platform, operators and scripts; docs/reference/launcher.md describes them."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flask import Flask, Response, jsonify, request
from pydantic import ValidationError

from dfpipe.errors import UsageError
from launcher import slots
from launcher.chains import events, reaping, sweeping
from launcher.chains.chains import Chain
from launcher.chains.context import LOOK_URL, START_URL, Context
from launcher.chains.executions import Executions, UnknownExecutionError, look_at
from launcher.chains.records import ExecutionRecord, JobRecord
from launcher.chains.stages import start_workflow
from launcher.metrics import CONTENT_TYPE, Metrics
from service.access import viewers_or_proven
from service.auth import changing, proven
from service.fields import Section, Time, problem, where
from service.times import rfc3339

MOST_EXECUTIONS = 200  # in one answer
RETRY_AFTER = "10"  # seconds
_API = "/api/executions"
_logger = logging.getLogger(__name__)


class StartRequest(Section):
    """The body of a request that starts a chain; what it leaves out is as in a call of cron."""

    chain: str = ""
    slot: Time | None = None


def _problem(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return "the body is not JSON: expected an object with chain and slot"
    return f"{'.'.join(map(str, where(first))) or 'the body'}: {problem(first)}"


class Routes:
    """The routes of one application."""

    def __init__(self, app: Flask, bound: Context, chains: Mapping[str, Chain]) -> None:
        self.context = bound
        self.settings = bound.settings
        self.chains = chains
        self.records = bound.records
        self.executions = Executions(bound)
        self.metrics = Metrics(self.records)
        self._chain(self.settings.chain)  # refuse a wrong name now
        add = app.add_url_rule
        add("/launchpipeline", view_func=changing(self.launchpipeline))
        add(_API, "start_execution", proven(self.start_execution), methods=["POST"])
        for url, endpoint in (
            ("", "list_executions"),
            ("/<execution_id>", "show_execution"),
            ("/<execution_id>/steps/<step>/log", "show_log"),
        ):
            add(f"{_API}{url}", endpoint, viewers_or_proven(getattr(self, endpoint)))
        for name in ("cancel", "retry"):
            view = proven(getattr(self, f"{name}_execution"))
            add(f"{_API}/<execution_id>/{name}", f"{name}_execution", view, methods=["POST"])
        add("/events/dataflow", view_func=proven(self.event), methods=["POST"])
        add(START_URL, view_func=proven(self.start_task), methods=["POST"])
        add(LOOK_URL, view_func=proven(self.look_task), methods=["POST"])
        add("/reap", "launcher_reap", changing(self.reap), methods=["GET", "POST"])
        sweep_url = "/tasks/launcher/sweep"
        add(sweep_url, "launcher_sweep", changing(self.sweep), methods=["GET", "POST"])
        add("/healthz", view_func=self.healthz)
        add("/metrics", view_func=self.metrics_text)

    # Starting

    def launchpipeline(self) -> Response:
        """Start the chain for the current slot."""
        self.metrics.starts.labels("cron").inc()
        return self._start(self.settings.chain, self._slot_now())

    def start_execution(self) -> Response:
        """Start a chain for the current slot, or as the body says."""
        try:
            # Whatever its Content-Type: curl sends JSON as a form if it is not told otherwise.
            given = StartRequest.model_validate_json(request.get_data() or b"{}")
        except ValidationError as error:
            return error_answer(400, _problem(error))
        self.metrics.starts.labels("operator").inc()
        slot = given.slot.replace(microsecond=0) if given.slot else self._slot_now()
        if slot > self.context.now():
            return error_answer(400, f"slot is {rfc3339(slot)}: expected a time in the past")
        return self._start(given.chain or self.settings.chain, slot)

    def start_now(self) -> ExecutionRecord:
        """The execution of the chain for the current slot, which starts it if necessary."""
        self.metrics.starts.labels("page").inc()
        return self.executions.start(self._chain(self.settings.chain), self._slot_now())

    def _start(self, chain: str, slot: datetime) -> Response:
        execution = self.executions.start(self._chain(chain), slot)
        found = {"execution": execution.id, "state": execution.state}
        _logger.info("an execution was requested", extra=found)
        return _json(self._shown(execution), 202)

    def _slot_now(self) -> datetime:
        return slots.slot_of(self.context.now(), self.settings.slot)

    def _chain(self, name: str) -> Chain:
        if not name:
            return next(iter(self.chains.values()))
        if name not in self.chains:
            known = ", ".join(self.chains)
            raise UsageError(f"unknown chain {name[:40]!r}: expected one of {known}")
        return self.chains[name]

    def start_task(self) -> Response:
        """Start the workflow of an execution that has begun."""
        found = self.records.execution(_execution_id())
        attempt = request.form.get("attempt")
        if found is not None and not found.is_over and str(found.attempt) == attempt:
            start_workflow(found)
        return Response(status=204)

    def look_task(self) -> Response:
        """Make the steps of a cancelled execution look at their jobs."""
        look_at(self.context, _execution_id())
        return Response(status=204)

    # Watching and changing

    def list_executions(self) -> Response:
        """The newest executions with their jobs, as JSON."""
        newest = self.records.executions(MOST_EXECUTIONS)
        return _json({"executions": [self._shown(each) for each in newest]})

    def show_execution(self, execution_id: str) -> Response:
        """An execution and its steps, each with its job."""
        execution = self.records.execution(execution_id)
        if execution is None:
            raise UnknownExecutionError(
                f"there is no execution {execution_id[:100]!r}: GET {_API} lists them"
            )
        jobs = {job.step: _job(job) for job in self.records.jobs(execution_id)}
        steps = [
            {"name": step.name, "kind": step.kind, "needs": step.needs, "job": jobs.get(step.name)}
            for step in execution.steps
        ]
        return _json({**self._shown(execution), "steps": steps})

    def show_log(self, execution_id: str, step: str) -> Response:
        """The end of a local job's log."""
        is_known = self.records.execution(execution_id) is not None and len(step) < 100
        text = self.read_log(execution_id, step) if is_known else None
        if text is None:
            return error_answer(404, "no log here: the field log of the job says where it is")
        return Response(text, content_type="text/plain; charset=utf-8")

    def read_log(self, execution_id: str, step: str) -> str | None:
        """The end of the log of a step's job; None if there is none, or only elsewhere."""
        job = self.records.job(f"{execution_id}/{step}")
        if job is None or not job.name:
            return None
        found: str | None = getattr(self.context.runners.get(job.kind), "log", _no_log)(job.name)
        return found

    def cancel_execution(self, execution_id: str) -> Response:
        """Launch no further jobs of an execution and cancel the running ones."""
        return _json(self._shown(self.executions.cancel(execution_id)), 202)

    def retry_execution(self, execution_id: str) -> Response:
        """Execute again the steps that did not succeed."""
        return _json(self._shown(self.executions.retry(execution_id)), 202)

    def _shown(self, execution: ExecutionRecord) -> dict[str, Any]:
        return {
            "id": execution.id,
            "chain": execution.chain,
            "slot": rfc3339(execution.slot),
            "state": execution.state,
            "attempt": execution.attempt,
            "error": execution.error,
            "created": _time(execution.created),
            "started": _time(execution.started),
            "ended": _time(execution.ended),
            "watch": f"{self.settings.url}/jobs/{execution.id}",
            "api": f"{self.settings.url}{_API}/{execution.id}",
        }

    # The platform

    def event(self) -> Response:
        """Take the event that a job of Dataflow has changed."""
        try:
            event = events.read_event(request.headers, request.get_data())  # type: ignore[arg-type]
        except events.BadEventError as error:
            self.metrics.events.labels("bad").inc()
            return error_answer(400, str(error))
        is_ours = events.take(self.context, event)
        self.metrics.events.labels("ours" if is_ours else "foreign").inc()
        return Response(status=204)

    def reap(self) -> Response:
        """Repair open executions whose tasks were lost."""
        return _json(reaping.reap(self.context))

    def sweep(self) -> Response:
        """Remove executions that ended long ago."""
        removed = sweeping.sweep(self.context)
        if any(removed.values()):
            _logger.info("removed old executions", extra=removed)
        return _json(removed)

    def healthz(self) -> Response:
        """Answer 200 if the store can be read."""
        self.records.execution("healthz")
        return _json({"status": "ok"})

    def metrics_text(self) -> Response:
        """The metrics in Prometheus's text format."""
        return Response(self.metrics.text(), content_type=CONTENT_TYPE)


def _no_log(name: str) -> None:
    """For runners whose logs are elsewhere."""


def _execution_id() -> str:
    # Tasks of earlier versions call it a run.
    return request.form.get("execution") or request.form.get("run", "")


def _job(job: JobRecord) -> dict[str, Any]:
    return {
        "state": job.state,
        "attempt": job.attempt,
        "name": job.name,
        "job_id": job.job_id,
        "started": _time(job.started),
        "ended": _time(job.ended),
        "error": job.error,
        "warning": job.warning,
        "log": job.log_link,
        "outputs": job.outputs,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _json(body: Mapping[str, object], status: int = 200) -> Response:
    response = jsonify(body)
    response.status_code = status
    return response


def error_answer(status: int, message: str) -> Response:
    """An error as JSON; a 503 says when to try again."""
    response = _json({"error": message}, status)
    if status == 503:
        response.headers["Retry-After"] = RETRY_AFTER
    return response
