"""The HTTP side of workflows, as a Flask blueprint: tasks, callbacks, their status and its pages.

Only proven requests are let in (see service.auth), except for the callbacks of stages that say
`public_callbacks`. People are let in to the pages and what these ask for (see workflow.web.access).
"""

import inspect
import logging
from typing import Any

from flask import Blueprint, Flask, Response, request

from dfpipe.datastore import run_in_transaction
from service.access import may_view, other_site_asks
from service.auth import changing, proven, request_is_proven
from workflow import registry
from workflow.engine import deaths
from workflow.engine.engine import current
from workflow.engine.reaper import reap
from workflow.engine.tasks import HANDLERS, handle
from workflow.errors import BadTaskError, StageExitError
from workflow.pipeline import DEFAULT_BASE_PATH, INCARNATION_HEADER, Pipeline, calls_in_transaction
from workflow.web import pages, rpc

MOST_RETRIES = 5  # of a callback task that is refused

_logger = logging.getLogger(__name__)


def create_blueprint(base_path: str = DEFAULT_BASE_PATH) -> Blueprint:
    """The routes of workflows under a path; the application needs a service.auth.Guard."""
    blueprint = Blueprint(
        "workflow",
        __name__,
        url_prefix=base_path,
        template_folder="templates",
    )
    add = blueprint.add_url_rule
    for name in HANDLERS:
        add(f"/{name}", f"task_{name}", _task, methods=["POST"], defaults={"handler": name})
    add("/reap", "reap", _reap, methods=["GET", "POST"])
    add("/callback", "callback", _callback, methods=["GET", "POST"])
    rpc.install(blueprint)
    pages.install(blueprint)
    return blueprint


def create_handlers_map(prefix: str = ".*") -> list[tuple[str, Any]]:
    """A pattern of paths and the WSGI application that answers them, as web frameworks take it.

    Who may call it is read from the environment, as for every service.
    """
    import os

    from service.auth import Guard, settings_from

    app = Flask("workflow")
    Guard(settings_from(os.environ)).install(app)
    app.register_blueprint(create_blueprint())
    return [(f"{prefix}{DEFAULT_BASE_PATH}(/.*)?", app)]


@proven
def _task(handler: str) -> Response:
    fields = request.form.to_dict()
    try:
        handle(current(), handler, fields)
    except BadTaskError as error:
        return Response(str(error), status=400, content_type="text/plain")
    except deaths.BusyError:
        return Response(status=503)  # the queue sends it again, and counts no failure
    except registry.MissingClassError as error:
        _logger.error("task %s waits: %s", handler, error)  # it says all
        return Response(status=500)
    return Response(status=204)


@changing
def _reap() -> Response:
    return rpc.to_json(dict(reap(current())))


def _callback() -> Response:
    if request.method == "HEAD":  # as programs send that look at the links of a mail
        return Response(status=405)
    is_proven = request_is_proven()
    fields = request.values.to_dict()
    found = current().stage(
        fields.pop("pipeline_id", ""),
        resolve_outputs=False,
        incarnation=request.headers.get(INCARNATION_HEADER),
    )
    if found is None or type(found) is Pipeline:  # unknown, or not importable
        return _refusal(is_proven, 404 if found is None else 500)
    if not (is_proven or found.public_callbacks or _person_may_call(found)) or not _takes(
        found, fields
    ):
        return _refusal(is_proven, 400)
    return _answer(_call(found, fields))


def _person_may_call(stage: Pipeline) -> bool:
    return stage.admin_callbacks and not other_site_asks() and may_view()


def _refusal(is_proven: bool, code: int) -> Response:
    """Tells outsiders nothing and tasks what is wrong; after some retries, drops the task."""
    if is_proven and _retries() > MOST_RETRIES:
        _logger.warning("a callback is given up: %s", request.path)
        return Response(status=200)
    return Response(status=code if is_proven else 400)


def _retries() -> int:
    """How often the task was tried before; 0 if the header is not a number."""
    text = request.headers.get("X-AppEngine-TaskRetryCount", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _takes(stage: Pipeline, fields: dict[str, str]) -> bool:
    """Whether `callback` takes arguments of these names."""
    try:
        inspect.signature(type(stage).callback).bind(stage, **fields)
    except TypeError:
        return False
    return True


def _call(stage: Pipeline, fields: dict[str, str]) -> Any:
    try:
        with deaths.GATE.entered():
            if calls_in_transaction(stage):
                return run_in_transaction(current().client, lambda: stage.callback(**fields))
            return stage.callback(**fields)
    except SystemExit as error:
        raise StageExitError(f"a callback has called sys.exit({error})") from error


def _answer(given: Any) -> Response:
    if given is None:
        return Response(status=200)
    code, content_type, content = given
    return Response(content, status=code, content_type=content_type)
