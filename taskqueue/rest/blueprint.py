"""The REST API of pull queues, v1beta2, as a Flask blueprint.

docs/reference/taskqueue-rest.md has the reference.
"""

import json
import logging
from collections.abc import Callable

from flask import Blueprint, Flask, Response, request
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from werkzeug.exceptions import HTTPException

from taskqueue import errors, limits
from taskqueue.arguments import checked_queue_name
from taskqueue.push.metrics import QueueCollector
from taskqueue.rest.access import Authenticate
from taskqueue.rest.discovery import DISCOVERY_PATH, discovery_document
from taskqueue.rest.fields import parse_fields, select
from taskqueue.rest.requests import (
    ApiError,
    boolean_of,
    new_task,
    number_of,
    plain_project,
    read_body,
)
from taskqueue.rest.resources import LEASE_EXPIRED, QueueResources, Resource
from taskqueue.service import TaskQueueService

PREFIX = "/taskqueue/v1beta2/projects/<project>/taskqueues/<queue>"
MOST_BODY = 2 * 2**20  # bytes: a payload of 1 MiB as base64, and some room
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}

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
View = Callable[..., Resource]


def error_response(status: int, message: str, reason: str | None = None) -> Response:
    """An error in the form of Google's APIs."""
    reason = reason or _REASONS.get(status, "backendError" if status >= 500 else "badRequest")
    detail = {"domain": "global", "reason": reason, "message": message}
    return _json({"error": {"code": status, "message": message, "errors": [detail]}}, status)


def _json(body: object, status: int = 200) -> Response:
    return Response(json.dumps(body), status, mimetype="application/json")


class _Views:
    """What each route answers; all of them get the names of project and queue from the address."""

    def __init__(self, service: TaskQueueService) -> None:
        self._service = service

    def _api(self, project: str) -> QueueResources:
        return QueueResources(self._service, project)

    def get(self, project: str, queue: str) -> Resource:
        return self._api(project).get_queue(queue, boolean_of("getStats"))

    def list_tasks(self, project: str, queue: str) -> Resource:
        return self._api(project).list_tasks(queue)

    def insert(self, project: str, queue: str) -> Resource:
        task = new_task(read_body(queue, "payloadBase64"))
        try:
            return self._api(project).insert(queue, task)
        except (errors.TaskAlreadyExistsError, errors.TombstonedTaskError) as error:
            raise ApiError(400, str(error), "duplicate") from error

    def lease(self, project: str, queue: str) -> Resource:
        seconds = number_of("leaseSecs", 0, limits.MAX_LEASE_SECONDS)
        most = number_of("numTasks", 1, limits.MAX_TASKS_PER_LEASE)
        tag, by_tag = request.args.get("tag") or None, boolean_of("groupByTag")
        if tag and not by_tag:
            raise ApiError(400, "tag is given without groupByTag=true")
        return self._api(project).lease(queue, seconds, most, by_tag=by_tag, tag=tag)

    def get_task(self, project: str, queue: str, task: str) -> Resource:
        return self._api(project).get_task(queue, task)

    def delete(self, project: str, queue: str, task: str) -> Resource:
        self._api(project).delete(queue, task)
        return {}

    def patch(self, project: str, queue: str, task: str) -> Resource:
        return self._modify(project, queue, task, "queueName")

    def update(self, project: str, queue: str, task: str) -> Resource:
        return self._modify(project, queue, task, "id", "leaseTimestamp")

    def _modify(self, project: str, queue: str, task: str, *required: str) -> Resource:
        body = read_body(queue, *required)
        if (body.id or task) != task:
            raise ApiError(400, "the id in the body is not that of the URL")
        seconds = number_of("newLeaseSeconds", 0, limits.MAX_LEASE_SECONDS)
        return self._api(project).modify(queue, task, seconds, body.leaseTimestamp)


