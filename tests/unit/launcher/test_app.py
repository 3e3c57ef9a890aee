"""The launcher's service: who may ask for what, one run for a slot, and events."""

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from dfpipe.errors import UsageError
from launcher.app import create_app
from launcher.chains import context
from launcher.chains.records import JobRecord
from service.auth import AuthSettings, Guard
from tests.support.fake_dataflow import FakeDataflow, log_event, status_event
from tests.support.google_identity import ACCOUNT, AUDIENCE, Google
from tests.support.launching import TOKEN, settings_in, unbind
from tests.support.processes import ROOT
from tests.support.taskqueues import Clock

PLATFORM = {"Authorization": f"Bearer {TOKEN}"}
# As from outside this machine: the pages are open on loopback.
OUTSIDE = {"X-Forwarded-For": "192.0.2.7"}
CLOSED = [
    ("GET", "/launchpipeline"),
    ("POST", "/api/executions"),
    ("POST", "/api/executions/first-20260107t100000/cancel"),
    ("POST", "/api/executions/first-20260107t100000/retry"),
    ("POST", "/events/dataflow"),
    ("POST", "/tasks/launcher/start"),
    ("POST", "/tasks/launcher/look"),
    ("POST", "/reap"),
    ("GET", "/tasks/launcher/sweep"),
    ("POST", "/_ah/pipeline/run"),
    ("GET", "/api/executions"),
    ("GET", "/api/executions/first-20260107t100000"),
]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(tmp_path: Path, clock: Clock) -> Iterator[Flask]:
    yield create_app(settings_in(tmp_path), clock=clock)
    unbind()


@pytest.mark.parametrize(("method", "url"), CLOSED)
@pytest.mark.parametrize(
    "headers",
    [{}, {"X-Appengine-Cron": "true"}, {"Authorization": "Bearer token-of-somebody-else"}],
    ids=["nothing", "forged-cron", "wrong-token"],
)
def test_without_proof_nothing_is_told_or_started(
    app: Flask, method: str, url: str, headers: dict[str, str]
) -> None:
    answer = app.test_client().open(url, method=method, headers=headers | OUTSIDE)
    assert (answer.status_code, answer.data) == (403, b"")
    assert app.test_client().get("/api/executions", headers=PLATFORM).json == {"executions": []}


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://other.example"},
        {"iss": "https://issuer.example"},
        {"email": "somebody@project.example"},
        {"email_verified": False},
        {"exp": int(time.time()) - 7200, "iat": int(time.time()) - 9000},
        {"iat": int(time.time()) + 7200},
    ],
    ids=["audience", "issuer", "account", "unverified", "expired", "future"],
)
def test_a_wrong_oidc_token_starts_nothing(tmp_path: Path, claims: dict[str, Any]) -> None:
    google = Google()
    auth = AuthSettings(audience=AUDIENCE, service_accounts=frozenset({ACCOUNT}))
    app = create_app(settings_in(tmp_path, auth=auth))
    Guard(auth, google).install(app)
    client = app.test_client()
    wrong = {"Authorization": f"Bearer {google.token(**claims)}"}
    for url in ("/launchpipeline", "/events/dataflow"):
        method = "GET" if url == "/launchpipeline" else "POST"
        answer = client.open(url, method=method, headers=wrong | OUTSIDE)
        assert (answer.status_code, answer.data) == (403, b"")
    good = {"Authorization": f"Bearer {google.token()}"}
    assert client.get("/api/executions", headers=good | OUTSIDE).json == {"executions": []}
    assert client.get("/launchpipeline", headers=good | OUTSIDE).status_code == 202
    unbind()


def test_cron_on_app_engine(tmp_path: Path) -> None:
    app = create_app(settings_in(tmp_path, auth=AuthSettings(on_app_engine=True)))
    answer = app.test_client().get("/launchpipeline", headers={"X-Appengine-Cron": "true"})
    assert answer.status_code == 202
    unbind()


def test_one_run_for_a_slot(app: Flask, clock: Clock) -> None:
    client = app.test_client()
    first = client.get("/launchpipeline", headers=PLATFORM).json
    assert first is not None
    assert first["id"].startswith("first-2026010")
    assert first["watch"] == f"/jobs/{first['id']}"
    clock.move(60)
    assert client.get("/launchpipeline", headers=PLATFORM).json == first
    assert client.post("/api/executions", headers=PLATFORM).json == first
    clock.move(5 * 3600)
    later = client.get("/launchpipeline", headers=PLATFORM).json
    assert later is not None
    assert (later["id"] != first["id"], later["state"]) == (True, "waiting")


