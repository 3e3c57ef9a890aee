"""The service as a Flask application: `gunicorn 'launcher.app:create_app()'`."""

import functools
import logging
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from flask import Flask, Response, jsonify, request
from google.api_core.exceptions import GoogleAPIError
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException, MethodNotAllowed

import taskqueue
import workflow
from dfpipe import warehouse
from dfpipe.datastore import StoreError
from dfpipe.errors import UsageError
from launcher import jobs, slots
from launcher.chains import context, events, reaping, sweeping
from launcher.chains.chains import Chain, read_chains
from launcher.chains.context import LOOK_URL, START_URL, Context
from launcher.chains.executions import Executions, RefusedError, UnknownExecutionError, look_at
from launcher.chains.records import ExecutionRecord, JobRecord
from launcher.chains.stages import start_workflow
from launcher.jobs.runners import runners_of
from launcher.metrics import CONTENT_TYPE, Metrics
from launcher.pages import rendering
from launcher.pages.pages import NAVIGATION, create_pages
from launcher.settings import LauncherSettings, read_settings
from service.access import Access, may_view, viewers_or_proven
from service.auth import Guard, proven
from service.clock import Clock, utc_now
from service.fields import Section, Time, problem, where
from service.logging import configure_logging
from service.pages import install_pages
from service.times import rfc3339
from taskqueue import TaskQueueService
from taskqueue.errors import Error as TaskqueueError
from workflow.engine.engine import Engine
from workflow.web.handlers import create_blueprint

MOST_BODY = 64 * 1024  # bytes
MOST_EXECUTIONS = 200  # in one answer
RETRY_AFTER = "10"  # seconds
_logger = logging.getLogger(__name__)


def create_app(
    settings: LauncherSettings | None = None,
    *,
    clock: Clock = utc_now,
    runners: Mapping[str, jobs.Runner] | None = None,
) -> Flask:
    """The application; without settings they are read from the environment, and logs set up.

    It binds the process to its queues and workflows. docs/reference/launcher.md describes the
    routes. Raises UsageError and taskqueue's ConfigError.
    """
    if settings is None:
        settings = read_settings(os.environ)
        configure_logging()
    if not settings.store:
        raise UsageError("no store is named: set DFPIPE_STORE to sqlite:///FILE or datastore://P")
    chains = read_chains(settings.chains_yaml)
    service = TaskQueueService(settings.store, settings.queue_yaml, clock=clock)
    found = runners_of(settings) if runners is None else runners
    bound = bind(Context(settings, service, found))
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MOST_BODY
    Guard(settings.auth).install(app)
    Access(settings.auth, service.client).install(app)
    install_pages(app, NAVIGATION, prefix="/pages")
    routes = _Routes(app, bound, chains)
    app.register_blueprint(create_blueprint())
    found_results = warehouse.connect(settings.warehouse) if settings.warehouse else None
    pages = create_pages(
        settings, found_results, bound.records, routes.executions, routes.start_now, clock
    )
    app.register_blueprint(pages)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(UsageError, _usage_error)
    for kind in (TaskqueueError, StoreError, GoogleAPIError):
        app.register_error_handler(kind, _store_error)
    return app


def bind(bound: Context) -> Context:
    """Bind this process to a launcher, its queues and its workflows."""
    taskqueue.bind(bound.service)
    workflow.bind(Engine(bound.service))
    context.bind(bound)
    return bound


class StartRequest(Section):
    """The body of a request that starts a chain; what it leaves out is as in a call of cron."""

    chain: str = ""
    slot: Time | None = None