def create_blueprint(
    service: TaskQueueService,
    authenticate: Authenticate | None = None,
    project: str | None = None,
) -> Blueprint:
    """The API over the pull queues of a service, and its discovery document.

    `authenticate` tells who calls, and then the queues' acl decides; without it everybody may do
    everything. `project` is the only one that is answered for; without it, any name is.
    """
    api = Blueprint("taskqueue", __name__)

    @api.before_request
    def check() -> None:
        request.max_content_length = MOST_BODY
        names = request.view_args or {}
        if "queue" not in names:
            return  # the discovery document
        if project and plain_project(names["project"]) != plain_project(project):
            raise ApiError(404, f"there is no project {names['project']!r}")
        email = authenticate(request.headers) if authenticate else None
        if authenticate and email is None:
            raise ApiError(401, "the request has no valid token: send Authorization: Bearer TOKEN")
        definition = service.pull_queue(checked_queue_name(names["queue"]))
        is_insert = request.endpoint == "taskqueue.insert"
        if authenticate and email not in (definition.writers if is_insert else definition.users):
            raise ApiError(403, f"the acl of the queue does not let {email} do that")

    @api.get(DISCOVERY_PATH)
    def discovery() -> Response:
        return _json(discovery_document(request.base_url.removesuffix(DISCOVERY_PATH) + "/"))

    _add_routes(api, _Views(service))
    api.register_error_handler(errors.Error, _refused)
    api.register_error_handler(HTTPException, _http_error)
    return api


def _add_routes(api: Blueprint, views: _Views) -> None:
    routes: dict[str, dict[str, View]] = {
        "": {"GET": views.get},
        "/tasks": {"GET": views.list_tasks, "POST": views.insert},
        "/tasks/<task>": {
            "GET": views.get_task,
            "DELETE": views.delete,
            "PATCH": views.patch,
            "POST": views.update,
        },
    }
    # GET and DELETE of this address are those of a task named lease.
    _add_route(api, "/tasks/lease", "POST", views.lease)
    for path, offered in routes.items():
        for method, view in offered.items():
            _add_route(api, path, method, view)
        # Flask answers a method that no route takes by itself, with HTML.
        for method in sorted(METHODS - offered.keys()):
            _add_route(api, path, method, _not_offered, f"{method}{path.replace('/', '-')}")


def _add_route(
    api: Blueprint, path: str, method: str, view: View, endpoint: str | None = None
) -> None:
    def answer(**names: str) -> Response:
        return _answer(view(**names))

    # A name with a slash must not be taken for the name without it, in another's application too.
    api.add_url_rule(
        PREFIX + path,
        endpoint or view.__name__,
        answer,
        methods=[method],
        merge_slashes=False,
    )


def _not_offered(**names: str) -> Resource:
    raise ApiError(405, f"the method {request.method} is not allowed here")


def create_app(
    service: TaskQueueService,
    authenticate: Authenticate | None = None,
    project: str | None = None,
) -> Flask:
    """An application of the API, and of /metrics for Prometheus. Arguments: the blueprint's."""
    app = Flask(__name__)
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
    if isinstance(error, errors.UnknownQueueError):
        # The error's own message lists the queues, which are not everyone's to know.
        return error_response(404, "the queue is not defined in queue.yaml")
    status = next((s for kind, s in _STATUS.items() if isinstance(error, kind)), 400)
    if status >= 500:
        _logger.error("the store is unavailable: %s", error)
    reason = LEASE_EXPIRED if isinstance(error, errors.TaskLeaseExpiredError) else None
    return error_response(status, str(error), reason)


def _http_error(error: HTTPException) -> Response:
    return error_response(error.code or 500, error.description or error.name)


def _answer(resource: Resource) -> Response:
    text = request.args.get("fields", "")
    try:
        return _json(select(resource, parse_fields(text)))
    except ValueError as error:
        raise ApiError(400, f"fields is {text!r}: {error}") from error
