"""What tells that a job of Dataflow has changed, in the two forms in which it is pushed."""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from launcher.chains.context import LOOK, Context

STATUS_CHANGED = "google.cloud.dataflow.job.v1beta3.statusChanged"
LOG_RESOURCE = "dataflow_step"
LONGEST = 64 * 1024  # bytes of a body


class BadEventError(Exception):
    """A body is no event of Dataflow; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something has happened to a job. Events with the same `key` are the same event."""

    job_id: str
    job_name: str
    project: str
    region: str
    key: str


def read_event(headers: Mapping[str, str], body: bytes) -> Event:
    """The event of a request, a push of a log entry or Eventarc's. Raises BadEventError."""
    given = _mapping(_json(body), "the body")
    cloud_type = headers.get("Ce-Type", "") or str(given.get("type", ""))
    if cloud_type:
        return _status_changed(cloud_type, given)
    if "message" in given:
        return _log_entry(_mapping(given["message"], "message"))
    raise BadEventError("neither a push of Pub/Sub nor a CloudEvent")


def _log_entry(message: Mapping[str, Any]) -> Event:
    try:
        data = base64.b64decode(_text(message, "data"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadEventError("message.data is not base64") from error
    entry = _mapping(_json(data), "the log entry")
    resource = _mapping(entry.get("resource"), "resource")
    if resource.get("type") != LOG_RESOURCE:
        raise BadEventError(f"resource.type is not {LOG_RESOURCE}")
    labels = _mapping(resource.get("labels"), "resource.labels")
    job_id, name = _text(labels, "job_id"), _text(labels, "job_name")
    insert_id = str(entry.get("insertId") or message.get("messageId") or "")
    return Event(
        job_id=job_id,
        job_name=name,
        project=_text(labels, "project_id"),
        region=_text(labels, "region"),
        key=f"log {job_id} {insert_id}",
    )


def _status_changed(cloud_type: str, given: Mapping[str, Any]) -> Event:
    if cloud_type != STATUS_CHANGED:
        raise BadEventError(f"the event's type is not {STATUS_CHANGED}")
    data = given if "payload" in given else _mapping(given.get("data"), "data")
    job = _mapping(data.get("payload"), "payload")
    job_id, state = _text(job, "id"), str(job.get("currentState", ""))
    return Event(
        job_id=job_id,
        job_name=_text(job, "name"),
        project=_text(job, "projectId"),
        region=_text(job, "location"),
        key=f"state {job_id} {state}",
    )


def _json(body: bytes) -> Any:
    if len(body) > LONGEST:
        raise BadEventError("the body is too long")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadEventError("the body is not JSON") from error


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadEventError(f"{what} is missing, or no object")
    return value


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    # Half a surrogate, which JSON may hold, is no text that can be stored.
    if not isinstance(value, str) or not value or not value.isprintable():
        raise BadEventError(f"{name} is missing, or no text")
    return value


def take(context: Context, event: Event) -> bool:
    """Let the step of the event's job look at it; False where the job is none of ours.

    The event's own word on the state is not believed: the step asks Dataflow.
    """
    ours = context.settings.dataflow
    if (event.project, event.region) != (ours.project, ours.region):
        return False
    job = context.records.known_as(event.job_name)
    if job is None or not job.pipeline_id or (job.job_id and job.job_id != event.job_id):
        return False
    key = hashlib.sha256(f"{job.pipeline_id} {event.key!a}".encode()).hexdigest()[:32]
    words = {"what": LOOK, "number": 0, "key": key}
    # The name is what makes an event that comes twice one.
    context.add(context.look_task(job.pipeline_id, params=words, name=f"event-{key}"))
    return True
