"""A task as the application makes it: its arguments, and what may not stand together."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit
from wsgiref.headers import Headers

from taskqueue import binding, limits
from taskqueue.calls import Call
from taskqueue.errors import (
    InvalidDispatchDeadlineError,
    InvalidEtaError,
    InvalidTagError,
    InvalidTaskError,
    InvalidTaskNameError,
    InvalidUrlError,
    TaskTooLargeError,
)
from taskqueue.forms import checked_headers, encoded, mapping
from taskqueue.retry import TaskRetryOptions
from taskqueue.storage.record import StoredTask, from_usec, to_usec

METHODS = ("GET", "POST", "HEAD", "PUT", "DELETE", "PULL")
_WITH_BODY = ("POST", "PUT", "PULL")
_NAME = re.compile(rf"[a-zA-Z0-9_-]{{1,{limits.MAX_TASK_NAME_LENGTH}}}")
_FORM = "application/x-www-form-urlencoded"
_MAX_ETA_USEC = limits.MAX_ETA // limits.MICROSECOND
# Of all leased tasks; nothing is added to them.
_NO_HEADERS = Headers()


class _DefaultVersion:
    def __repr__(self) -> str:
        return "<DefaultApplicationVersion>"


# As `target`: the application itself, whatever the queue's own target is.
DEFAULT_APP_VERSION = _DefaultVersion()


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
        headers: Mapping[str, Any] | None = None,
        params: Mapping[Any, Any] | None = None,
        countdown: float | None = None,
        eta: datetime | None = None,
        retry_options: TaskRetryOptions | None = None,
        target: Any = None,
        tag: str | bytes | None = None,
        dispatch_deadline_usec: int | None = None,
    ) -> None:
        self._name = _checked_name(name)
        headers, params = mapping("headers", headers), mapping("params", params)
        self._method = str(method).upper()
        self._url, query = _checked_url(url)
        self._headers = checked_headers(headers)
        self._tag = checked_tag(tag)
        self._target = _checked_target(target)
        self._retry_options = _checked_retry(retry_options)
        self._dispatch_deadline_usec = _checked_dispatch_deadline(dispatch_deadline_usec)
        self._check_together(payload, query, headers, params)
        self._payload = self._body(payload, params)
        self._add_query(query, params)
        self._countdown_usec = _countdown_usec(eta, countdown)
        self._has_eta = eta is not None
        now = binding.now()
        self._eta_usec = now + self._countdown_usec if eta is None else _eta_usec(eta)
        check_eta(self._eta_usec, now)
        self._queue_name: str | None = None
        self._retry_count = 0
        self._enqueued = False
        self._deleted = False
        self._check_size()

    def _check_together(
        self, payload: Any, query: str, headers: Any, params: Mapping[Any, Any]
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

    def _check_pull(self, payload: Any, headers: Any, params: Mapping[Any, Any]) -> None:
        if self._url or headers or self._target:
            given = {"url": self._url, "headers": headers, "target": self._target}
            wrong = next(what for what, value in given.items() if value)
            raise InvalidTaskError(f"a pull task has no {wrong}: leave it out")
        if payload is None and not params:
            raise InvalidTaskError("a pull task needs a payload or params")

    def _body(self, payload: Any, params: Mapping[Any, Any]) -> bytes | None:
        if params and self._method in ("POST", "PULL"):
            self._headers.setdefault("Content-Type", _FORM)
            return encoded(params).encode()
        if isinstance(payload, str):
            if payload:
                self._headers.setdefault("Content-Type", "text/plain; charset=utf-8")
            return _utf8(payload)
        if payload is not None and not isinstance(payload, bytes):
            raise InvalidTaskError(f"the payload is {payload!r}: give a string or bytes")
        return payload

    def _add_query(self, query: str, params: Mapping[Any, Any]) -> None:
        if params and self._method not in ("POST", "PULL"):
            query = encoded(params)
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
        """The body."""
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
    def eta_posix(self) -> float:
        """The same in seconds since 1970."""
        return self._eta_usec / 1_000_000

    @property
    def retry_count(self) -> int:
        """How often it was leased, this time included."""
        return self._retry_count

    @property
    def retry_options(self) -> TaskRetryOptions | None:
        """Its own retry options."""
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
        """Whether it was added."""
        return self._enqueued

    @property
    def was_deleted(self) -> bool:
        """Whether it was deleted through this object."""
        return self._deleted

    def add(self, queue_name: str = "default", transactional: bool = False) -> "Task":
        """Add it to a queue of the bound service. See `Queue.add`."""
        from taskqueue.queue import Queue

        added: Task = Queue(queue_name).add(self, transactional)
        return added

    def add_async(
        self, queue_name: str = "default", transactional: bool = False, rpc: Call | None = None
    ) -> Call:
        """Add it to a queue of the bound service. See `Queue.add_async`."""
        from taskqueue.queue import Queue

        return Queue(queue_name).add_async(self, transactional, rpc)

    def due_at(self, now: int) -> int:
        """When it is due if it is added now, in microseconds; raises InvalidEtaError."""
        return check_eta(self._eta_usec if self._has_eta else now + self._countdown_usec, now)

    def extract_params(self) -> dict[str, str | list[str]]:
        """The parameters in the payload (POST and pull tasks) or else in the URL's query.

        A repeated one has a list of values. Raises ValueError where there are no such parameters.
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
        words = ["eta", "method", "name", "queue_name", "size", "was_enqueued", "was_deleted"]
        words += ["tag"] if self._method == "PULL" else ["url", "headers", "target"]
        return f"Task<{', '.join(f'{word}={getattr(self, word)!r}' for word in words)}>"


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


