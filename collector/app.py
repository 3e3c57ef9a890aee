"""The service as a Flask application: `gunicorn 'collector.app:create_app()'`."""

import dataclasses
import logging
import os
import re
from collections.abc import Mapping
from datetime import timedelta

from flask import Flask, Response, jsonify, request
from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from werkzeug.exceptions import HTTPException

from collector.bodies import Taken
from collector.fetching import scheduling
from collector.fetching.accounts import Accounts, parse_account
from collector.fetching.fetching import Context, Outcome, fetch
from collector.fetching.scheduling import Part
from collector.ingest.intake import MOST_BODY, Intake, RefusedBodyError
from collector.metrics import ServiceMetrics
from collector.openapi import DESCRIPTION
from collector.settings import CollectorSettings, read_settings
from collector.sources import AccountRefusedError, UnavailableError
from collector.status import overview
from dfpipe.datastore import StoreError
from dfpipe.errors import UsageError
from dfpipe.posts.purging import purge
from service.access import Access, viewers_only, viewers_or_proven
from service.auth import Guard, Headers, bearer, changing, proven, same
from service.clock import Clock, utc_now
from service.logging import configure_logging
from service.pages import SYNTHETIC, Link, install_pages, page, secured
from taskqueue import TaskQueueService
from taskqueue.errors import Error

RETRY_AFTER = "10"  # seconds
_logger = logging.getLogger(__name__)


def open_service(settings: CollectorSettings, clock: Clock = utc_now) -> TaskQueueService:
    """The queues over the store of the settings. Raises UsageError and taskqueue's ConfigError."""
    if not settings.store:
        raise UsageError("no store is set: set DFPIPE_STORE to sqlite:///FILE or datastore://P")
    return TaskQueueService(settings.store, settings.queue_yaml, clock=clock)


def create_app(settings: CollectorSettings | None = None, *, clock: Clock = utc_now) -> Flask:
    """The application; without settings they are read from the environment, and logs set up.

    docs/reference/collector.md describes the routes. Raises UsageError and taskqueue's ConfigError.
    """
    if settings is None:
        settings = read_settings(os.environ)
        configure_logging()
    app = Flask(__name__, static_folder=None)
    # A body without a length is cut there, and not refused: one byte more shows it.
    app.config["MAX_CONTENT_LENGTH"] = MOST_BODY + 1
    service = open_service(settings, clock)
    Guard(settings.auth).install(app)
    Access(settings.auth, service.client).install(app)
    install_pages(
        app,
        [Link("status", "Collector")],
        prefix="/pages",
        places=settings.places,
        notice=SYNTHETIC if settings.is_synthetic else "",
    )
    app.after_request(secured)
    _Routes(app, settings, service)
    app.register_error_handler(HTTPException, _http_error)
    for kind in (Error, StoreError, GoogleAPIError, GoogleAuthError):
        app.register_error_handler(kind, _store_error)
    return app


