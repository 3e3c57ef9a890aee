"""Who may call the collector, and that nothing that is sent to it makes it fail."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.app import create_app
from collector.fetching.accounts import Accounts
from collector.ingest.intake import MOST_BODY
from collector.openapi import DESCRIPTION
from collector.settings import CollectorSettings
from dfpipe.errors import UsageError
from service.auth import AuthSettings
from taskqueue import ConfigError, Queue, TaskQueueService
from tests.support.collectors import GOOD, PLATFORM, PUSHER, make_api, settings_in
from tests.support.taskqueues import Clock

OPERATIONS = [
    f"{method} {path}" for path, methods in DESCRIPTION["paths"].items() for method in methods
]
PLATFORM_ONLY = [
    "get /timeline",
    "get /purge",
    "post /tasks/timeline",
    "post /tasks/purge",
]
WRONG = {"Authorization": "Bearer this-is-not-the-token-at-all"}
CRON = {"X-Appengine-Cron": "true"}


@pytest.fixture(scope="module")
def given_settings(tmp_path_factory: pytest.TempPathFactory) -> CollectorSettings:
    folder = tmp_path_factory.mktemp("collector")
    return settings_in(folder, f"sqlite:///{folder}/store.db")


@pytest.fixture(scope="module")
def api(given_settings: CollectorSettings) -> FlaskClient:
    return make_api(given_settings, Clock())


def call(api: FlaskClient, operation: str, **kwargs: Any) -> Any:
    method, _, path = operation.partition(" ")
    return api.open(path, method=method.upper(), **kwargs)


# The page


def test_the_page_names_failing_accounts_first(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, f"sqlite:///{tmp_path}/s.db")
    api, clock = make_api(settings, Clock()), Clock()
    service = TaskQueueService(f"sqlite:///{tmp_path}/s.db", f"{tmp_path}/queue.yaml", clock=clock)
    accounts = Accounts(service.client)
    names = [f"mastodon:#{name}" for name in ("good", "left", "bad", "refused")]
    for name in names:
        accounts.follow(name, clock())
    accounts.unfollow(names[1])
    assert "Failing accounts" not in api.get("/status").text
    accounts.failed(names[2], "<b>the server is away</b>", clock())
    accounts.disable(names[3], "it is private", clock())
    text = api.get("/status").text
    failing = text[text.index("Failing accounts") : text.index("Queues")]
    assert "&lt;b&gt;the server is away&lt;/b&gt;" in failing
    assert "it is private" in failing
    assert [name in failing for name in names] == [False, False, True, True]
    assert 'data-refresh="10"' in text
    service.client.close()


@pytest.mark.parametrize("is_synthetic", [False, True], ids=["real", "synthetic"])
def test_the_page_says_that_posts_are_synthetic(tmp_path: Path, is_synthetic: bool) -> None:
    settings = settings_in(tmp_path, f"sqlite:///{tmp_path}/s.db", is_synthetic=is_synthetic)
    text = make_api(settings, Clock()).get("/status").text
    assert ('aria-label="Notice"' in text) is is_synthetic


# Access


@pytest.mark.parametrize("operation", PLATFORM_ONLY)
@pytest.mark.parametrize("headers", [{}, WRONG, PUSHER, CRON], ids=str)
def test_cron_and_task_routes_are_closed_to_anyone_else(
    api: FlaskClient, operation: str, headers: dict[str, str]
) -> None:
    answer = call(api, operation, headers=headers)
    assert (answer.status_code, answer.data) == (403, b"")


def test_the_routes_that_are_tested_are_all_that_start_work() -> None:
    closed = [
        operation
        for operation in OPERATIONS
        if DESCRIPTION["paths"][operation.split()[1]][operation.split()[0]].get("security")
        == [{"platform": []}]
    ]
    assert sorted(closed) == sorted(PLATFORM_ONLY)


@pytest.mark.parametrize("path", [each[4:] for each in PLATFORM_ONLY if each.startswith("get ")])
def test_a_head_request_starts_nothing(tmp_path: Path, path: str) -> None:
    api = make_api(settings_in(tmp_path, f"sqlite:///{tmp_path}/s.db"), Clock())
    service = TaskQueueService(f"sqlite:///{tmp_path}/s.db", f"{tmp_path}/queue.yaml")
    queue = Queue("timeline", service=service)
    Accounts(service.client).follow("mastodon:@anna@m.example", service.clock())
    assert api.head(path).status_code == 403
    assert api.head(path, headers=PLATFORM).status_code == 405
    assert queue.fetch_statistics().tasks == 0
    assert api.get(path, headers=PLATFORM).status_code == 200
    assert queue.fetch_statistics().tasks == 1
    service.client.close()


@pytest.mark.parametrize("on_app_engine", [False, True])
def test_the_headers_of_app_engine_count_there_alone(tmp_path: Path, on_app_engine: bool) -> None:
    auth = AuthSettings(on_app_engine=on_app_engine)
    api = make_api(settings_in(tmp_path, f"sqlite:///{tmp_path}/s.db", auth=auth), Clock())
    expected = 200 if on_app_engine else 403
    assert api.get("/timeline", headers=CRON).status_code == expected
    form = {"day": "2026-01-07", "part": 0}
    task = {"X-AppEngine-TaskName": "t"}
    assert api.post("/tasks/purge", data=form, headers=task).status_code == expected
    assert api.post("/ingest", json=GOOD, headers=CRON).status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Basic eDp5"}, 401),
        (WRONG, 403),
        (PLATFORM, 403),
        (PUSHER, 202),
    ],
    ids=["none", "basic", "wrong", "of tasks", "right"],
)
def test_ingest_asks_for_its_token(api: FlaskClient, headers: dict[str, str], status: int) -> None:
    answer = api.post("/ingest", json=GOOD, headers=headers)
    assert answer.status_code == status
    assert (answer.headers.get("WWW-Authenticate") == "Bearer") == (status == 401)


def test_without_tokens_nobody_may_push(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, f"sqlite:///{tmp_path}/s.db", ingest_tokens=())
    api = make_api(settings, Clock())
    assert api.post("/ingest", json=GOOD).status_code == 401
    assert api.post("/ingest", json=GOOD, headers=PUSHER).status_code == 403


# Bodies


def test_a_body_that_is_too_large_is_refused(api: FlaskClient) -> None:
    answer = api.post("/ingest", data=b" " * (MOST_BODY + 1), headers=PUSHER)
    assert answer.status_code == 413
    assert list(answer.json) == ["error"]


def test_a_body_without_a_length_is_not_cut_in_silence(api: FlaskClient) -> None:
    lines = (json.dumps(GOOD).encode() + b"\n") * 2 + b" " * MOST_BODY

    def send(body: bytes) -> Any:
        # What gunicorn tells of a chunked body.
        told = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
        return api.post(
            "/ingest", input_stream=io.BytesIO(body), environ_overrides=told, headers=PUSHER
        )

    answer = send(lines)
    assert answer.status_code == 413
    assert answer.json == {"error": "the body is over 4,194,304 bytes: send it in parts"}
    assert send(lines[:MOST_BODY]).json == {"taken": 2, "errors": []}


BAD_FORMS = {
    "nothing": ("/tasks/timeline", {}, "is not an account: expected one of"),
    "account": ("/tasks/timeline", {"account": "y:z", "slot": 1}, "y:z is not an account"),
    "slot": (
        "/tasks/timeline",
        {"account": "mastodon:home", "slot": "x", "chain": "x", "number": 0},
        "slot is 'x': give a whole number",
    ),
    "number": (
        "/tasks/timeline",
        {"account": "mastodon:home", "slot": 1, "chain": "x", "number": -1},
        "number is '-1': give a whole number",
    ),
    "chain": (
        "/tasks/timeline",
        {"account": "mastodon:home", "slot": 1, "chain": "/", "number": 0},
        "chain is '/': give the name of a chain",
    ),
    "part": ("/tasks/purge", {"day": "2026-01-07"}, "part is '': give a whole number"),
    "day": ("/tasks/purge", {"day": "today", "part": 0}, "day is 'today': give YYYY-MM-DD"),
}


@pytest.mark.parametrize("case", BAD_FORMS)
def test_a_task_with_a_wrong_form_is_refused(api: FlaskClient, case: str) -> None:
    path, form, message = BAD_FORMS[case]
    answer = api.post(path, data=form, headers=PLATFORM)
    assert answer.status_code == 400
    assert message in answer.json["error"]


@pytest.mark.parametrize("path", ["/", "/nowhere", "/tasks", "/ingest/"])
def test_what_there_is_not(api: FlaskClient, path: str) -> None:
    answer = api.get(path)
    assert answer.status_code == 404
    assert list(answer.json) == ["error"]
    assert api.put("/ingest").status_code == 405


# Any request that the description allows, and any that it does not


def from_schema(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of a schema, as far as this service's description needs it."""
    among = schema.get("anyOf") or schema.get("oneOf")
    return st.one_of(*map(from_schema, among)) if among else of_kind(schema["type"], schema)


