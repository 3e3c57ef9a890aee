"""The JSON side of workflows: their status, and what a person can do to them."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, request

from workflow import values
from workflow.engine import actions
from workflow.engine.engine import current
from workflow.errors import PipelineStatusError, UnknownPipelineError
from workflow.web import status
from workflow.web.access import asked

NO_STORE = {"Cache-Control": "no-store"}


def install(blueprint: Blueprint) -> None:
    """Add the JSON routes under /rpc to a blueprint."""
    views: dict[str, Callable[[], Any]] = {
        "tree": _tree,
        "stage": _stage,
        "stages": _stages,
        "list": _list,
        "counts": _counts,
        "state": _state,
        "class_paths": _class_paths,
    }
    for name, view in views.items():
        blueprint.add_url_rule(f"/rpc/{name}", f"rpc_{name}", asked(_answering(view)))
    for name, act in _ACTIONS.items():
        view = asked(_answering(act))
        blueprint.add_url_rule(f"/rpc/{name}", f"rpc_{name}", view, methods=["POST"])


def to_json(value: object, code: int = 200) -> Response:
    """An answer that must not be cached."""
    return Response(
        values.dumps(value), status=code, content_type="application/json", headers=NO_STORE
    )


def _answering(view: Callable[[], Any]) -> Callable[[], Response]:
    def answered() -> Response:
        try:
            return to_json({**view(), "nowMs": current().service.now() // 1000})
        except UnknownPipelineError as error:
            return _told(error, 404)
        except PipelineStatusError as error:
            return _told(error, 400)
        except actions.RefusedError as error:
            return _told(error, 409)

    return answered


def _told(error: Exception, code: int) -> Response:
    return to_json({"error_class": type(error).__name__, "error_message": str(error)}, code)


def _number(name: str, default: int) -> int:
    text = request.args.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise PipelineStatusError(f"{name} is {text[:20]!r}: give a whole number below 10**9")
    return int(text)


def _tree() -> Any:
    return status.get_status_tree(request.args.get("root_pipeline_id", ""))


def _stage() -> Any:
    name = request.args.get("pipeline_id", "")
    return status.get_stage(name, _number("first", 0), _number("count", 100))


def _stages() -> Any:
    return status.get_stages(request.args.getlist("id"))


def _counts() -> Any:
    return status.get_counts(request.args.get("root_pipeline_id", ""))


def _state() -> Any:
    name, state = request.args.get("root_pipeline_id", ""), request.args.get("state", "")
    return status.get_stages_in(name, state, request.args.get("cursor"), _number("count", 50))


def _list() -> Any:
    class_path = request.args.get("class_path") or None
    cursor = request.args.get("cursor") or None
    state = request.args.get("state") or None
    return status.get_root_list(class_path, cursor, _number("count", 50), state)


def _class_paths() -> Any:
    return {"classPaths": status.get_pipeline_names()}


# Actions


def _given(*names: str) -> str:
    return next((request.form[name] for name in names if name in request.form), "")


def _root() -> str:
    return _given("root_pipeline_id", "pipeline_id")


def _abort() -> Any:
    return {"rootPipelineId": actions.abort(current(), _root(), _given("message"))}


def _retry() -> Any:
    actions.retry(current(), _given("pipeline_id"), _given("message"))
    return {}


def _rerun() -> Any:
    return {"rootPipelineId": actions.rerun(current(), _root())}


def _cleanup() -> Any:
    return {"rootPipelineId": actions.cleanup(current(), _root())}


_ACTIONS: dict[str, Callable[[], Any]] = {
    "abort": _abort,
    "retry": _retry,
    "rerun": _rerun,
    "cleanup": _cleanup,
}
