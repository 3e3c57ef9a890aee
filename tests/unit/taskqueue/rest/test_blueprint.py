"""The REST API of pull queues: resources, access, errors, and what strangers may send."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from google.api_core.exceptions import ServiceUnavailable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

import taskqueue
from dfpipe.datastore import connect
from taskqueue import Queue, TaskQueueService
from taskqueue.errors import ConfigError
from taskqueue.rest.access import by_oidc, by_tokens, read_tokens
from taskqueue.rest.blueprint import create_app, create_blueprint
from taskqueue.rest.fields import parse_fields, select
from taskqueue.rest.resources import decoded, encoded
from tests.support.taskqueues import Clock, make_service, pull_task

ROOT = "/taskqueue/v1beta2/projects/p/taskqueues"
YAML = """
queue:
- {name: default, rate: 5/s}
- name: pull
  mode: pull
  retry_parameters: {task_retry_limit: 9}
  acl:
  - user_email: worker@x.org
  - writer_email: loader@x.org
"""
START = "1767787200000000"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(tmp_path: Path, clock: Clock) -> Iterator[TaskQueueService]:
    service = make_service(connect(f"sqlite:///{tmp_path}/q.db"), clock, YAML)
    taskqueue.bind(service)
    yield service
    taskqueue.bind(None)


@pytest.fixture
def api(service: TaskQueueService) -> FlaskClient:
    return create_app(service).test_client()


def insert(api: FlaskClient, payload: bytes = b"x", **body: Any) -> Any:
    body = {"queueName": "pull", "payloadBase64": encoded(payload), **body}
    response = api.post(f"{ROOT}/pull/tasks", json=body)
    assert response.status_code == 200, response.json
    return response.json


def lease(api: FlaskClient, seconds: int = 30, most: int = 10, more: str = "") -> Any:
    response = api.post(f"{ROOT}/pull/tasks/lease?leaseSecs={seconds}&numTasks={most}{more}")
    assert response.status_code == 200, response.json
    return response.json


def refused(response: TestResponse, code: int, reason: str, message: str) -> None:
    """Check an error of the documented form."""
    assert response.mimetype == "application/json"
    error = response.json["error"]
    assert set(error) == {"code", "message", "errors"}
    assert (response.status_code, error["code"]) == (code, code)
    assert re.search(message, error["message"])
    assert error["errors"] == [{"domain": "global", "reason": reason, "message": error["message"]}]


def test_the_way_of_a_task(api: FlaskClient, clock: Clock) -> None:
    task = insert(api, b"hello", id="one", tag="t")
    assert task == {
        "kind": "taskqueues#task",
        "id": "one",
        "queueName": "projects/p/taskqueues/pull",
        "payloadBase64": "aGVsbG8=",
        "enqueueTimestamp": START,
        "leaseTimestamp": "0",
        "retry_count": 0,
        "tag": "t",
    }
    leased = lease(api, 30)
    held = task | {"leaseTimestamp": "1767787230000000", "retry_count": 1}
    assert leased == {"kind": "taskqueues#tasks", "items": [held]}
    assert lease(api) == {"kind": "taskqueues#tasks"}
    assert api.get(f"{ROOT}/pull/tasks/one").json == held
    # A list has no payloads.
    listed = {name: value for name, value in held.items() if name != "payloadBase64"}
    assert api.get(f"{ROOT}/pull/tasks").json == leased | {"items": [listed]}
    clock.move(10)
    longer = api.patch(f"{ROOT}/pull/tasks/one?newLeaseSeconds=60", json={"queueName": "pull"})
    assert longer.json == held | {"leaseTimestamp": "1767787270000000"}
    body = {"id": "one", "leaseTimestamp": "1767787270000000", "queueName": "pull"}
    free = api.post(f"{ROOT}/pull/tasks/one?newLeaseSeconds=0", json=body)
    assert free.json == held | {"leaseTimestamp": "0"}
    deleted = api.delete(f"{ROOT}/pull/tasks/one")
    assert (deleted.status_code, deleted.json) == (200, {})
    refused(api.get(f"{ROOT}/pull/tasks/one"), 404, "notFound", "was deleted")
    refused(api.delete(f"{ROOT}/pull/tasks/one"), 404, "notFound", "no task named 'one'")


def test_a_queue(api: FlaskClient) -> None:
    insert(api)
    queue = {
        "kind": "taskqueues#taskqueue",
        "id": "projects/p/taskqueues/pull",
        "maxLeases": 9,
        "acl": {
            "adminEmails": [],
            "consumerEmails": ["worker@x.org"],
            "producerEmails": ["loader@x.org"],
        },
    }
    assert api.get(f"{ROOT}/pull").json == queue
    lease(api)
    stats = {
        "totalTasks": 1,
        "oldestTask": "1767787230000000",
        "leasedLastMinute": "1",
        "leasedLastHour": "1",
    }
    assert api.get(f"{ROOT}/pull?getStats=true").json == queue | {"stats": stats}


def test_leases_by_tag(api: FlaskClient, clock: Clock) -> None:
    for tag in ("parse", "parse", "render", "render"):
        insert(api, tag=tag)
        clock.move(1)
    rendered = lease(api, more="&groupByTag=true&tag=render")["items"]
    assert [task["tag"] for task in rendered] == ["render"] * 2
    oldest = lease(api, more="&groupByTag=true")["items"]
    assert [task["tag"] for task in oldest] == ["parse"] * 2


@given(st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_any_bytes_survive(api: FlaskClient, payload: bytes) -> None:
    task = insert(api, payload)
    assert base64.urlsafe_b64decode(task["payloadBase64"]) == payload
    api.delete(f"{ROOT}/pull/tasks/{task['id']}")


@given(st.binary())
def test_both_alphabets_with_and_without_padding(payload: bytes) -> None:
    for text in (encoded(payload), base64.b64encode(payload).decode()):
        assert decoded(text) == decoded(text.rstrip("=")) == payload


def test_a_lease_has_at_most_a_mebibyte(api: FlaskClient, service: TaskQueueService) -> None:
    for size in (2**20, 2**19, 2**19, 1):
        Queue("pull", service=service).add(pull_task(b"x" * size))
    sizes = []
    while items := lease(api, 3600).get("items"):
        sizes.append([len(decoded(item["payloadBase64"])) for item in items])
    assert sorted(size for part in sizes for size in part) == [1, 2**19, 2**19, 2**20]
    assert all(sum(part) <= 2**20 for part in sizes)
    assert len(sizes) >= 2


def test_a_stale_lease_cannot_be_extended(api: FlaskClient, clock: Clock) -> None:
    insert(api, id="one")
    first = lease(api, 10)["items"][0]["leaseTimestamp"]
    clock.move(11)
    url = f"{ROOT}/pull/tasks/one?newLeaseSeconds=60"
    body = {"id": "one", "leaseTimestamp": first}
    patched = api.patch(url, json={"queueName": "pull"})
    refused(patched, 400, "leaseExpired", "lease of task 'one' has ended")
    refused(api.post(url, json=body), 400, "leaseExpired", "lease of task 'one' has ended")
    second = lease(api, 10)["items"][0]["leaseTimestamp"]
    refused(api.post(url, json=body), 400, "leaseExpired", "or another has the task")
    assert api.post(url, json=body | {"leaseTimestamp": second}).status_code == 200
    # As a number too, as the old examples have it.
    now = int(api.get(f"{ROOT}/pull/tasks/one").json["leaseTimestamp"])
    assert api.post(url, json=body | {"leaseTimestamp": now}).status_code == 200


def test_a_task_that_is_not_leased_cannot_be_extended(api: FlaskClient) -> None:
    insert(api, id="one")
    patched = api.patch(f"{ROOT}/pull/tasks/one?newLeaseSeconds=9", json={"queueName": "pull"})
    refused(patched, 400, "leaseExpired", "'one' is not leased: lease it first")


TASKS = f"{ROOT}/pull/tasks"
GOOD = {"queueName": "pull", "payloadBase64": "eA=="}


@pytest.mark.parametrize(
    ("body", "reason", "message"),
    [
        (b"", "parseError", "not JSON"),
        (b"\xff", "parseError", "not JSON"),
        (b"[" * 100_000, "parseError", "not JSON"),
        (b"[]", "parseError", "not a JSON object"),
        ({"queueName": "pull"}, "required", "no payloadBase64"),
        (GOOD | {"payloadBase64": 5}, "invalid", "payloadBase64: '5': expected a text"),
        (GOOD | {"payloadBase64": "a"}, "invalid", "not base64"),
        (GOOD | {"payloadBase64": "é"}, "invalid", "ASCII"),
        (GOOD | {"payloadBase64": "a b="}, "invalid", "not base64"),
        (GOOD | {"queueName": "other"}, "invalid", "queueName in the body is not that of"),
        (GOOD | {"payloadBase64": None}, "required", "no payloadBase64"),
        (GOOD | {"leaseTimestamp": "rubbish"}, "invalid", "leaseTimestamp: 'rubbish': expected a"),
        (GOOD | {"leaseTimestamp": -1}, "invalid", "leaseTimestamp: '-1': expected a number of"),
        (GOOD | {"leaseTimestamp": "1_0"}, "invalid", "leaseTimestamp: '1_0': expected a whole"),
        (GOOD | {"leaseTimestamp": "+1"}, "invalid", r"leaseTimestamp: '\+1': expected a whole"),
        (GOOD | {"leaseTimestamp": True}, "invalid", "leaseTimestamp: 'True': expected a whole"),
        (GOOD | {"leaseTimestamp": 1.5}, "invalid", "leaseTimestamp: '1.5': expected a whole"),
        (GOOD | {"leaseTimestamp": 2**63 - 1}, "invalid", "out of range"),
        (
            GOOD | {"leaseTimestamp": int(START) + 31 * 86400 * 10**6},
            "invalid",
            "more than 30 days from",
        ),
        (GOOD | {"id": "a b"}, "invalid", "the task's name is 'a b'"),
        (GOOD | {"id": []}, "invalid", r"id: '\[\]': expected a text"),
        (GOOD | {"tag": 1}, "invalid", "tag: '1': expected a text"),
        (GOOD | {"tag": "x" * 501}, "invalid", "501 bytes, at most 500"),
        (GOOD | {"tag": "\ud800"}, "invalid", "UTF-8"),
        (GOOD | {"payloadBase64": encoded(b"x" * (2**20 + 1))}, "invalid", "1048577 bytes"),
    ],
)
def test_tasks_that_are_refused(api: FlaskClient, body: Any, reason: str, message: str) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body)
    refused(api.post(TASKS, data=data), 400, reason, message)


def test_a_name_is_used_once(api: FlaskClient) -> None:
    insert(api, id="one")
    again = json.dumps(GOOD | {"id": "one"})
    refused(api.post(TASKS, data=again), 400, "duplicate", "already has a task named 'one'")
    api.delete(f"{TASKS}/one")
    refused(
        api.post(TASKS, data=again), 400, "duplicate", "had a task named 'one' in the last 9 days"
    )


def test_a_body_that_is_too_large(api: FlaskClient) -> None:
    response = api.post(TASKS, data=b"x" * (3 * 2**20))
    refused(response, 413, "badRequest", "exceeds the capacity limit")


@pytest.mark.parametrize(
    ("query", "reason", "message"),
    [
        ("", "required", "the parameter leaseSecs is missing"),
        ("leaseSecs=1", "required", "the parameter numTasks is missing"),
        ("lease_secs=1&numTasks=1", "required", "the parameter leaseSecs is missing"),
        ("leaseSecs=x&numTasks=1", "invalid", "leaseSecs is 'x': give a whole number from 0"),
        ("leaseSecs=-1&numTasks=1", "invalid", "leaseSecs is '-1'"),
        ("leaseSecs=1_0&numTasks=1", "invalid", "leaseSecs is '1_0'"),
        ("leaseSecs=%2B1&numTasks=1", "invalid", r"leaseSecs is '\+1'"),
        ("leaseSecs=1&numTasks=%D9%A3", "invalid", "numTasks is '\u0663'"),
        ("leaseSecs=604801&numTasks=1", "invalid", "from 0 to 604800"),
        ("leaseSecs=1&numTasks=0", "invalid", "numTasks is '0': give a whole number from 1"),
        ("leaseSecs=1&numTasks=1001", "invalid", "from 1 to 1000"),
        ("leaseSecs=1&numTasks=1&tag=a", "invalid", "tag is given without groupByTag"),
        ("leaseSecs=1&numTasks=1&groupByTag=maybe", "invalid", "groupByTag is 'maybe'"),
        ("leaseSecs=1&numTasks=1&fields=a(", "invalid", r"fields is 'a\(': a parenthesis"),
    ],
)
def test_leases_that_are_refused(api: FlaskClient, query: str, reason: str, message: str) -> None:
    refused(api.post(f"{TASKS}/lease?{query}"), 400, reason, message)


@pytest.mark.parametrize(
    ("method", "body", "message"),
    [
        ("patch", {}, "the body has no queueName"),
        ("post", {"leaseTimestamp": "1"}, "the body has no id"),
        ("post", {"id": "one"}, "the body has no leaseTimestamp"),
        ("post", {"id": "two", "leaseTimestamp": "1"}, "the id in the body is not that of"),
        ("patch", {"queueName": "other"}, "queueName in the body is not that of"),
        ("post", {"id": "one", "leaseTimestamp": None}, "the body has no leaseTimestamp"),
        ("post", {"id": "one", "leaseTimestamp": "x"}, "leaseTimestamp: 'x': expected a whole"),
        ("post", {"id": "one", "leaseTimestamp": True}, "leaseTimestamp: 'True': expected"),
        ("post", {"id": "one", "leaseTimestamp": -1}, "leaseTimestamp: '-1': expected"),
        ("post", {"id": "one", "leaseTimestamp": 2**63}, "leaseTimestamp: '92233720368547758"),
    ],
)
def test_changes_that_are_refused(api: FlaskClient, method: str, body: Any, message: str) -> None:
    insert(api, id="one")
    response = api.open(f"{TASKS}/one?newLeaseSeconds=1", method=method.upper(), json=body)
    assert response.status_code == 400
    assert message in response.json["error"]["message"]


def test_what_is_not_there(api: FlaskClient) -> None:
    refused(api.get(f"{ROOT}/never"), 404, "notFound", "^the queue is not defined in queue.yaml$")
    refused(api.get(f"{ROOT}/a_b"), 400, "invalid", "the queue's name is 'a_b'")
    refused(api.get(f"{ROOT}/{'é' * 400}"), 400, "invalid", "the queue's name is")
    refused(api.get(f"{ROOT}/default"), 400, "invalid", "queue 'default' is a push queue")
    refused(api.get(f"{TASKS}/never"), 404, "notFound", "has no task named 'never'")
    refused(api.get(f"{TASKS}/a.b"), 400, "invalid", "the task's name is 'a.b'")
    refused(api.get("/nothing"), 404, "notFound", "was not found")
    for name in ("lease", "one"):
        refused(api.put(f"{TASKS}/{name}"), 405, "badRequest", "PUT is not allowed here")
    refused(api.put(TASKS), 405, "badRequest", "not allowed")


def test_null_is_absent(api: FlaskClient) -> None:
    nothing = dict.fromkeys(("id", "tag", "queueName", "leaseTimestamp", "kind"))
    task = insert(api, **nothing)
    assert "tag" not in task
    assert task["leaseTimestamp"] == "0"


@pytest.mark.parametrize("write", [int, str])
def test_a_new_task_says_when_it_can_be_leased(
    api: FlaskClient, clock: Clock, write: Callable[[str], Any]
) -> None:
    at = str(int(START) + 90_000_000)
    task = insert(api, id="later", leaseTimestamp=write(at))
    assert task["leaseTimestamp"] == at
    assert insert(api, id="now", leaseTimestamp=write("0"))["leaseTimestamp"] == "0"
    assert [item["id"] for item in lease(api, 3600)["items"]] == ["now"]
    clock.move(90)
    assert [item["id"] for item in lease(api)["items"]] == ["later"]


@pytest.mark.parametrize("name", ["%2Fa", "%2F%2Fa", "a%2F", "a%2Fb", "."])
def test_a_name_with_a_slash_is_not_another_task(service: TaskQueueService, name: str) -> None:
    for app in (create_app(service), own_app(service)):
        api = app.test_client()
        Queue("pull").add(pull_task(name="a"))
        for method in ("DELETE", "GET"):
            assert api.open(f"{TASKS}/{name}", method=method).status_code in (400, 404, 405)
        assert api.delete(f"{TASKS}/a").status_code == 200
        service.sweeper.step(service.now())
        service.client.delete(service.store.key("pull", "a"))


def own_app(service: TaskQueueService) -> Flask:
    """An application of somebody else's with the API in it."""
    app = Flask("own")
    app.register_blueprint(create_blueprint(service))
    return app