def of_kind(kind: str, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if kind == "object":
        properties = {name: from_schema(of) for name, of in schema.get("properties", {}).items()}
        needed = {name: properties.pop(name) for name in schema.get("required", [])}
        return st.fixed_dictionaries(needed, optional=properties)
    if kind == "array":
        most = min(5, schema.get("maxItems", 5))
        return st.lists(from_schema(schema["items"]), max_size=most)
    if kind == "integer":
        return st.integers(schema.get("minimum"), schema.get("maximum"))
    if kind == "string" and "pattern" in schema:
        return st.from_regex(schema["pattern"], fullmatch=True)
    return st.text(max_size=20) if kind == "string" else st.none()


POSTS = from_schema(
    DESCRIPTION["paths"]["/ingest"]["post"]["requestBody"]["content"]["application/json"]["schema"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from([*GOOD, "urls", "delete", "post", "x"]), inner, max_size=5
        )
    ),
    max_leaves=10,
)
RECORDS = st.dictionaries(st.sampled_from([*GOOD, "urls"]), VALUES).map(lambda wrong: GOOD | wrong)
BODIES = (
    st.binary(max_size=100)
    | VALUES.map(json.dumps)
    | st.lists(RECORDS | VALUES, max_size=4).map(json.dumps)
    | st.lists((RECORDS | VALUES).map(json.dumps), max_size=4).map("\n".join)
    | st.dictionaries(
        st.sampled_from(["account", "slot", "chain", "number", "part", "day"]),
        st.sampled_from(["mastodon:home", "x:@nasa", "2026-01-07", "3"]) | st.text(max_size=20),
    ).map(lambda form: "&".join(f"{name}={value}" for name, value in form.items()))
)
TYPES = st.sampled_from(
    [
        "application/json",
        "application/x-ndjson",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
    ]
)
FUZZ = settings(
    max_examples=400,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)


