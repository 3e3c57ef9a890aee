"""Events of Dataflow: both forms of a CloudEvent and the push of a log entry."""

import base64
import json
from typing import Any

import pytest

from launcher.chains.events import LONGEST, STATUS_CHANGED, BadEventError, Event, read_event
from tests.support.fake_dataflow import PROJECT, REGION, FakeDataflow, log_event, status_event


def test_both_forms_of_a_cloud_event_are_the_same_event() -> None:
    job = FakeDataflow().add("a-job", {}, {}, "DONE")
    headers, body = status_event(job)
    binary = read_event(headers, body)
    structured = json.dumps({"type": STATUS_CHANGED, "data": json.loads(body)}).encode()
    assert read_event({}, structured) == binary
    key = f"state {job.id} JOB_STATE_DONE"
    assert binary == Event(job.id, "a-job", PROJECT, REGION, key)


def test_a_log_entry_without_an_id_has_that_of_its_message() -> None:
    job = FakeDataflow().add("a-job", {}, {}, "DONE")
    headers, body = log_event(job, 3)
    assert read_event(headers, body).key == f"log {job.id} insert-{job.id}-3"
    push: dict[str, Any] = json.loads(body)
    entry = json.loads(base64.b64decode(push["message"]["data"]))
    del entry["insertId"]
    push["message"]["data"] = base64.b64encode(json.dumps(entry).encode()).decode()
    assert read_event(headers, json.dumps(push).encode()).key == f"log {job.id} m-{job.id}-3"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": ""}, "expected printable text"),
        ({"id": 7}, "payload.id"),
        ({"name": "a\nb"}, "expected printable text"),
        ({"location": None}, "payload.location"),
    ],
    ids=["empty", "number", "line", "null"],
)
def test_what_a_job_cannot_be(change: dict[str, Any], message: str) -> None:
    headers, body = status_event(FakeDataflow().add("a-job", {}, {}, "DONE"))
    given = json.loads(body)
    given["payload"] |= change
    with pytest.raises(BadEventError) as caught:
        read_event(headers, json.dumps(given).encode())
    assert message in str(caught.value)


def test_a_body_that_is_too_long() -> None:
    with pytest.raises(BadEventError, match="the body is too long: expected at most 65,536 bytes"):
        read_event({}, b" " * (LONGEST + 1))
