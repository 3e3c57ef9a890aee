"""A client of the REST API, with the methods of QueueResources."""

import json
from urllib.parse import quote, urlencode

import urllib3

from taskqueue import errors
from taskqueue.push.sending import is_web_url
from taskqueue.rest.resources import LEASE_EXPIRED, Resource, encoded
from taskqueue.task import Task

_ERRORS: dict[int, type[errors.Error]] = {
    401: errors.PermissionDeniedError,
    403: errors.PermissionDeniedError,
    404: errors.UnknownTaskError,
}


class RestClient:
    """The pull queues of a project behind an endpoint.

    `host` is a URL; `token` is sent as a bearer token. Every method raises what the answer says as
    taskqueue.errors: PermissionDeniedError, UnknownTaskError (also for queues), TransientError,
    InvalidTaskError for everything else that is refused. `service_version` is part of the path.
    """

    def __init__(
        self,
        host: str,
        project: str = "default",
        token: str | None = None,
        *,
        service_version: str = "v1beta2",
        timeout: float = 30.0,
    ) -> None:
        if not is_web_url(host):
            raise errors.UsageError(f"--api-host {host}: give http://HOST:PORT or https://HOST")
        root = f"{host.rstrip('/')}/taskqueue/{service_version}"
        self._root = f"{root}/projects/{quote(project, safe='~')}/taskqueues"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._pool = urllib3.PoolManager(retries=False, timeout=timeout, maxsize=50)

    def get_queue(self, queue: str, stats: bool = False) -> Resource:
        """The queue, with its statistics if wanted."""
        return self._call("GET", queue, getStats="true" if stats else "false")

    def list_tasks(self, queue: str) -> Resource:
        """The first 100 tasks of a queue, leased or not, without their payloads."""
        return self._call("GET", f"{queue}/tasks")

    def get_task(self, queue: str, name: str) -> Resource:
        """One task of a queue, with its payload in Base64."""
        return self._call("GET", _path(queue, name))

    def insert(self, queue: str, task: Task) -> Resource:
        """Add a pull task and return it as it was stored."""
        body = {"queueName": queue, "payloadBase64": encoded(task.payload or b"")}
        body |= {"id": task.name} if task.name else {}
        body |= {"tag": task.tag} if task.tag else {}
        body |= {"leaseTimestamp": str(task.eta_usec)} if task.is_delayed else {}
        return self._call("POST", f"{queue}/tasks", body)

    def lease(
        self, queue: str, seconds: float, most: int, *, by_tag: bool = False, tag: str | None = None
    ) -> Resource:
        """Lease tasks: any, those of the tag, or those of the oldest task's tag."""
        parameters = {"leaseSecs": round(seconds), "numTasks": most}
        group = {"groupByTag": "true"} if by_tag else {}
        group |= {"tag": tag} if tag else {}
        return self._call("POST", f"{queue}/tasks/lease", None, **parameters, **group)

    def modify(
        self, queue: str, name: str, seconds: float, lease_timestamp: int | None = None
    ) -> Resource:
        """Let a lease end so many seconds from now; 0 gives the task back."""
        parameters = {"newLeaseSeconds": round(seconds)}
        if lease_timestamp is None:
            return self._call("PATCH", _path(queue, name), {"queueName": queue}, **parameters)
        body = {"id": name, "queueName": queue, "leaseTimestamp": str(lease_timestamp)}
        return self._call("POST", _path(queue, name), body, **parameters)

    def delete(self, queue: str, name: str) -> None:
        """Delete a task, leased or not."""
        self._call("DELETE", _path(queue, name))

    def clear(self, queue: str, most: int) -> int:
        """Delete the first tasks of a queue; returns how many."""
        deleted = 0
        while deleted < most and (items := self.list_tasks(queue).get("items")):
            for item in items[: most - deleted]:
                self.delete(queue, item["id"])
                deleted += 1
        return deleted

    def _call(
        self, method: str, path: str, body: Resource | None = None, **parameters: object
    ) -> Resource:
        url = f"{self._root}/{path}" + (f"?{urlencode(parameters)}" if parameters else "")
        headers = {**self._headers, "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body)
        try:
            response = self._pool.request(method, url, body=data, headers=headers, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            raise errors.TransientError(f"{self._root} does not answer: {error}") from error
        answer = _parsed(response.data)
        if not 200 <= response.status < 300:
            raise _error(response.status, answer)
        return answer


def _path(queue: str, name: str) -> str:
    return f"{queue}/tasks/{quote(name, safe='')}"


def _parsed(data: bytes) -> Resource:
    try:
        answer = json.loads(data)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _error(status: int, answer: Resource) -> errors.Error:
    detail = answer.get("error")
    message = detail.get("message") if isinstance(detail, dict) else None
    if LEASE_EXPIRED in str(detail):
        return errors.TaskLeaseExpiredError(message)
    kind = _ERRORS.get(status, errors.TransientError if status >= 500 else errors.InvalidTaskError)
    return kind(message or f"the endpoint answered {status}: check --api-host")