@FUZZ
@given(
    operation=st.sampled_from(OPERATIONS),
    body=BODIES,
    mimetype=TYPES,
    headers=st.sampled_from([PUSHER, PLATFORM]),
)
def test_no_request_makes_it_fail(
    api: FlaskClient, operation: str, body: Any, mimetype: str, headers: dict[str, str]
) -> None:
    data = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    answer = call(api, operation, data=data, content_type=mimetype, headers=headers)
    method, _, path = operation.partition(" ")
    described = api.get("/openapi.json").json["paths"][path][method]["responses"]
    assert str(answer.status_code) in described, answer.text
    assert answer.status_code < 500


@FUZZ
@given(body=POSTS)
def test_what_the_description_allows_is_read(api: FlaskClient, body: Any) -> None:
    answer = api.post("/ingest", json=body, headers=PUSHER)
    assert answer.status_code == 202, answer.text
    records = body if isinstance(body, list) else [body]
    assert answer.json["taken"] + len(answer.json["errors"]) == len(records)


@FUZZ
@given(
    form=st.fixed_dictionaries(
        {
            "account": st.sampled_from(["mastodon:", "archive:/", "x:@", "bluesky:"]).flatmap(
                lambda source: st.text(max_size=20).map(lambda name: source + name)
            ),
            "slot": st.integers(0, 10**20).map(str),
            "chain": st.sampled_from(["1733124", "reset-1767787200"]) | st.text(max_size=9),
            "number": st.integers(0, 99).map(str),
        }
    )
)
def test_no_form_of_a_task_makes_it_fail(api: FlaskClient, form: dict[str, str]) -> None:
    assert api.post("/tasks/timeline", data=form, headers=PLATFORM).status_code in (200, 400)


# What it is told at its start


def test_the_service_says_what_it_misses(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no store is set: set DFPIPE_STORE"):
        create_app(CollectorSettings())
    store = f"sqlite:///{tmp_path}/s.db"
    with pytest.raises(ConfigError, match="cannot read .*missing.yaml"):
        create_app(CollectorSettings(store=store, queue_yaml=str(tmp_path / "missing.yaml")))


def test_a_store_that_fails_is_a_503_that_tells_nothing(
    given_settings: CollectorSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from google.api_core.exceptions import ServiceUnavailable

    from dfpipe.datastore.embedded import Client

    api = make_api(given_settings, Clock())

    def fail(*args: Any, **named: Any) -> None:
        raise ServiceUnavailable("the address of the store")

    for name in ("get", "query", "batch"):
        monkeypatch.setattr(Client, name, fail)
    for operation in ("get /timeline", "get /healthz", "get /status", "get /metrics"):
        answer = call(api, operation, headers=PLATFORM)
        assert answer.status_code == 503
        assert answer.json == {"error": "the store is not available: try again"}
        assert answer.headers["Retry-After"] == "10"
    assert api.post("/ingest", json=GOOD, headers=PUSHER).status_code == 503
