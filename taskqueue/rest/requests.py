"""The bodies and parameters of REST requests, checked."""

import json
import re
from typing import Annotated

from flask import request
from pydantic import BaseModel, BeforeValidator, Field, StrictStr, ValidationError

from service.fields import problem
from taskqueue import errors
from taskqueue.rest.resources import decoded
from taskqueue.storage.record import from_usec
from taskqueue.task import Task

LARGEST = 2**63 - 1


class ApiError(errors.Error):
    """A refused request, with the status and reason for the answer."""

    def __init__(self, status: int, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


# What `int` takes besides, such as 1_0, +1 and digits of other scripts, is refused.
_WHOLE = re.compile(r"-?[0-9]{1,19}")


def _whole(value: object) -> object:
    is_text = isinstance(value, str)
    if isinstance(value, bool | float) or (is_text and not _WHOLE.fullmatch(str(value))):
        raise ValueError("expected a whole number")
    return value


class TaskBody(BaseModel):
    """A task in a request; `null` counts as absent, fields that only answers have are ignored."""

    id: StrictStr | None = None
    queueName: StrictStr | None = None  # noqa: N815  # the API's name
    payloadBase64: StrictStr | None = None  # noqa: N815  # the same
    tag: StrictStr | None = None
    # When the task can be leased: microseconds since 1970, as a number or a string.
    leaseTimestamp: (  # noqa: N815  # the same
        Annotated[int, BeforeValidator(_whole), Field(ge=0, le=LARGEST)] | None
    ) = None


def read_body(queue: str, *required: str) -> TaskBody:
    """The task in the body of the current request. Raises ApiError."""
    try:
        values = json.loads(request.get_data())
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "the body is not JSON", "parseError") from error
    if not isinstance(values, dict):
        raise ApiError(400, "the body is not a JSON object", "parseError")
    try:
        body = TaskBody.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ApiError(400, f"{first['loc'][0]}: {problem(first)}") from error
    for name in required:
        if getattr(body, name) is None:
            raise ApiError(400, f"the body has no {name}", "required")
    if (body.queueName or queue).rpartition("/")[2] != queue:
        raise ApiError(400, "the queueName in the body is not that of the URL")
    return body


def new_task(body: TaskBody) -> Task:
    """The pull task that a body asks to add. Raises ApiError and InvalidTaskError."""
    try:
        payload = decoded(body.payloadBase64 or "")
        eta = from_usec(body.leaseTimestamp) if body.leaseTimestamp else None
    except (ValueError, OverflowError) as error:
        raise ApiError(400, str(error)) from error
    return Task(payload, method="PULL", name=body.id, tag=body.tag, eta=eta)


def number_of(name: str, low: int, high: int) -> int:
    """A parameter that must be given, as a whole number. Raises ApiError."""
    text = request.args.get(name)
    if text is None:
        raise ApiError(400, f"the parameter {name} is missing", "required")
    if not _WHOLE.fullmatch(text) or not low <= int(text) <= high:
        raise ApiError(400, f"{name} is {text!r}: give a whole number from {low} to {high}")
    return int(text)


def boolean_of(name: str) -> bool:
    """A parameter that is false unless given. Raises ApiError."""
    text = request.args.get(name, "false").lower()
    if text not in ("true", "false", "1", "0"):
        raise ApiError(400, f"{name} is {text!r}: give true or false")
    return text in ("true", "1")


def plain_project(project: object) -> str:
    """A project without the prefix of a region, as in s~project."""
    return str(project).rpartition("~")[2]