def _problem(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return "the body is not JSON: expected an object with chain and slot"
    return f"{'.'.join(map(str, where(first))) or 'the body'}: {problem(first)}"


class _Routes:
    """The routes of one application; docs/reference/launcher.md has the reference."""

    def __init__(self, app: Flask, bound: Context, chains: Mapping[str, Chain]) -> None:
        self.context = bound
        self.settings = bound.settings
        self.chains = chains
        self.records = bound.records
        self.executions = Executions(bound)
        self.metrics = Metrics(self.records)
        self._chain(self.settings.chain)  # a wrong name is found out now
        add = app.add_url_rule
        add("/launchpipeline", view_func=changing(self.launchpipeline))
        add("/api/executions", "start_execution", proven(self.start_execution), methods=["POST"])
        add("/api/executions", "list_executions", viewers_or_proven(self.list_executions))
        add(
            "/api/executions/<execution_id>",
            "show_execution",
            viewers_or_proven(self.show_execution),
        )
        log_url = "/api/executions/<execution_id>/steps/<step>/log"
        add(log_url, "show_log", viewers_or_proven(self.show_log))
        for name in ("cancel", "retry"):
            url = f"/api/executions/<execution_id>/{name}"
            add(
                url,
                f"{name}_execution",
                proven(getattr(self, f"{name}_execution")),
                methods=["POST"],
            )
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
        """Start the chain for the slot that is now."""
        self.metrics.starts.labels("cron").inc()
        return self._start(self.settings.chain, self._slot_now())

    def start_execution(self) -> Response:
        """Start a chain for the slot that is now, or that the body names."""
        try:
            # Whatever type the body is said to have: curl calls all of them a form.
            given = StartRequest.model_validate_json(request.get_data() or b"{}")
        except ValidationError as error:
            return _error(400, _problem(error))
        self.metrics.starts.labels("operator").inc()
        slot = given.slot.replace(microsecond=0) if given.slot else self._slot_now()
        if slot > self.context.now():
            return _error(400, f"slot is {rfc3339(slot)}: expected a time that is past")
        return self._start(given.chain or self.settings.chain, slot)

    def start_now(self) -> ExecutionRecord:
        """The execution of the chain for the slot that is now."""
        self.metrics.starts.labels("page").inc()
        return self.executions.start(self._chain(self.settings.chain), self._slot_now())

    def _start(self, chain: str, slot: datetime) -> Response:
        execution = self.executions.start(self._chain(chain), slot)
        _logger.info(
            "execution asked for", extra={"execution": execution.id, "state": execution.state}
        )
        return _json(self._shown(execution), 202)

    def _slot_now(self) -> datetime:
        return slots.slot_of(self.context.now(), self.settings.slot)

    def _chain(self, name: str) -> Chain:
        if not name:
            return next(iter(self.chains.values()))
        if name not in self.chains:
            known = ", ".join(self.chains)
            raise UsageError(f"there is no chain {name[:40]!r}: give one of {known}")
        return self.chains[name]

    def start_task(self) -> Response:
        """Start the workflow of an execution that has begun."""
        execution = self.records.execution(_execution_id())
        if (
            execution is not None
            and not execution.is_over
            and str(execution.attempt) == request.form.get("attempt")
        ):
            start_workflow(execution)
        return Response(status=204)

    def look_task(self) -> Response:
        """Let the steps of an execution look at their jobs: it is cancelled."""
        look_at(self.context, _execution_id())
        return Response(status=204)

    # Watching and changing

    def list_executions(self) -> Response:
        """The newest executions."""
        return _json(
            {
                "executions": [
                    self._shown(execution) for execution in self.records.executions(MOST_EXECUTIONS)
                ]
            }
        )

    def show_execution(self, execution_id: str) -> Response:
        """An execution and its steps, each with its job."""
        execution = self.records.execution(execution_id)
        if execution is None:
            raise UnknownExecutionError(
                f"there is no execution {execution_id[:100]!r}: GET /api/executions lists them"
            )
        jobs_by_step = {job.step: job for job in self.records.jobs(execution_id)}
        steps = [
            {
                "name": s.name,
                "kind": s.kind,
                "needs": s.needs,
                "job": _job(jobs_by_step.get(s.name)),
            }
            for s in execution.steps
        ]
        return _json({**self._shown(execution), "steps": steps})

    def show_log(self, execution_id: str, step: str) -> Response:
        """The end of the log that a local job has written."""
        is_known = self.records.execution(execution_id) is not None and len(step) < 100
        job = self.records.job(f"{execution_id}/{step}") if is_known else None
        runner = self.context.runners.get(job.kind) if job else None
        text = getattr(runner, "log", lambda name: None)(job.name) if job and job.name else None
        if text is None:
            return _error(404, "there is no log here: the job's log link says where it is")
        return Response(text, content_type="text/plain; charset=utf-8")

    def cancel_execution(self, execution_id: str) -> Response:
        """Launch nothing more of an execution, and end its jobs."""
        return _json(self._shown(self.executions.cancel(execution_id)), 202)

    def retry_execution(self, execution_id: str) -> Response:
        """Run again what has not succeeded."""
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
            "watch": f"{self.settings.url}/executions/{execution.id}",
            "api": f"{self.settings.url}/api/executions/{execution.id}",
        }

    # The platform

    def event(self) -> Response:
        """Take what tells that a job of Dataflow has changed."""
        try:
            event = events.read_event(request.headers, request.get_data())  # type: ignore[arg-type]
        except events.BadEventError as error:
            self.metrics.events.labels("bad").inc()
            return _error(400, str(error))
        is_ours = events.take(self.context, event)
        self.metrics.events.labels("ours" if is_ours else "foreign").inc()
        return Response(status=204)

    def reap(self) -> Response:
        """Look after all that is open, where a task was lost."""
        return _json(reaping.reap(self.context))

    def sweep(self) -> Response:
        """Remove what chains have left that ended long ago."""
        removed = sweeping.sweep(self.context)
        if any(removed.values()):
            _logger.info("old executions are removed", extra=removed)
        return _json(removed)

    def healthz(self) -> Response:
        """Whether the store answers."""
        self.records.execution("healthz")
        return _json({"status": "ok"})

    def metrics_text(self) -> Response:
        """Metrics for Prometheus."""
        return Response(self.metrics.text(), content_type=CONTENT_TYPE)


def changing(view: Callable[[], Response]) -> Callable[[], Response]:
    """Let proven requests change something by a GET, as cron sends it, but not by a HEAD.

    Flask answers HEAD wherever it answers GET, and a probe that sends HEAD expects no change.
    """

    @functools.wraps(view)
    def checked() -> Response:
        if request.method == "HEAD":
            raise MethodNotAllowed(["GET"])
        return view()

    return proven(checked)


def _execution_id() -> str:
    # Tasks that an older version has added call it a run.
    return request.form.get("execution") or request.form.get("run", "")


def _job(job: JobRecord | None) -> dict[str, Any] | None:
    if job is None:
        return None
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


def _json(body: Mapping[str, Any], status: int = 200) -> Response:
    response = jsonify(body)
    response.status_code = status
    return response


def _error(status: int, message: str) -> Response:
    response = _json({"error": message}, status)
    if status == 503:
        response.headers["Retry-After"] = RETRY_AFTER
    return response


def _http_error(error: HTTPException) -> Response:
    """Answer an error of HTTP: with a page for people who may see the pages, else with JSON."""
    if error.response is not None:
        return error.response  # type: ignore[return-value]  # the guard's own
    if rendering.is_for_people() and may_view():
        return rendering.http_error(error)
    return _error(error.code or 500, error.description or error.name)


def _usage_error(error: UsageError) -> Response:
    status = {UnknownExecutionError: 404, RefusedError: 409}.get(type(error), 400)
    return _error(status, str(error))


def _store_error(error: Exception) -> Response:
    _logger.error("the store cannot be used: %s", error)
    return _error(503, "the store cannot answer now: try again")
