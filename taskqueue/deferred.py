"""Calling a function later, in a push task: by its registered name, with JSON arguments."""

import json
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from taskqueue.config import DEFAULT_QUEUE
from taskqueue.errors import Error, InvalidTaskError
from taskqueue.queue import Queue
from taskqueue.retry import TaskRetryOptions
from taskqueue.service import TaskQueueService
from taskqueue.task import Task

URL = "/_ah/queue/deferred"
CONTENT_TYPE = "application/json"

Function = TypeVar("Function", bound=Callable[..., Any])

_logger = logging.getLogger(__name__)
_functions: dict[str, Callable[..., Any]] = {}


class PermanentTaskFailure(Error):  # noqa: N818  # the old name
    """Raised by a deferred function: the task has failed and must not be retried."""


class SingularTaskFailure(Error):  # noqa: N818  # the old name
    """Raised by a deferred function: retry the task, without reporting an error."""


def register(function: Function) -> Function:
    """Let a function be deferred, under its name `module.function`; for use as a decorator.

    The process that handles the task must have imported the module. Raises InvalidTaskError where
    another function has the name.
    """
    name = name_of(function)
    if _functions.setdefault(name, function) is not function:
        raise InvalidTaskError(f"another function is registered as {name!r}: rename one")
    return function


def name_of(function: Callable[..., object]) -> str:
    """The name under which a function is registered."""
    return f"{function.__module__}.{function.__qualname__}"


def defer(
    function: Callable[..., object],
    *args: object,
    _countdown: float | None = None,
    _eta: datetime | None = None,
    _name: str | None = None,
    _target: str | None = None,
    _retry_options: TaskRetryOptions | None = None,
    _queue: str = DEFAULT_QUEUE,
    _url: str = URL,
    _headers: dict[str, str] | None = None,
    _transactional: bool = False,
    _service: TaskQueueService | None = None,
    **kwargs: object,
) -> Task:
    """Add a task that calls the function with these arguments, and return the task.

    The arguments that begin with an underscore are those of Task and `Queue.add`. As JSON has it,
    tuples arrive as lists, and the keys of dictionaries as strings. Raises
    InvalidTaskError for a function that is not registered and for arguments that JSON does not
    have, TaskTooLargeError for too large ones, and what `Queue.add` raises.
    """
    task = Task(
        _body(function, args, kwargs),
        url=_url,
        headers={"Content-Type": CONTENT_TYPE, **(_headers or {})},
        name=_name,
        countdown=_countdown,
        eta=_eta,
        target=_target,
        retry_options=_retry_options,
    )
    Queue(_queue, service=_service).add(task, _transactional)
    return task


def _body(
    function: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, Any]
) -> bytes:
    name = name_of(function)
    if _functions.get(name) is not function:
        raise InvalidTaskError(f"{name} is not registered: put @deferred.register before it")
    try:
        text = json.dumps({"function": name, "args": args, "kwargs": kwargs}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidTaskError(
            f"the arguments of {name} cannot be written as JSON: {error}"
        ) from error
    return text.encode()


def run(body: bytes) -> Any:
    """Call what the body of a deferred task names, and return its result.

    Raises PermanentTaskFailure for a body that is not one and for a function that this process does
    not know, and whatever the function raises.
    """
    try:
        call = json.loads(body)
        function, args, kwargs = call["function"], call["args"], call["kwargs"]
    except (ValueError, KeyError, TypeError) as error:
        raise PermanentTaskFailure(f"this is not the body of a deferred task: {error!r}") from error
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise PermanentTaskFailure("the arguments of a deferred task are a list and an object")
    if not isinstance(function, str) or function not in _functions:
        raise PermanentTaskFailure(
            f"no function is registered as {function!r}: import its module where tasks are handled"
        )
    return _functions[function](*args, **kwargs)


def handle(body: bytes) -> int:
    """Run a deferred task and give the HTTP status that its handler answers.

    200 when it is done or has failed for good, 408 for a SingularTaskFailure, so that it is tried
    again. Any other exception of the function reaches the caller, whose server answers 500.
    """
    try:
        run(body)
    except PermanentTaskFailure:
        _logger.exception("a deferred task has failed for good")
    except SingularTaskFailure as error:
        _logger.info("retrying a deferred task: %s", error)
        return 408
    return 200