def _checked_name(name: str | None) -> str | None:
    if name is None or name == "":
        return None
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidTaskNameError(
            f"the task's name is {name!r}: give 1 to {limits.MAX_TASK_NAME_LENGTH} letters, "
            "digits, hyphens and underscores"
        )
    return name


def _checked_url(url: str) -> tuple[str, str]:
    """The path and the query of a relative URL."""
    if not url:
        return "", ""
    parts = _split(url)
    if not parts or parts.scheme or parts.netloc or parts.fragment or parts.path[:1] != "/":
        raise InvalidUrlError(
            f"the URL is {url!r}: give a path that begins with /, without host and fragment"
        )
    if len(url) > limits.MAX_URL_LENGTH:
        raise InvalidUrlError(
            f"the URL has {len(url)} characters, at most {limits.MAX_URL_LENGTH} are allowed"
        )
    return parts.path, parts.query


def _split(url: object) -> SplitResult | None:
    """The parts of a URL; None where it is none."""
    try:
        return urlsplit(url) if isinstance(url, str) and url.encode() else None
    except ValueError:
        return None


def _checked_target(target: Any) -> Any:
    if target is None or target is DEFAULT_APP_VERSION or isinstance(target, str):
        return target
    raise InvalidTaskError(
        f"the target is {target!r}: give the name of a service, or DEFAULT_APP_VERSION"
    )


def checked_tag(tag: str | bytes | None) -> str | None:
    """A tag as text, None for an empty one; raises InvalidTagError."""
    if tag is None:
        return None
    if not isinstance(tag, str | bytes):
        raise TypeError(f"the tag is {tag!r}: give a string or bytes")
    raw = _utf8(tag) if isinstance(tag, str) else tag
    if len(raw) > limits.MAX_TAG_LENGTH:
        raise InvalidTagError(
            f"the tag has {len(raw)} bytes, at most {limits.MAX_TAG_LENGTH} are allowed"
        )
    try:
        return raw.decode() or None
    except UnicodeDecodeError as error:
        raise InvalidTagError(f"the tag {raw!r} is not UTF-8") from error


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidTaskError(f"the text {text[:40]!r} cannot be written as UTF-8") from error


def _checked_retry(options: TaskRetryOptions | None) -> TaskRetryOptions | None:
    if options is not None and not isinstance(options, TaskRetryOptions):
        raise TypeError(f"retry_options is {options!r}: give a TaskRetryOptions")
    return options


def _checked_dispatch_deadline(usec: int | None) -> int | None:
    if usec is None:
        return None
    if not isinstance(usec, int):
        raise TypeError(f"dispatch_deadline_usec is {usec!r}: give whole microseconds")
    low, high = limits.MIN_DISPATCH_DEADLINE, limits.MAX_DISPATCH_DEADLINE
    if not low.total_seconds() <= usec / 1_000_000 <= high.total_seconds():
        raise InvalidDispatchDeadlineError(
            f"dispatch_deadline_usec is {usec}: give microseconds from {low} to {high} hours"
        )
    return usec


def _eta_usec(eta: Any) -> int:
    if not isinstance(eta, datetime):
        raise InvalidTaskError(f"the eta is {eta!r}: give a datetime")
    return to_usec(eta if eta.tzinfo else eta.replace(tzinfo=UTC))


def _countdown_usec(eta: Any, countdown: Any) -> int:
    """The microseconds from the adding of a task until it is due; 0 where it has an eta."""
    if eta is not None and countdown is not None:
        raise InvalidTaskError("a task has an eta or a countdown, not both")
    if countdown is None:
        return 0
    try:
        return round(float(countdown) * 1_000_000)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidTaskError(
            f"the countdown is {countdown!r}: give a number of seconds"
        ) from error


def check_eta(usec: int, now: int) -> int:
    """Refuse a time, in microseconds, before 1970 or more than 30 days from now."""
    if usec < 0 or usec - now > _MAX_ETA_USEC:
        raise InvalidEtaError(
            f"the task's time is more than {limits.MAX_ETA.days} days from now, or before 1970"
        )
    return usec
