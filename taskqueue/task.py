"""A task as the application makes it: its arguments, and which of them exclude each other."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from wsgiref.headers import Headers

from taskqueue import adding, arguments, binding, limits
from taskqueue.arguments import DEFAULT_APP_VERSION
from taskqueue.calls import Call, make_call
from taskqueue.errors import InvalidTaskError, TaskTooLargeError
from taskqueue.retry import TaskRetryOptions
from taskqueue.storage.record import Request, StoredTask, from_usec

METHODS = ("GET", "POST", "HEAD", "PUT", "DELETE", "PULL")
_WITH_BODY = ("POST", "PUT", "PULL")
_FORM = "application/x-www-form-urlencoded"
# Of all leased tasks; nothing is added to them.
_NO_HEADERS = Headers()


class Task:
    """One task, to be added to one queue.

    A push task is an HTTP request to `url`, by default /_ah/queue/QUEUE, made with `method`; a
    pull task (`method="PULL"`) is a payload, and perhaps a tag, that workers lease.

    `params` become the body of a POST and of a pull task, else the query of the URL. `countdown` is
    in seconds from the adding; `eta` is a datetime, in UTC if it is naive. The handler may take
    `dispatch_deadline_usec` microseconds.

    Raises InvalidTaskError and its subclasses, and TypeError, for what the reference in
    docs/reference/taskqueue.md lists.
    """

    def __init__(
        self,
        payload: str | bytes | None = None,
        *,
        name: str | None = None,
        method: str = "POST",
        url: str = "",
        headers: Mapping[str, object] | None = None,
        params: Mapping[Any, object] | None = None,
        countdown: float | None = None,
        eta: datetime | None = None,
        retry_options: TaskRetryOptions | None = None,
        target: object = None,
        tag: str | bytes | None = None,
        dispatch_deadline_usec: int | None = None,
    ) -> None:
        self._name = arguments.checked_name(name)
        headers, params = arguments.mapping("headers", headers), arguments.mapping("params", params)
        self._method = str(method).upper()
        self._url, query = arguments.checked_url(url)
        self._headers = arguments.checked_headers(headers)
        self._tag = arguments.checked_tag(tag)
        self._target = arguments.checked_target(target)
        if retry_options is not None and not isinstance(retry_options, TaskRetryOptions):
            raise TypeError(f"retry_options is {retry_options!r}: give a TaskRetryOptions")
        self._retry_options = retry_options
        self._dispatch_deadline_usec = arguments.checked_dispatch_deadline(dispatch_deadline_usec)
        self._check_together(payload, query, headers, params)
        self._payload = self._body(payload, params)
        self._add_query(query, params)
        self._countdown_usec = arguments.countdown_usec(eta, countdown)
        self._has_eta = eta is not None
        now = binding.now()
        self._eta_usec = now + self._countdown_usec if eta is None else arguments.eta_usec(eta)
        arguments.check_eta(self._eta_usec, now)
        self._queue_name: str | None = None
        self._retry_count = 0
        self._enqueued = False
        self._deleted = False
        self._check_size()

    def _check_together(
        self, payload: object, query: str, headers: object, params: Mapping[Any, object]
    ) -> None:
        method = self._method
        if method not in METHODS:
            raise InvalidTaskError(f"the method is {method!r}: give one of {', '.join(METHODS)}")
        if query and params:
            raise InvalidTaskError("the URL has a query and there are params: give one of them")
        if payload and params and method in ("POST", "PULL"):
            raise InvalidTaskError(f"a {method} task has a payload or params, not both")
        if payload and method not in _WITH_BODY:
            raise InvalidTaskError(f"a {method} task has no payload: use POST, PUT or PULL")
        if self._target is not None and "Host" in self._headers:
            raise InvalidTaskError("a task has a target or a header Host, not both")
        if method == "PULL":
            self._check_pull(payload, headers, params)
        elif self._tag is not None:
            raise InvalidTaskError("a push task has no tag: give method='PULL', or no tag")
        elif method == "POST" and query:
            raise InvalidTaskError("the URL of a POST task has no query: give params instead")

    def _check_pull(self, payload: object, headers: object, params: Mapping[Any, object]) -> None:
        if self._url or headers or self._target:
            given = {"url": self._url, "headers": headers, "target": self._target}
            wrong = next(what for what, value in given.items() if value)
            raise InvalidTaskError(f"a pull task has no {wrong}: leave it out")
        if payload is None and not params:
            raise InvalidTaskError("a pull task needs a payload or params")

    def _body(self, payload: object, params: Mapping[Any, object]) -> bytes | None:
        if params and self._method in ("POST", "PULL"):
            self._headers.setdefault("Content-Type", _FORM)
            return arguments.encoded(params).encode()
        if isinstance(payload, str):
            if payload:
                self._headers.setdefault("Content-Type", "text/plain; charset=utf-8")
            return arguments.utf8(payload)
        if payload is not None and not isinstance(payload, bytes):
            raise InvalidTaskError(f"the payload is {payload!r}: give a string or bytes")
        return payload

    def _add_query(self, query: str, params: Mapping[Any, object]) -> None:
        if params and self._method not in ("POST", "PULL"):
            query = arguments.encoded(params)
        if query:
            self._url = f"{self._url}?{query}"

    def _check_size(self) -> None:
        most = limits.MAX_PUSH_TASK_SIZE_BYTES
        if self._method == "PULL":
            most = limits.MAX_PULL_TASK_SIZE_BYTES
        if self.size > most:
            raise TaskTooLargeError(f"the task has {self.size} bytes, at most {most} are allowed")

    @property
    def name(self) -> str | None:
        """Its name; None until it is added without one."""
        return self._name

    @property
    def queue_name(self) -> str | None:
        """The queue it was added to or leased from."""
        return self._queue_name

    @property
    def method(self) -> str:
        """GET, POST, HEAD, PUT, DELETE or PULL."""
        return self._method

    @property
    def url(self) -> str:
        """The relative URL, empty where it is the queue's default one."""
        return self._url

    @property
    def on_queue_url(self) -> bool:
        """Whether it goes to the queue's default URL."""
        return not urlsplit(self._url).path

    @property
    def headers(self) -> dict[str, Any]:
        """A copy of the headers; a repeated one has a list of values."""
        names = dict.fromkeys(self._headers.keys())
        values = {name: self._headers.get_all(name) for name in names}
        return {name: value[0] if len(value) == 1 else value for name, value in values.items()}

    @property
    def payload(self) -> bytes | None:
        """The body of the request, or what a puller gets, in bytes."""
        return self._payload

    @property
    def tag(self) -> str | None:
        """The tag of a pull task."""
        return self._tag

    @property
    def target(self) -> Any:
        """The service that it goes to; None for the queue's own target."""
        return self._target

    @property
    def eta(self) -> datetime:
        """When it may be sent or leased next: aware, in UTC. After a lease: the lease's end."""
        return from_usec(self._eta_usec)

    @property
    def eta_usec(self) -> int:
        """The same in microseconds since 1970."""
        return self._eta_usec

    @property
    def is_delayed(self) -> bool:
        """Whether it was made with an eta or a countdown."""
        return self._has_eta or self._countdown_usec != 0

    @property
    def eta_posix(self) -> float:
        """The same in seconds since 1970."""
        return self._eta_usec / 1_000_000

    @property
    def retry_count(self) -> int:
        """How often it was leased, this time included."""
        return self._retry_count

    @property
    def retry_options(self) -> TaskRetryOptions | None:
        """Its own retry options; None if those of its queue apply."""
        return self._retry_options

    @property
    def dispatch_deadline_usec(self) -> int | None:
        """How long the handler may take, in microseconds."""
        return self._dispatch_deadline_usec

    @property
    def size(self) -> int:
        """Its size in bytes: the payload; of a push task also method, URL and headers."""
        size = len(self._payload or b"")
        if self._method == "PULL":
            return size
        headers = sum(len(name) + len(value) + 4 for name, value in self._headers.items())
        return size + len(self._method) + len(self._url) + headers

    @property
    def was_enqueued(self) -> bool:
        """Whether the task was added to a queue by this object."""
        return self._enqueued

    @property
    def was_deleted(self) -> bool:
        """Whether it was deleted through this object."""
        return self._deleted

    def add(self, queue_name: str = "default", transactional: bool = False) -> "Task":
        """Add it to a queue of the bound service. See `Queue.add`."""
        name = arguments.checked_queue_name(queue_name)
        adding.add(binding.current(), name, [self], transactional)
        return self

    def add_async(
        self, queue_name: str = "default", transactional: bool = False, rpc: Call | None = None
    ) -> Call:
        """Add it to a queue of the bound service. See `Queue.add_async`."""
        name = arguments.checked_queue_name(queue_name)
        return make_call(rpc, lambda: self.add(name, transactional))

    def extract_params(self) -> dict[str, str | list[str]]:
        """The parameters in the payload (POST and pull tasks) or else in the URL's query.

        A repeated one has a list of values. Raises ValueError if they cannot be parsed.
        """
        if self._method in ("POST", "PULL"):
            query = (self._payload or b"").decode()
        else:
            query = urlsplit(self._url).query
        found: dict[str, list[str]] = {}
        for name, value in parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)):
            found.setdefault(name, []).append(value)
        return {name: value[0] if len(value) == 1 else value for name, value in found.items()}

    def __repr__(self) -> str:
        names = ["eta", "method", "name", "queue_name", "size", "was_enqueued", "was_deleted"]
        names += ["tag"] if self._method == "PULL" else ["url", "headers", "target"]
        return f"Task<{', '.join(f'{name}={getattr(self, name)!r}' for name in names)}>"

    # For the queues alone

    def record(self, queue: str, name: str, now: int) -> StoredTask:
        """The task as it is stored if it is added now, in microseconds; raises InvalidEtaError."""
        eta = self._eta_usec if self._has_eta else now + self._countdown_usec
        due = arguments.check_eta(eta, now)
        return StoredTask(
            queue=queue,
            name=name,
            eta=due,
            due=due,
            enqueued=now,
            payload=self._payload or b"",
            tag=self._tag,
            request=None if self._method == "PULL" else self._request(queue),
            retry_options=self._retry_options,
        )

    def _request(self, queue: str) -> Request:
        usec = self._dispatch_deadline_usec
        return Request(
            method=self._method,
            url=f"/_ah/queue/{queue}{self._url}" if self.on_queue_url else self._url,
            headers=tuple(h for h in self._headers.items() if not arguments.is_reserved(h[0])),
            target="" if self._target is DEFAULT_APP_VERSION else self._target or None,
            deadline_seconds=None if usec is None else usec / 1_000_000,
        )

    def mark_added(self, stored: StoredTask) -> None:
        """Remember under which name, in which queue and for when it was added."""
        self._name, self._queue_name, self._enqueued = stored.name, stored.queue, True
        self._eta_usec = stored.eta

    def mark_leased(self, until: int) -> None:
        """Remember the end of its lease, in microseconds."""
        self._eta_usec = until

    def mark_deleted(self, was_there: bool) -> None:
        """Remember whether the task was deleted from its queue."""
        self._deleted = was_there


def leased_task(stored: StoredTask) -> Task:
    """The Task of a pull task that was leased; it was checked when it was added."""
    task = Task.__new__(Task)
    task._name = stored.name
    task._method = "PULL"
    task._url = ""
    task._headers = _NO_HEADERS
    task._tag = stored.tag
    task._target = None
    task._retry_options = stored.retry_options
    task._dispatch_deadline_usec = None
    task._payload = stored.payload
    task._countdown_usec = 0
    task._has_eta = True
    task._eta_usec = stored.due
    task._queue_name = stored.queue
    task._retry_count = stored.retries
    task._enqueued = True
    task._deleted = False
    return task