@pytest.mark.parametrize("url", ["/launchpipeline", "/reap", "/tasks/launcher/sweep"])
def test_a_head_request_changes_nothing(app: Flask, url: str) -> None:
    client = app.test_client()
    assert client.head(url, headers=OUTSIDE).status_code == 403
    assert client.head(url, headers=PLATFORM).status_code == 405
    assert client.get("/api/executions", headers=PLATFORM).json == {"executions": []}


def test_fifty_calls_at_once_start_one_chain(tmp_path: Path, clock: Clock) -> None:
    app = create_app(settings_in(tmp_path), clock=clock)

    def call(_: int) -> Any:
        return app.test_client().get("/launchpipeline", headers=PLATFORM).json

    with ThreadPoolExecutor(50) as pool:
        found = list(pool.map(call, range(50)))
    assert {each["id"] for each in found} == {found[0]["id"]}
    service = context.current().service
    assert len(service.store.tasks("default", 100)) == 1
    unbind()


def test_what_an_operator_asks_for(app: Flask) -> None:
    client = app.test_client()

    def post(body: Any) -> Any:
        return client.post("/api/executions", json=body, headers=PLATFORM)

    run = post({"chain": "second", "slot": "2026-01-01T00:00:00Z"})
    assert (run.status_code, run.json["id"]) == (202, "second-20260101t000000")
    assert run.json["slot"] == "2026-01-01T00:00:00Z"
    for body, message in [
        ({"chain": "third"}, "unknown chain 'third': expected one of first, second"),
        ({"slot": "today"}, "slot: 'today': expected a time like 2015-01-09T12:00:00Z"),
        ({"slot": "2030-01-01T00:00:00Z"}, "slot is 2030-01-01T00:00:00Z: expected a time in"),
        ({"other": 1}, "other: unknown field; expected chain, slot"),
        ({"chain": 1}, "chain: '1': expected a text"),
        ([1], "the body: '[1]': expected a mapping"),
    ]:
        answer = post(body)
        assert answer.status_code == 400
        assert message in answer.json["error"]


def test_a_body_is_read_whatever_its_type_is_said_to_be(app: Flask) -> None:
    client = app.test_client()

    def post(body: bytes, kind: str) -> Any:
        return client.post("/api/executions", data=body, content_type=kind, headers=PLATFORM)

    # As curl -d says it, where nobody tells it better.
    form = "application/x-www-form-urlencoded"
    run = post(b'{"chain": "second", "slot": "0101-02-03T00:00:00Z"}', form)
    assert (run.status_code, run.json["id"]) == (202, "second-01010203t000000")
    assert run.json["slot"] == "0101-02-03T00:00:00Z"
    for body in (b"slot=2026-01-01", b"\xff\xfe", b"[" * 30_000):
        for kind in (form, "application/json"):
            assert post(body, kind).status_code == 400
    assert len((client.get("/api/executions", headers=PLATFORM).json or {})["executions"]) == 1


@pytest.mark.parametrize(
    ("method", "url", "code"),
    [("GET", "/nothing", 404), ("GET", "/jobs/", 404), ("GET", "/jobs/x/cancel", 405)],
    ids=["nothing", "slash", "method"],
)
def test_a_browser_is_told_in_a_page_and_a_script_in_json(
    app: Flask, method: str, url: str, code: int
) -> None:
    client = app.test_client()
    browser = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    page = client.open(url, method=method, headers=browser)
    assert (page.status_code, page.mimetype) == (code, "text/html")
    assert '<main id="main"' in page.text
    for accept in ({}, {"Accept": "*/*"}, {"Accept": "application/json"}):
        data = client.open(url, method=method, headers=accept)
        assert (data.status_code, list(data.json or {})) == (code, ["error"])
    assert client.get("/api/nothing", headers=browser).json
    assert client.get("/launchpipeline", headers=browser | OUTSIDE).data == b""
    # A stranger is shown no page.
    assert client.open(url, method=method, headers=browser | OUTSIDE).mimetype == "application/json"


@pytest.mark.parametrize(
    "url", ["/", "/nothing", "/api/executions", "/launchpipeline", "/healthz", "/_ah/pipeline/list"]
)
def test_every_answer_has_the_headers_of_a_page(app: Flask, url: str) -> None:
    headers = app.test_client().get(url).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["Cache-Control"] == "no-store"


