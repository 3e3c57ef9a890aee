"""Events of Dataflow's jobs, in the two forms in which they are pushed to the launcher."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
)

from launcher.chains.context import LOOK, Context
from service.fields import problem, where

STATUS_CHANGED = "google.cloud.dataflow.job.v1beta3.statusChanged"
LONGEST = 64 * 1024  # bytes of a body


class BadEventError(Exception):
    """A body is not an event of Dataflow; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something has happened to a job. Events with the same `key` are the same event."""

    job_id: str
    job_name: str
    project: str
    region: str
    key: str


def _printable(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError("expected printable text")
    return text


def _decoded(text: object) -> bytes:
    return base64.b64decode(str(text), validate=True)


def _at(*path: str, **options: Any) -> Any:
    return Field(validation_alias=AliasPath(*path), **options)


def _in_payload(name: str, **options: Any) -> Any:
    # In the binary form of CloudEvents the payload is at the top, in the structured one in data.
    paths = AliasChoices(AliasPath("payload", name), AliasPath("data", "payload", name))
    return Field(validation_alias=paths, **options)


Text = Annotated[str, AfterValidator(_printable)]


class _Body(BaseModel):
    type: str = ""
    message: object = None


class _Push(BaseModel):
    data: Annotated[bytes, BeforeValidator(_decoded)] = _at("message", "data")
    message_id: str | None = _at("message", "messageId", default=None)


class _LogEntry(BaseModel):
    type: Literal["dataflow_step"] = _at("resource", "type")
    job_id: Text = _at("resource", "labels", "job_id")
    job_name: Text = _at("resource", "labels", "job_name")
    project: Text = _at("resource", "labels", "project_id")
    region: Text = _at("resource", "labels", "region")
    insert_id: str | None = _at("insertId", default=None)


class _Change(BaseModel):
    job_id: Text = _in_payload("id")
    job_name: Text = _in_payload("name")
    project: Text = _in_payload("projectId")
    region: Text = _in_payload("location")
    state: str = _in_payload("currentState", default="")


Model = TypeVar("Model", bound=BaseModel)


def read_event(headers: Mapping[str, str], body: bytes) -> Event:
    """The event of a request, a push of a log entry or Eventarc's. Raises BadEventError."""
    given = _read(_Body, body, "the body")
    cloud_type = headers.get("Ce-Type", "") or given.type
    if cloud_type not in ("", STATUS_CHANGED):
        raise BadEventError(f"the event's type is {cloud_type[:80]!r}: expected {STATUS_CHANGED}")
    if cloud_type:
        change = _read(_Change, body, "the body")
        return _event(change, f"state {change.job_id} {change.state}")
    if given.message is None:
        raise BadEventError("neither a push of Pub/Sub nor a CloudEvent")
    push = _read(_Push, body, "the body")
    entry = _read(_LogEntry, push.data, "the log entry")
    return _event(entry, f"log {entry.job_id} {entry.insert_id or push.message_id or ''}")


def _event(found: _LogEntry | _Change, key: str) -> Event:
    return Event(found.job_id, found.job_name, found.project, found.region, key)


def _read(model: type[Model], body: bytes, what: str) -> Model:
    if len(body) > LONGEST:
        raise BadEventError(f"{what} is too long: expected at most {LONGEST:,} bytes")
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] == "json_invalid":
            raise BadEventError(f"{what} is not JSON") from error
        at = ".".join(map(str, where(first))) or what
        raise BadEventError(f"{at}: {problem(first)}") from error


def take(context: Context, event: Event) -> bool:
    """Let the step of the event's job look at it; returns whether the job is one of ours.

    The state that the event reports is not trusted: the step asks Dataflow.
    """
    ours = context.settings.dataflow
    if (event.project, event.region) != (ours.project, ours.region):
        return False
    job = context.records.known_as(event.job_name)
    if job is None or not job.pipeline_id or (job.job_id and job.job_id != event.job_id):
        return False
    key = hashlib.sha256(f"{job.pipeline_id} {event.key!a}".encode()).hexdigest()[:32]
    params = {"what": LOOK, "number": 0, "key": key}
    # By its name, an event that comes twice is one task.
    context.add(context.look_task(job.pipeline_id, params=params, name=f"event-{key}"))
    return True
