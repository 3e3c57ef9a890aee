"""The REST API of pull queues, v1beta2, as a Flask blueprint.

docs/reference/taskqueue-rest.md has the reference.
"""

import json
import logging
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Flask, Response, request
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from werkzeug.exceptions import HTTPException

from taskqueue import errors, limits
from taskqueue.push.metrics import QueueCollector
from taskqueue.queue import Queue
from taskqueue.rest.access import Authenticate
from taskqueue.rest.fields import parse_fields, select
from taskqueue.rest.resources import LEASE_EXPIRED, QueueResources, decoded
from taskqueue.service import TaskQueueService
from taskqueue.task import Task

PREFIX = "/taskqueue/v1beta2/projects/<project>/taskqueues/<queue>"
MOST_BODY = 2 * 2**20  # bytes: a payload of 1 MiB as base64, and some room
LARGEST = 2**63 - 1

_logger = logging.getLogger(__name__)
_REASONS = {400: "invalid", 401: "authError", 403: "forbidden", 404: "notFound"}
_STATUS: dict[type[errors.Error], int] = {
    errors.UnknownQueueError: 404,
    errors.UnknownTaskError: 404,
    errors.TombstonedTaskError: 404,
    errors.TransientError: 503,
    errors.PermissionDeniedError: 503,
    errors.DatastoreError: 503,
}


