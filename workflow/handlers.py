"""The HTTP side of workflows, as a Flask blueprint: tasks, callbacks and the JSON of their status.

Only proven requests are let in (see taskqueue.auth), except for the callbacks of stages that say
`public_callbacks`.
"""

import logging
from typing import Any

from flask import Blueprint, Flask, Response, abort, request

from dfpipe.datastore import run_in_transaction
from taskqueue.auth import proven, request_is_proven
from workflow import registry, status, values
from workflow.engine import current
from workflow.errors import PipelineStatusError
from workflow.pipeline import DEFAULT_BASE_PATH, Pipeline
from workflow.reaper import reap
from workflow.running import HANDLERS, handle

MOST_RETRIES = 5  # of a callback task that is refused
NO_STORE = {"Cache-Control": "no-store"}

_logger = logging.getLogger(__name__)


def create_blueprint(base_path: str = DEFAULT_BASE_PATH) -> Blueprint:
    """The routes of workflows under a path; the application needs a taskqueue.auth.Guard."""
    blueprint = Blueprint("workflow", __name__, url_prefix=base_path)
    add = blueprint.add_url_rule
    for name in HANDLERS:
        add(f"/{name}", f"task_{name}", _task, methods=["POST"], defaults={"handler": name})
    add("/reap", "reap", _reap, methods=["GET", "POST"])
    add("/callback", "callback", _callback, methods=["GET", "POST"])
    add("/rpc/tree", "tree", _tree)
    add("/rpc/stage", "stage", _stage)
    add("/rpc/list", "list", _list)
    add("/rpc/class_paths", "class_paths", _class_paths)
    return blueprint


def create_handlers_map(prefix: str = ".*") -> list[tuple[str, Any]]:
    """A pattern of paths and the WSGI application that answers them, as web frameworks take it.

    Who may call it is read from the environment, as for every service.
    """
    import os

    from taskqueue.auth import Guard, settings_from

    app = Flask("workflow")
    Guard(settings_from(os.environ)).install(app)
    app.register_blueprint(create_blueprint())
    return [(f"{prefix}{DEFAULT_BASE_PATH}(/.*)?", app)]


@proven
def _task(handler: str) -> Response:
    words = request.form.to_dict()
    try:
        handle(current(), handler, words)
    except registry.MissingClassError as error:
        _logger.error("task %s waits: %s", handler, error)  # it says all
        return Response(status=500)
    return Response(status=204)


@proven
def _reap() -> Response:
    return _json(dict(reap(current())))


def _callback() -> Response:
    is_proven = request_is_proven()
    words = request.values.to_dict()
    found = current().stage(words.pop("pipeline_id", ""), resolve_outputs=False)
    if found is None or type(found) is Pipeline:
        return _refusal(is_proven, found is None)
    if not (is_proven or found.public_callbacks):
        return _refusal(is_proven, False)
    return _answer(_call(found, words))


def _refusal(is_proven: bool, is_unknown: bool) -> Response:
    """What tells outsiders nothing; a task whose stage is gone, or not importable, is told."""
    if not is_proven:
        return Response(status=400)
    if int(request.headers.get("X-AppEngine-TaskRetryCount", "0")) > MOST_RETRIES:
        _logger.warning("a callback is given up: %s", request.full_path)
        return Response(status=200)
    return Response(status=404 if is_unknown else 500)


def _call(stage: Pipeline, words: dict[str, str]) -> Any:
    if stage._callback_xg_transaction is None:
        return stage.callback(**words)
    return run_in_transaction(current().client, lambda: stage.callback(**words))


def _answer(given: Any) -> Response:
    if given is None:
        return Response(status=200)
    code, content_type, content = given
    return Response(content, status=code, content_type=content_type)


# JSON


def _json(value: Any, code: int = 200) -> Response:
    return Response(
        values.dumps(value), status=code, content_type="application/json", headers=NO_STORE
    )


def _number(name: str, default: int) -> int:
    text = request.args.get(name, str(default))
    if not text.isdigit():
        abort(_json({"error_message": f"{name} is {text!r}: give a whole number"}, 400))
    return int(text)


def _told(value: Any, *args: Any) -> Response:
    try:
        return _json(value(*args))
    except PipelineStatusError as error:
        return _json({"error_class": type(error).__name__, "error_message": str(error)}, 404)


@proven
def _tree() -> Response:
    return _told(status.get_status_tree, request.args.get("root_pipeline_id", ""))


@proven
def _stage() -> Response:
    name = request.args.get("pipeline_id", "")
    return _told(status.get_stage, name, _number("first", 0), _number("count", 100))


@proven
def _list() -> Response:
    class_path = request.args.get("class_path") or None
    cursor = request.args.get("cursor") or None
    return _told(status.get_root_list, class_path, cursor, _number("count", 50))


@proven
def _class_paths() -> Response:
    return _json({"classPaths": status.get_pipeline_names()})