def test_the_api_in_ones_own_application(service: TaskQueueService) -> None:
    api = own_app(service).test_client()
    insert(api, id="one")
    refused(api.post(TASKS, data=b"x" * (3 * 2**20)), 413, "badRequest", "exceeds the capacity")
    for method, path in (("PUT", TASKS), ("DELETE", f"{ROOT}/pull"), ("PUT", f"{TASKS}/one")):
        refused(api.open(path, method=method), 405, "badRequest", f"{method} is not allowed here")
    refused(api.get(f"{TASKS}/two"), 404, "notFound", "no task named 'two'")


def test_a_list_does_not_read_large_payloads(
    api: FlaskClient, service: TaskQueueService, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        insert(api, bytes(2**20))
    monkeypatch.setattr(service.store, "with_payloads", None)
    answer = api.get(TASKS)
    assert len(answer.json["items"]) == 3
    assert len(answer.data) < 2000


def test_a_store_that_is_down(
    api: FlaskClient, service: TaskQueueService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: Any, **__: Any) -> Any:
        raise ServiceUnavailable("down")

    monkeypatch.setattr(service.store, "tasks", down)
    refused(api.get(TASKS), 503, "backendError", "the store is unavailable")


def test_one_project_only(service: TaskQueueService) -> None:
    api = create_app(service, project="p").test_client()
    assert api.get(f"{ROOT}/pull").status_code == 200
    assert api.get(f"{ROOT.replace('/p/', '/s~p/')}/pull").status_code == 200
    other = api.get(f"{ROOT.replace('/p/', '/q/')}/pull")
    refused(other, 404, "notFound", "no project 'q'")


CALLS = [
    ("GET", f"{ROOT}/pull", None),
    ("GET", TASKS, None),
    ("GET", f"{TASKS}/one", None),
    ("POST", f"{TASKS}/lease?leaseSecs=9&numTasks=1", None),
    ("PATCH", f"{TASKS}/one?newLeaseSeconds=9", {"queueName": "pull"}),
    ("DELETE", f"{TASKS}/one", None),
]


def test_the_acl_decides(service: TaskQueueService) -> None:
    tokens = {"t-worker": "worker@x.org", "t-loader": "loader@x.org", "t-other": "o@x.org"}
    api = create_app(service, by_tokens(tokens)).test_client()

    def status(token: str, call: tuple[str, str, Any]) -> int:
        method, url, body = call
        headers = {"Authorization": f"Bearer {token}"}
        return api.open(url, method=method, json=body, headers=headers).status_code

    add = ("POST", TASKS, GOOD | {"id": "one"})
    assert [status(token, add) for token in ("t-worker", "t-other", "t-x", "", "t-loader")] == [
        *(403, 403, 401, 401, 200)
    ]
    for call in CALLS:
        assert [status(token, call) for token in ("t-loader", "t-other", "t-x", "t-worker")] == [
            *(403, 403, 401, 200)
        ]
    stranger = api.get(f"{ROOT}/pull")
    refused(stranger, 401, "authError", "send Authorization: Bearer TOKEN")
    known = api.get(f"{ROOT}/pull", headers={"Authorization": "Bearer t-other"})
    refused(known, 403, "forbidden", "the acl of the queue does not let o@x.org do that")


def test_oidc_names_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    def verify(token: str, transport: Any, audience: str) -> dict[str, Any]:
        if token != "good":
            raise ValueError("bad")
        return {"email": f"me@{audience}", "email_verified": True}

    monkeypatch.setattr("google.oauth2.id_token.verify_oauth2_token", verify)
    authenticate = by_oidc("x.org", lambda url: None)
    assert authenticate({"Authorization": "Bearer good"}) == "me@x.org"
    assert authenticate({"Authorization": "Bearer bad"}) is None
    assert authenticate({}) is None


def test_token_files(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("# who may call\n\n a  x@y.z \nb\tb@y.z\n")
    assert read_tokens(file) == {"a": "x@y.z", "b": "b@y.z"}
    file.write_text("a x@y.z\nonly-a-token\n")
    with pytest.raises(ConfigError, match=r"tokens:2: expected `TOKEN EMAIL`"):
        read_tokens(file)
    file.write_text("# none\n")
    with pytest.raises(ConfigError, match="has no tokens: write a line `TOKEN EMAIL` for each"):
        read_tokens(file)
    with pytest.raises(ConfigError, match="cannot read .*: No such file"):
        read_tokens(tmp_path / "never")
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="it is not UTF-8 text"):
        read_tokens(file)


def test_partial_responses(api: FlaskClient) -> None:
    insert(api, id="one")
    items = api.get(f"{TASKS}?fields=items(id,retry_count),never").json
    assert items == {"items": [{"id": "one", "retry_count": 0}]}
    assert api.get(f"{ROOT}/pull?fields=acl/producerEmails").json == {
        "acl": {"producerEmails": ["loader@x.org"]}
    }
    assert api.get(f"{ROOT}/pull?getStats=true&fields=stats/*").json.keys() == {"stats"}


@pytest.mark.parametrize(
    ("text", "message"),
    [("a(b", "not closed"), ("a)", "too many"), ("(a)", "missing"), ("/a", "missing")],
)
def test_selectors_of_the_wrong_form(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_fields(text)


@given(st.text(alphabet="ab,/()*", max_size=12))
def test_any_selector_is_read_or_refused(text: str) -> None:
    try:
        tree = parse_fields(text)
    except ValueError:
        return
    part = select({"a": {"b": [{"a": 1}]}, "b": 2}, tree)
    assert part.keys() <= {"a", "b"}


def test_metrics(api: FlaskClient) -> None:
    insert(api)
    response = api.get("/metrics")
    assert response.mimetype == "text/plain"
    assert b'taskqueue_tasks{queue="pull"} 1.0' in response.data


NAMES = st.sampled_from(["id", "queueName", "payloadBase64", "leaseTimestamp", "tag", "kind"])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("pull")
VALUES = st.recursive(LEAVES, lambda v: st.lists(v) | st.dictionaries(st.text(), v), max_leaves=4)
BODIES = st.binary() | st.dictionaries(NAMES, VALUES).map(lambda b: json.dumps(b).encode())
PARAMETERS = ["leaseSecs", "numTasks", "groupByTag", "tag", "newLeaseSeconds", "getStats", "fields"]
QUERIES = st.dictionaries(st.sampled_from(PARAMETERS), st.text() | st.integers().map(str))
PATHS = st.sampled_from(["", "/tasks", "/tasks/lease", "/tasks/one"]) | st.text().map(
    lambda text: f"/tasks/{quote(text, safe='')}"
)


@given(st.sampled_from(["GET", "POST", "PATCH", "DELETE", "PUT"]), PATHS, QUERIES, BODIES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_nothing_that_is_sent_breaks_it(
    api: FlaskClient, method: str, path: str, query: dict[str, str], body: bytes
) -> None:
    response = api.open(f"{ROOT}/pull{path}", method=method, query_string=query, data=body)
    if response.status_code == 308:
        return
    assert response.status_code in (200, 400, 404, 405), response.data
    assert isinstance(response.json, dict) or method in ("HEAD", "OPTIONS")
    if response.status_code != 200:
        assert response.json["error"]["code"] == response.status_code