class ApiError(errors.Error):
    """A request that is refused, with the status of the answer."""

    def __init__(self, status: int, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


def error_response(status: int, message: str, reason: str | None = None) -> Response:
    """An error in the form of Google's APIs."""
    reason = reason or _REASONS.get(status, "backendError" if status >= 500 else "badRequest")
    detail = {"domain": "global", "reason": reason, "message": message}
    body = {"error": {"code": status, "message": message, "errors": [detail]}}
    return _json(body, status)


def _json(body: Any, status: int = 200) -> Response:
    return Response(json.dumps(body), status, mimetype="application/json")


def create_blueprint(
    service: TaskQueueService,
    authenticate: Authenticate | None = None,
    project: str | None = None,
) -> Blueprint:
    """The API over the pull queues of a service.

    `authenticate` tells who calls, and then the queues' acl decides; without it everybody may do
    everything. `project` is the only one that is answered for; without it, any name is.
    """
    api = Blueprint("taskqueue", __name__, url_prefix=PREFIX)

    @api.before_request
    def check() -> None:
        values = request.view_args or {}
        if project and _plain(values["project"]) != _plain(project):
            raise ApiError(404, f"there is no project {values['project']!r}")
        email = authenticate(request.headers) if authenticate else None
        if authenticate and email is None:
            raise ApiError(401, "the request has no valid token: send Authorization: Bearer TOKEN")
        definition = service.pull_queue(Queue(values["queue"]).name)
        is_insert = request.endpoint == "taskqueue.insert"
        if authenticate and email not in (definition.writers if is_insert else definition.users):
            raise ApiError(403, f"the acl of the queue does not let {email} do that")

    def resources(project: str) -> QueueResources:
        return QueueResources(service, project)

    @api.get("")
    def get(project: str, queue: str) -> Response:
        return _answer(resources(project).get_queue(queue, _boolean("getStats")))

    @api.get("/tasks")
    def list_tasks(project: str, queue: str) -> Response:
        return _answer(resources(project).list_tasks(queue))

    @api.post("/tasks")
    def insert(project: str, queue: str) -> Response:
        task = _task(_body(), queue)
        try:
            return _answer(resources(project).insert(queue, task))
        except (errors.TaskAlreadyExistsError, errors.TombstonedTaskError) as error:
            raise ApiError(400, str(error), "duplicate") from error

    @api.post("/tasks/lease")
    def lease(project: str, queue: str) -> Response:
        seconds = _number("leaseSecs", 0, limits.MAX_LEASE_SECONDS)
        most = _number("numTasks", 1, limits.MAX_TASKS_PER_LEASE)
        tag, by_tag = request.args.get("tag") or None, _boolean("groupByTag")
        if tag and not by_tag:
            raise ApiError(400, "tag is given without groupByTag=true")
        return _answer(resources(project).lease(queue, seconds, most, by_tag=by_tag, tag=tag))

    @api.get("/tasks/<task>")
    def get_task(project: str, queue: str, task: str) -> Response:
        return _answer(resources(project).get_task(queue, task))

    @api.delete("/tasks/<task>")
    def delete(project: str, queue: str, task: str) -> Response:
        resources(project).delete(queue, task)
        return _json({})

    @api.patch("/tasks/<task>")
    def patch(project: str, queue: str, task: str) -> Response:
        return modified(project, queue, task, "queueName")

    @api.post("/tasks/<task>")
    def update(project: str, queue: str, task: str) -> Response:
        return modified(project, queue, task, "id", "leaseTimestamp")

    def modified(project: str, queue: str, task: str, *required: str) -> Response:
        body = _body()
        for name in required:
            if name not in body:
                raise ApiError(400, f"the body has no {name}", "required")
        _check_queue_name(body, queue)
        if body.get("id", task) != task:
            raise ApiError(400, "the id in the body is not that of the URL")
        seconds = _number("newLeaseSeconds", 0, limits.MAX_LEASE_SECONDS)
        lease = _timestamp(body["leaseTimestamp"]) if "leaseTimestamp" in body else None
        return _answer(resources(project).modify(queue, task, seconds, lease))

    api.register_error_handler(errors.Error, _refused)
    return api


def create_app(
    service: TaskQueueService,
    authenticate: Authenticate | None = None,
    project: str | None = None,
) -> Flask:
    """An application of the API, and of /metrics for Prometheus. The words are the blueprint's."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MOST_BODY
    app.register_blueprint(create_blueprint(service, authenticate, project))
    registry = CollectorRegistry()
    registry.register(QueueCollector(service))

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    app.register_error_handler(HTTPException, _http_error)
    return app


def _refused(error: errors.Error) -> Response:
    if isinstance(error, ApiError):
        return error_response(error.status, str(error), error.reason)
    status = next((s for kind, s in _STATUS.items() if isinstance(error, kind)), 400)
    if status >= 500:
        _logger.error("the store cannot be used: %s", error)
    reason = LEASE_EXPIRED if isinstance(error, errors.TaskLeaseExpiredError) else None
    return error_response(status, str(error), reason)


def _http_error(error: HTTPException) -> Response:
    return error_response(error.code or 500, error.description or error.name)


def _answer(resource: dict[str, Any]) -> Response:
    text = request.args.get("fields", "")
    try:
        return _json(select(resource, parse_fields(text)))
    except ValueError as error:
        raise ApiError(400, f"fields is {text!r}: {error}") from error


def _plain(project: str) -> str:
    """A project without the prefix of a region, as in s~project."""
    return project.rpartition("~")[2]


def _body() -> dict[str, Any]:
    try:
        body = json.loads(request.get_data())
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "the body is not JSON", "parseError") from error
    if not isinstance(body, dict):
        raise ApiError(400, "the body is not a JSON object", "parseError")
    return body


def _task(body: dict[str, Any], queue: str) -> Task:
    _check_queue_name(body, queue)
    for name in ("id", "payloadBase64", "tag"):
        if not isinstance(body.get(name, ""), str):
            raise ApiError(400, f"{name} is not a string")
    if "payloadBase64" not in body:
        raise ApiError(400, "the task has no payloadBase64", "required")
    try:
        payload = decoded(body["payloadBase64"])
    except ValueError as error:
        raise ApiError(400, str(error)) from error
    return Task(payload, method="PULL", name=body.get("id"), tag=body.get("tag"))


def _check_queue_name(body: dict[str, Any], queue: str) -> None:
    name = body.get("queueName", queue)
    if not isinstance(name, str) or name.rpartition("/")[2] != queue:
        raise ApiError(400, "the queueName in the body is not that of the URL")


def _parsed(name: str, read: Callable[[str], Any], expected: str) -> Any:
    text = request.args.get(name)
    if text is None:
        raise ApiError(400, f"the parameter {name} is missing", "required")
    try:
        return read(text)
    except ValueError as error:
        raise ApiError(400, f"{name} is {text!r}: give {expected}") from error


def _number(name: str, low: int, high: int) -> int:
    def read(text: str) -> int:
        number = int(text)
        if not low <= number <= high:
            raise ValueError
        return number

    number: int = _parsed(name, read, f"a whole number from {low} to {high}")
    return number


def _boolean(name: str) -> bool:
    text = request.args.get(name, "false").lower()
    if text not in ("true", "false", "1", "0"):
        raise ApiError(400, f"{name} is {text!r}: give true or false")
    return text in ("true", "1")


def _timestamp(value: Any) -> int:
    """A 64-bit number that stands as one or as a string."""
    try:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError
        number = int(value)
        if not 0 <= number <= LARGEST:
            raise ValueError
    except ValueError as error:
        raise ApiError(400, "leaseTimestamp is no number of microseconds") from error
    return number
