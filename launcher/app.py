"""The service as a Flask application: `gunicorn 'launcher.app:create_app()'`."""

import logging
import os
from collections.abc import Mapping

from flask import Flask, Response
from google.api_core.exceptions import GoogleAPIError
from werkzeug.exceptions import HTTPException

import taskqueue
import workflow
from dfpipe import warehouse
from dfpipe.datastore import StoreError
from dfpipe.errors import UsageError
from launcher import jobs
from launcher.chains import context
from launcher.chains.chains import read_chains
from launcher.chains.context import Context
from launcher.chains.executions import RefusedError, UnknownExecutionError
from launcher.jobs.runners import runners_of
from launcher.pages import rendering
from launcher.pages.pages import NAVIGATION, create_pages
from launcher.routes import Routes, error_answer
from launcher.settings import LauncherSettings, read_settings
from service.access import Access, may_view
from service.auth import Guard
from service.clock import Clock, utc_now
from service.logging import configure_logging
from service.pages import SYNTHETIC, install_pages
from taskqueue import TaskQueueService
from taskqueue.errors import Error as TaskqueueError
from workflow.engine.engine import Engine
from workflow.web.handlers import create_blueprint

MOST_BODY = 64 * 1024  # bytes
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
        raise UsageError("no store: set DFPIPE_STORE to sqlite:///FILE or datastore://PROJECT")
    chains = read_chains(settings.chains_yaml)
    service = TaskQueueService(settings.store, settings.queue_yaml, clock=clock)
    found = runners_of(settings) if runners is None else runners
    bound = bind(Context(settings, service, found))
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MOST_BODY
    Guard(settings.auth).install(app)
    Access(settings.auth, service.client).install(app)
    _install_pages(app, bound, Routes(app, bound, chains), clock)
    app.register_blueprint(create_blueprint())
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(UsageError, _usage_error)
    for kind in (TaskqueueError, StoreError, GoogleAPIError):
        app.register_error_handler(kind, _store_error)
    return app


def _install_pages(app: Flask, bound: Context, routes: Routes, clock: Clock) -> None:
    settings = bound.settings
    install_pages(
        app,
        NAVIGATION,
        prefix="/pages",
        places=settings.places,
        search="pages.search",
        notice=SYNTHETIC if settings.is_synthetic else "",
    )
    pages = create_pages(
        settings,
        warehouse.connect(settings.warehouse) if settings.warehouse else None,
        bound.records,
        routes.executions,
        routes.start_now,
        bound.service.client,
        routes.read_log,
        clock,
    )
    app.register_blueprint(pages)


def bind(bound: Context) -> Context:
    """Bind this process to a launcher, its queues and its workflows."""
    taskqueue.bind(bound.service)
    workflow.bind(Engine(bound.service))
    context.bind(bound)
    return bound


def _http_error(error: HTTPException) -> Response:
    """Answer an error of HTTP: with a page for people who may see the pages, else with JSON."""
    if error.response is not None:
        return error.response  # type: ignore[return-value]  # the guard's own
    if rendering.is_for_people() and may_view():
        return rendering.http_error(error)
    return error_answer(error.code or 500, error.description or error.name)


def _usage_error(error: UsageError) -> Response:
    status = {UnknownExecutionError: 404, RefusedError: 409}.get(type(error), 400)
    return error_answer(status, str(error))


def _store_error(error: Exception) -> Response:
    _logger.error("the store cannot be used: %s", error)
    return error_answer(503, "the store cannot answer now; try again")