class _Routes:
    """The routes of one application; docs/reference/collector.md has the reference."""

    def __init__(self, app: Flask, settings: CollectorSettings, service: TaskQueueService) -> None:
        self.settings = settings
        self.service = service
        self.clock = service.clock
        self.context = Context(service.client, settings, service.clock)
        self.intake = Intake(service, settings.ingest_backlog)
        self.metrics = ServiceMetrics(service)
        app.add_url_rule("/ingest", view_func=self.ingest, methods=["POST"])
        app.add_url_rule("/timeline", view_func=changing(self.timeline))
        app.add_url_rule("/purge", view_func=changing(self.purge))
        app.add_url_rule("/tasks/timeline", view_func=proven(self.fetch_task), methods=["POST"])
        app.add_url_rule("/tasks/purge", view_func=proven(self.purge_task), methods=["POST"])
        # One rule of dispatch.yaml leads to all of these, whatever other services have at the root.
        for prefix in ("", "/collector"):
            for url, name in (
                ("/healthz", "healthz"),
                ("/metrics", "metrics_text"),
                ("/openapi.json", "openapi"),
                ("/status", "status"),
            ):
                app.add_url_rule(f"{prefix}{url}", view_func=getattr(self, name))

    # Posts that others push

    def ingest(self) -> Response:
        """Put the posts of the body on the queue."""
        refusal = _token_refusal(request.headers, self.settings.ingest_tokens)
        if refusal is not None:
            return refusal
        try:
            reading = self.intake.take(request.get_data(cache=False))
        except RefusedBodyError as error:
            return _error(error.status, str(error))
        self.metrics.ingested(len(reading.lines), len(reading.refused))
        answer = Taken(taken=len(reading.lines), errors=reading.refused)
        return _json(answer.model_dump(), 202)

    # Cron

    def timeline(self) -> Response:
        """Add a task for each active account."""
        ids = (account.id for account in Accounts(self.service.client).active())
        counts = scheduling.enqueue_slot(self.service, ids, self.clock())
        _logger.info("timeline tasks", extra=dataclasses.asdict(counts))
        return _json(dataclasses.asdict(counts))

    def purge(self) -> Response:
        """Add the task that removes old posts."""
        day = f"{self.clock():%Y-%m-%d}"
        scheduling.enqueue_purge(self.service, day, 0)
        return _json({"day": day})

    # Tasks

    def fetch_task(self) -> Response:
        """Fetch one account, and add a task for the rest of an unfinished fetch."""
        part = _part()
        account = part.account
        try:
            outcome = fetch(self.context, account, limit_seconds=self.settings.task_seconds)
        except AccountRefusedError as error:
            self.metrics.fetched(account, "refused")
            return _json({"disabled": str(error)})
        except UnavailableError as error:
            return self._unavailable(part, error)
        self.metrics.fetched(account, "done" if outcome.is_finished else "cut")
        continued = self._continue(part, outcome)
        answer = {**dataclasses.asdict(outcome.stored), "set_aside": outcome.set_aside, **continued}
        _logger.info("account fetched", extra={"account": account, **answer})
        return _json(answer)

    def _unavailable(self, part: Part, error: UnavailableError) -> Response:
        """Let the queue try again, unless the task of a later slot does it anyway."""
        self.metrics.fetched(part.account, "unavailable")
        _logger.warning("source unavailable: %s", error, extra={"account": part.account})
        if part.slot < scheduling.slot_of(self.clock()):
            return _json({"left_to_the_next_slot": str(error)})
        return _error(502, str(error))

    def _continue(self, part: Part, outcome: Outcome) -> dict[str, object]:
        """Add the task that continues a fetch, if any; returns its time."""
        now, retry_at = self.clock(), outcome.retry_at
        if retry_at is None:
            return {}
        if retry_at > now:
            retry_at = scheduling.enqueue_at(self.service, part.account, retry_at, now)
        else:
            scheduling.enqueue_next(self.service, part)
        return {"continues_at": retry_at.isoformat()}

    def purge_task(self) -> Response:
        """Remove posts that are too old; what is left to another task is much."""
        day = _matching("day", r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "YYYY-MM-DD")
        part = _number("part")
        end = self.clock() + timedelta(seconds=self.settings.task_seconds)
        until = self.clock() - self.settings.keep
        removed = 0
        for count in purge(self.service.client, until):
            removed = count
            if self.clock() >= end:
                scheduling.enqueue_purge(self.service, day, part + 1)
                break
        _logger.info("old posts removed", extra={"removed": removed, "until": str(until)})
        return _json({"removed": removed})

    # Watching

    def healthz(self) -> Response:
        """Answer 200 if the store can be read."""
        self.service.is_paused(scheduling.QUEUE)
        self.service.client.get(self.service.client.key("CollectorAccount", "healthz"))
        return _json({"status": "ok"})

    def status(self) -> Response:
        """The accounts, queues and dead letters: a page for people, JSON for programs too."""
        best = request.accept_mimetypes.best_match(["text/html", "application/json"])
        view = self.status_data if best == "application/json" else self.status_page
        response: Response = view()
        return response

    @viewers_or_proven
    def status_data(self) -> Response:
        """The accounts, queues and dead letters as JSON."""
        return _json(overview(self.service, self.clock()))

    @viewers_only
    def status_page(self) -> Response:
        """The accounts, queues and dead letters as a page for people."""
        return page("collector_status.html", **overview(self.service, self.clock()))

    def openapi(self) -> Response:
        """The OpenAPI description of this service, as JSON."""
        return jsonify(DESCRIPTION)

    def metrics_text(self) -> Response:
        """The metrics in Prometheus's text format."""
        return Response(generate_latest(self.metrics.registry()), content_type=CONTENT_TYPE_LATEST)


def _token_refusal(headers: Headers, tokens: tuple[str, ...]) -> Response | None:
    token = bearer(headers)
    if not token:
        refusal = _error(401, "the request has no token: send Authorization: Bearer TOKEN")
        refusal.headers["WWW-Authenticate"] = "Bearer"
        return refusal
    # All are compared, so that the time does not tell which.
    if True not in [same(token, known) for known in tokens]:
        return _error(403, "unknown token: ask the operator of this service for one")
    return None


def _part() -> Part:
    try:
        account = ":".join(parse_account(request.form.get("account", "")))
    except UsageError as error:
        raise _Refused(str(error)) from error
    chain = _matching("chain", r"[a-z0-9-]{1,40}", "the name of a chain")
    return Part(account, _number("slot"), chain, _number("number"))


def _matching(name: str, pattern: str, expected: str) -> str:
    text = request.form.get(name, "")
    if not re.fullmatch(pattern, text):
        raise _Refused(f"{name} is {text[:40]!r}: give {expected}")
    return text


def _number(name: str) -> int:
    text = request.form.get(name, "")
    if not (text.isascii() and text.isdigit()) or len(text) > 16:
        raise _Refused(f"{name} is {text[:40]!r}: give a whole number")
    return int(text)


class _Refused(HTTPException):
    """A form that cannot be accepted; its text says why."""

    code = 400


def _json(body: Mapping[str, object], status: int = 200) -> Response:
    response = jsonify(body)
    response.status_code = status
    return response


def _error(status: int, message: str) -> Response:
    response = _json({"error": message}, status)
    if status in (429, 503):
        response.headers["Retry-After"] = RETRY_AFTER
    return response


def _http_error(error: HTTPException) -> Response:
    if error.response is not None:
        return error.response  # type: ignore[return-value]  # the guard's own
    return _error(error.code or 500, error.description or error.name)


def _store_error(error: Exception) -> Response:
    _logger.error("the store cannot be used: %s", error)
    return _error(503, "the store is not available: try again")