def test_runs_and_their_steps(app: Flask) -> None:
    client = app.test_client()
    run = client.get("/launchpipeline", headers=PLATFORM).json
    assert run is not None
    shown = client.get(f"/api/executions/{run['id']}", headers=PLATFORM).json
    assert shown is not None
    assert shown["steps"] == [{"name": "one", "kind": "flex-template", "needs": [], "job": None}]
    log = f"/api/executions/{run['id']}/steps/one/log"
    for url in ("/api/executions/nobody", "/api/executions/" + "x" * 3000, log):
        answer = client.get(url, headers=PLATFORM)
        assert (answer.status_code, list(answer.json or {})) == (404, ["error"])
    assert client.post(f"/api/executions/{run['id']}/retry", headers=PLATFORM).status_code == 409
    cancelled = client.post(f"/api/executions/{run['id']}/cancel", headers=PLATFORM)
    assert (cancelled.status_code, cancelled.json["state"]) == (202, "running")


def test_the_log_of_a_job_that_has_written_nothing(app: Flask, tmp_path: Path) -> None:
    client = app.test_client()
    run = client.get("/launchpipeline", headers=PLATFORM).json
    assert run is not None
    names = {"execution": run["id"], "step": "one", "name": "quiet"}
    job = JobRecord(id=f"{run['id']}/one", kind="local", **names)
    context.current().records.put_job(job)
    log = f"/api/executions/{run['id']}/steps/one/log"
    assert client.get(log).status_code == 404
    (tmp_path / "jobs" / "quiet").mkdir(parents=True)
    (tmp_path / "jobs" / "quiet" / "log").touch()
    answer = client.get(log)
    assert (answer.status_code, answer.mimetype, answer.data) == (200, "text/plain", b"")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b"[]", "the body: '[]': expected a mapping"),
        (b"{}", "neither a push of Pub/Sub nor a CloudEvent"),
        (b'{"message": {"data": "!"}}', "message.data: '!': Only base64"),
        (b'{"message": {"data": "e30="}}', "resource.type: missing"),
        (b'{"message": {}}', "message.data: missing"),
        (b'{"type": "other"}', "the event's type is 'other': expected google.cloud.dataflow"),
        (b"[" * 30_000, "not JSON"),
    ],
    ids=["empty", "list", "nothing", "base64", "resource", "no-data", "type", "deep"],
)
def test_what_is_no_event_is_refused(app: Flask, body: bytes, message: str) -> None:
    answer = app.test_client().post("/events/dataflow", data=body, headers=PLATFORM)
    assert answer.status_code == 400
    assert message in (answer.json or {})["error"]


def test_events_of_foreign_jobs_start_nothing(app: Flask) -> None:
    client = app.test_client()
    job = FakeDataflow().add("somebody-elses", {}, {}, "DONE")
    for headers, body in (log_event(job), status_event(job)):
        answer = client.post("/events/dataflow", data=body, headers=headers | PLATFORM)
        assert (answer.status_code, answer.data) == (204, b"")
    text = client.get("/metrics").text
    assert 'launcher_events_total{kind="foreign"} 2.0' in text


def test_an_event_of_a_name_that_no_job_can_have(app: Flask) -> None:
    job = FakeDataflow().add("\ud800", {}, {}, "DONE")
    for headers, body in (log_event(job), status_event(job)):
        answer = app.test_client().post("/events/dataflow", data=body, headers=headers | PLATFORM)
        assert answer.status_code == 400


def test_health_and_metrics(app: Flask) -> None:
    client = app.test_client()
    assert client.get("/healthz", headers=OUTSIDE).json == {"status": "ok"}
    client.get("/launchpipeline", headers=PLATFORM)
    text = client.get("/metrics", headers=OUTSIDE).text
    assert 'launcher_open_executions{chain="first",state="running"} 1.0' in text
    assert 'launcher_starts_total{by="cron"} 1.0' in text


def test_reaping(app: Flask) -> None:
    client = app.test_client()
    client.get("/launchpipeline", headers=PLATFORM)
    answer = client.post("/reap", headers=PLATFORM)
    assert (answer.json or {})["executions"] == 1


def test_sweeping(app: Flask) -> None:
    answer = app.test_client().get("/tasks/launcher/sweep", headers=PLATFORM)
    assert answer.json == {"executions": 0, "folders": 0}


def test_wrong_settings_are_found_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no store: set DFPIPE_STORE"):
        create_app(settings_in(tmp_path, store=""))
    with pytest.raises(UsageError, match="unknown chain 'third': expected one of first, second"):
        create_app(settings_in(tmp_path, chain="third"))
    unbind()


def test_the_service_needs_no_beam() -> None:
    code = "import sys, launcher.app; sys.exit('apache_beam' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
