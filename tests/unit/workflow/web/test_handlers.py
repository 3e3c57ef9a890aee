"""Workflows over HTTP: who may call what, and what is answered to what is wrong."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

import taskqueue
import workflow
from dfpipe.datastore import connect
from service.auth import AuthSettings, Guard
from tests.support.workflow_page import Breaks, Fails, Fan, Hidden, Leaf, Open, Waits
from tests.support.workflow_running import Queues
from workflow import registry
from workflow.engine.tasks import HANDLERS
from workflow.web import access
from workflow.web.handlers import create_blueprint, create_handlers_map

SECRET = "a-token-of-the-tests"
BASE = "/_ah/pipeline"
PROOF = {"Authorization": f"Bearer {SECRET}"}
SCRIPT = {"X-Requested-With": "XMLHttpRequest"}
READS = ["tree", "stage", "stages", "list", "class_paths"]
ACTIONS = ["abort", "retry", "rerun", "cleanup"]


@pytest.fixture
def queues(tmp_path: Path) -> Iterator[Queues]:
    client = connect(f"sqlite:///{tmp_path}/store.db")
    yield Queues(client)
    workflow.bind(None)
    taskqueue.bind(None)
    client.close()


@pytest.fixture
def web(queues: Queues) -> FlaskClient:
    """A client that has no proof of its own; cookies it keeps."""
    return client_of(AuthSettings(token=SECRET))


def client_of(settings: AuthSettings) -> FlaskClient:
    app = Flask(__name__)
    Guard(settings).install(app)
    app.register_blueprint(create_blueprint())
    return app.test_client()


def log_in(web: FlaskClient) -> None:
    assert web.post(f"{BASE}/login", data={"token": SECRET}).status_code == 303


def started(stage: workflow.Pipeline) -> str:
    stage.start()
    return str(stage.pipeline_id)


# Tasks


@pytest.mark.parametrize("handler", [*HANDLERS, "reap"])
def test_tasks_need_a_proof(web: FlaskClient, handler: str) -> None:
    log_in(web)
    for headers in ({}, SCRIPT, {"X-AppEngine-TaskName": "task-1"}, {"X-Appengine-Cron": "true"}):
        answer = web.post(f"{BASE}/{handler}", headers=headers)
        assert (answer.status_code, answer.data) == (403, b"")


def test_the_headers_of_app_engine_are_a_proof_there(queues: Queues) -> None:
    web = client_of(AuthSettings(on_app_engine=True))
    root = started(Leaf(3))
    words = {"pipeline_id": root, "root": root, "attempt": "0"}
    headers = {"X-AppEngine-TaskName": "task-1"}
    assert web.post(f"{BASE}/run", data=words, headers=headers).status_code == 204
    assert Leaf.from_id(root).outputs.default.value == 9


@pytest.mark.parametrize("handler", list(HANDLERS))
@pytest.mark.parametrize(
    "words",
    [
        {},
        {"unknown": "1"},
        {"pipeline_id": "a", "root": "a", "attempt": "one", "first": "-1", "page": "²"},
        {"pipeline_id": "", "root": "", "attempt": "0"},
        {"pipeline_id": "x" * 2000, "root": "__r__", "attempt": "9" * 5000},
    ],
    ids=["nothing", "unknown", "no numbers", "empty", "long"],
)
def test_tasks_with_bad_values(web: FlaskClient, handler: str, words: dict[str, str]) -> None:
    answer = web.post(f"{BASE}/{handler}", data=words, headers=PROOF)
    assert answer.status_code == 400
    assert answer.data


def test_tasks_of_workflows_that_are_gone(web: FlaskClient) -> None:
    ids = {"pipeline_id": "gone", "root": "gone"}
    calls: dict[str, dict[str, str]] = {
        "run": {**ids, "attempt": "0"},
        "finalized": ids,
        "output": {"slot_key": "gone/default", "page": "0", "pipeline_id": "gone"},
        "advance": {"barrier": "gone/start", "pipeline_id": "gone"},
        "fanout": {**ids, "first": "0"},
        "abort": {"root": "gone"},
        "cleanup": {"root": "gone"},
    }
    assert set(calls) == set(HANDLERS)
    for handler, words in calls.items():
        answer = web.post(f"{BASE}/{handler}", data=words, headers=PROOF)
        assert answer.status_code == 204, handler


def test_an_abort_that_goes_on_from_no_page(queues: Queues, web: FlaskClient) -> None:
    words = {"root": started(Fails("never")), "cursor": "junk"}
    answer = web.post(f"{BASE}/abort", data=words, headers=PROOF)
    assert (answer.status_code, answer.text) == (
        400,
        "cursor is 'junk': expected a cursor of this store",
    )


def test_what_a_stage_raises_for_the_queue_is_500(queues: Queues, web: FlaskClient) -> None:
    stage = Fails("for the queue")
    stage.task_retry = True
    root = started(stage)
    words = {"pipeline_id": root, "root": root, "attempt": "0"}
    assert web.post(f"{BASE}/run", data=words, headers=PROOF).status_code == 500


def test_a_class_that_is_gone_waits_and_recovers(
    queues: Queues, web: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = started(Leaf(4))
    words = {"pipeline_id": root, "root": root, "attempt": "0"}
    with monkeypatch.context() as patch:
        patch.delitem(registry._classes, Leaf.class_path)
        assert web.post(f"{BASE}/run", data=words, headers=PROOF).status_code == 500
        found = web.get(f"{BASE}/rpc/stage?pipeline_id={root}", headers=PROOF).json
        assert "cannot be imported" in found["pipelines"][root]["lastRetryMessage"]
    assert web.post(f"{BASE}/run", data=words, headers=PROOF).status_code == 204
    assert Leaf.from_id(root).outputs.default.value == 16


def test_the_reaper_tells_what_it_did(queues: Queues, web: FlaskClient) -> None:
    started(Leaf(1))
    answer = web.get(f"{BASE}/reap", headers=PROOF)
    assert (answer.status_code, answer.json) == (200, {})


def test_a_head_request_does_not_repair(
    queues: Queues, web: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflow.web.handlers.reap", lambda engine: pytest.fail("it repaired"))
    answer = web.head(f"{BASE}/reap", headers=PROOF)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, OPTIONS, POST")


# Callbacks


def call(web: FlaskClient, root: str, query: str = "", **headers: str) -> Any:
    return web.get(f"{BASE}/callback?pipeline_id={root}{query}", headers=headers)


def test_callbacks_are_closed_at_first(queues: Queues, web: FlaskClient) -> None:
    closed, hidden, unknown = started(Waits(True)), started(Hidden()), "unknown"
    for root in (closed, hidden, unknown, ""):
        answer = call(web, root)
        assert (answer.status_code, answer.data) == (400, b"")
    log_in(web)
    assert call(web, closed).status_code == 400


def test_a_person_calls_back_where_the_stage_lets_admins(queues: Queues, web: FlaskClient) -> None:
    root = started(Hidden())
    log_in(web)
    answer = call(web, root, "&name=ann")
    assert (answer.status_code, answer.text, answer.mimetype) == (
        200,
        "called by ann",
        "text/plain",
    )


def test_anybody_calls_back_where_it_is_public(queues: Queues, web: FlaskClient) -> None:
    root = started(Open())
    assert call(web, root).text == "called by nobody"
    words = {"pipeline_id": root, "name": "ann"}
    assert web.post(f"{BASE}/callback", data=words).text == "called by ann"


def test_looking_at_a_link_calls_nothing(queues: Queues, web: FlaskClient) -> None:
    url = f"{BASE}/callback?pipeline_id={started(Breaks())}"
    assert web.head(url).status_code == 405
    assert web.options(url).status_code == 200


def test_a_task_calls_back(queues: Queues, web: FlaskClient) -> None:
    root = started(Waits(True))
    queues.runner.step()
    answer = call(web, root, "&word=any", **PROOF)
    assert (answer.status_code, answer.data) == (200, b"")
    queues.drain()
    assert Waits.from_id(root).outputs.default.value == "called"


def test_callbacks_with_arguments_that_it_does_not_take(queues: Queues, web: FlaskClient) -> None:
    root = started(Open())
    for query in ("&other=1", "&self=1"):
        assert call(web, root, query).status_code == 400
        assert call(web, root, query, **PROOF).status_code == 400


def test_what_a_callback_raises_is_500(queues: Queues, web: FlaskClient) -> None:
    assert call(web, started(Breaks())).status_code == 500


@pytest.mark.parametrize(
    ("retries", "code"),
    [("5", 404), ("6", 200), ("junk", 404), ("²", 404), ("", 404)],
    ids=["some", "too many", "junk", "no digit", "empty"],
)
def test_a_callback_task_of_nothing_is_given_up(web: FlaskClient, retries: str, code: int) -> None:
    headers = {**PROOF, "X-AppEngine-TaskRetryCount": retries}
    assert call(web, "unknown", **headers).status_code == code
    # Others learn nothing by that header.
    outside = {"X-AppEngine-TaskRetryCount": retries}
    assert call(web, "unknown", **outside).status_code == 400


@pytest.mark.parametrize("mode", [None, False, True], ids=["outside", "single", "cross-group"])
def test_callbacks_in_a_transaction(
    queues: Queues, web: FlaskClient, monkeypatch: pytest.MonkeyPatch, mode: bool | None
) -> None:
    seen = []
    monkeypatch.setattr(Open, "_callback_xg_transaction", mode)
    monkeypatch.setattr(
        Open, "callback", lambda self: seen.append(queues.client.current_transaction is not None)
    )
    assert call(web, started(Open())).status_code == 200
    assert seen == [mode is not None]


# The JSON of the page


@pytest.mark.parametrize("name", READS)
def test_who_may_read(queues: Queues, web: FlaskClient, name: str) -> None:
    root = started(Leaf(1))
    words = f"root_pipeline_id={root}&pipeline_id={root}&id={root}"
    url = f"{BASE}/rpc/{name}?{words}"
    for headers in ({}, SCRIPT):
        answer = web.get(url, headers=headers)
        assert (answer.status_code, answer.data) == (403, b"")
    assert web.get(url, headers=PROOF).status_code == 200
    log_in(web)
    assert web.get(url).status_code == 403  # not by a script
    answer = web.get(url, headers=SCRIPT)
    assert answer.status_code == 200
    assert answer.json["nowMs"] > 0
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("name", ACTIONS)
def test_who_may_act(queues: Queues, web: FlaskClient, name: str) -> None:
    url = f"{BASE}/rpc/{name}"
    for headers in ({}, SCRIPT):
        answer = web.post(url, data={"pipeline_id": "unknown"}, headers=headers)
        assert (answer.status_code, answer.data) == (403, b"")
    log_in(web)
    assert web.post(url, data={"pipeline_id": "unknown"}).status_code == 403  # not by a script
    answer = web.post(url, data={"pipeline_id": "unknown"}, headers=SCRIPT)
    assert answer.status_code == 404
    assert answer.json["error_message"] == "there is no workflow with a stage 'unknown'"
    assert web.post(url, data={"pipeline_id": "unknown"}, headers=PROOF).status_code == 404
    assert web.get(url, headers=SCRIPT).status_code == 405


def test_acting(queues: Queues, web: FlaskClient) -> None:
    root = started(Waits(True))
    queues.runner.step()

    def act(name: str) -> tuple[int, str]:
        answer = web.post(f"{BASE}/rpc/{name}", data={"pipeline_id": root}, headers=PROOF)
        return answer.status_code, answer.json.get("error_message", "")

    assert act("cleanup") == (409, "the workflow is not over: abort it first, or wait")
    assert act("retry") == (200, "")
    assert act("rerun") == (200, "")
    assert act("abort") == (200, "")
    queues.drain()
    assert act("abort") == (409, "the workflow is over")
    assert act("cleanup") == (200, "")
    queues.drain()
    assert act("cleanup")[0] == 404


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("tree?root_pipeline_id=unknown", 404),
        ("tree", 404),
        ("stage?pipeline_id=unknown", 404),
        ("stage?pipeline_id=__x__", 404),
        ("stage?pipeline_id=ROOT&first=-1", 400),
        ("stage?pipeline_id=ROOT&first=²", 400),
        ("stage?pipeline_id=ROOT&first=1000000", 200),
        ("stage?pipeline_id=ROOT&count=501", 400),
        (f"stage?pipeline_id=ROOT&count={'9' * 5000}", 400),
        ("stages", 200),
        ("stages?id=unknown&id=&id=__x__", 200),
        ("stages?" + "id=x&" * 101, 400),
        ("list?count=0", 400),
        ("list?count=many", 400),
        ("list?cursor=junk", 400),
        (f"list?class_path={'x' * 2000}", 400),
        ("list?class_path=no.such.Class", 200),
    ],
    ids=lambda value: str(value)[:40],
)
def test_reading_what_is_not_there(queues: Queues, web: FlaskClient, url: str, code: int) -> None:
    url = url.replace("ROOT", started(Leaf(1)))
    answer = web.get(f"{BASE}/rpc/{url}", headers=PROOF)
    assert answer.status_code == code
    if code != 200:
        assert answer.json["error_message"]
        assert answer.json["error_class"]


def test_secrets_among_the_arguments_are_not_told(queues: Queues, web: FlaskClient) -> None:
    root = started(Fan(1, secret_word="hush", plain="told"))
    for url in (f"tree?root_pipeline_id={root}", f"stage?pipeline_id={root}", "list"):
        answer = web.get(f"{BASE}/rpc/{url}", headers=PROOF)
        assert "told" in answer.text
        assert "hush" not in answer.text


# Pages and login


@pytest.mark.parametrize("page", ["list", "status?root=any%26id"])
def test_pages_send_to_the_login_and_back(web: FlaskClient, page: str) -> None:
    Leaf(1).start(idempotence_key="any&id")
    answer = web.get(f"{BASE}/{page}")
    assert answer.status_code == 302
    login = web.get(answer.location)
    assert login.status_code == 200
    assert 'type="password"' in login.text
    words = {"token": SECRET, "next": f"{BASE}/{page}"}
    answer = web.post(f"{BASE}/login", data=words)
    assert (answer.status_code, answer.location) == (303, f"{BASE}/{page}")
    assert web.get(answer.location).status_code == 200
    assert web.get(f"{BASE}/login").location == f"{BASE}/list"
    assert web.post(f"{BASE}/logout").status_code == 303
    assert web.get(f"{BASE}/{page}").status_code == 302


@pytest.mark.parametrize("name", ACTIONS)
def test_who_may_press_the_buttons(queues: Queues, web: FlaskClient, name: str) -> None:
    url, fields = f"{BASE}/status/{name}", {"root": "unknown", "stage": "unknown"}
    assert web.post(url, data=fields).status_code == 403
    assert web.post(url, data=fields, headers=PROOF).status_code == 403
    log_in(web)
    other = {"Origin": "https://evil.example"}
    assert web.post(url, data=fields, headers=other).status_code == 403
    assert web.get(url).status_code == 405
    answer = web.post(url, data=fields)
    assert answer.status_code == 404
    assert "there is no workflow with a stage &#39;unknown&#39;" in answer.text


def test_a_button_that_is_refused_says_why(queues: Queues, web: FlaskClient) -> None:
    root = started(Leaf(1))
    log_in(web)
    answer = web.post(f"{BASE}/status/cleanup", data={"root": root})
    assert answer.status_code == 409
    assert "abort it first, or wait" in answer.text
    assert f'href="{BASE}/status?root={root}"' in answer.text


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("root=unknown", 404),
        ("root=ROOT&stage=unknown", 404),
        ("root=ROOT&stage=OTHER", 404),
        ("root=ROOT&first=-1", 400),
        (f"root=ROOT&first={'9' * 5000}", 400),
        ("root=ROOT&first=1000000", 200),
        ("root=ROOT&state=odd", 400),
        ("root=ROOT&state=done&cursor=junk", 400),
        ("root=ROOT&state=done", 200),
        ("root=%ED%A0%80%00", 404),
    ],
    ids=lambda value: str(value)[:40],
)
def test_addresses_of_the_status_page(
    queues: Queues, web: FlaskClient, query: str, code: int
) -> None:
    query = query.replace("ROOT", started(Leaf(1))).replace("OTHER", started(Leaf(2)))
    log_in(web)
    answer = web.get(f"{BASE}/status?{query}")
    assert answer.status_code == code
    assert "<h1>" in answer.text
    assert len(answer.text) < 10_000


def test_outputs_of_a_stage_that_is_over_are_not_awaited(queues: Queues, web: FlaskClient) -> None:
    root = started(Waits(True))
    queues.drain()
    log_in(web)
    page = f"{BASE}/status?root={root}&stage={root}"
    assert "not filled yet" in web.get(page).text
    workflow.Pipeline.from_id(root).abort("enough")
    queues.drain()
    text = web.get(page).text
    assert "never filled" in text
    assert "not filled yet" not in text


def test_hostile_values_stay_text(queues: Queues, web: FlaskClient) -> None:
    root = started(Fan(1, secret_word="hush", hostile="<script>1</script>\ud800\u202e\0" * 3000))
    log_in(web)
    answer = web.get(f"{BASE}/status?root={root}")
    assert answer.status_code == 200
    assert "&lt;script&gt;1&lt;/script&gt;" in answer.text
    assert "<script>" not in answer.text
    assert "hush" not in answer.text
    assert len(answer.text) < 20_000


def test_the_first_page(web: FlaskClient) -> None:
    assert web.get(f"{BASE}/").location == f"{BASE}/list"
    assert web.get(f"{BASE}/?root=one").location == f"{BASE}/status?root=one"


def test_a_refused_login_says_nothing_more(web: FlaskClient) -> None:
    answer = web.post(f"{BASE}/login", data={"token": "another"})
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers
    assert "Wrong token." in answer.text


@pytest.mark.parametrize(
    "after",
    ["https://evil.example/", "//evil.example", f"{BASE}/\\evil", "javascript:1"],
    ids=["other site", "no scheme", "backslash", "script"],
)
def test_a_login_goes_nowhere_else(web: FlaskClient, after: str) -> None:
    answer = web.post(f"{BASE}/login", data={"token": SECRET, "next": after})
    assert answer.location == f"{BASE}/list"


def test_another_site_logs_nobody_in_or_out(web: FlaskClient) -> None:
    other = {"Sec-Fetch-Site": "cross-site"}
    answer = web.post(f"{BASE}/login", data={"token": SECRET}, headers=other)
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers
    log_in(web)
    assert web.post(f"{BASE}/logout", headers=other).status_code == 403
    assert web.get(f"{BASE}/list").status_code == 200


@pytest.mark.parametrize(
    "page", ["list", "status?root=ROOT", "login", "service/session", "service/static/pages.js"]
)
def test_pages_allow_no_foreign_script(queues: Queues, web: FlaskClient, page: str) -> None:
    root = started(Leaf(1))
    if page not in ("login", "service/session"):
        log_in(web)
    answer = web.get(f"{BASE}/{page.replace('ROOT', root)}")
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'; script-src 'self';" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    text = answer.text
    assert "<style" not in text
    assert " style=" not in text
    assert "<script>" not in text


def test_it_need_not_be_enforced(queues: Queues, web: FlaskClient) -> None:
    root = started(Leaf(1))
    access.set_enforce_auth(False)
    try:
        assert web.get(f"{BASE}/list").status_code == 200
        assert web.get(f"{BASE}/rpc/list", headers=SCRIPT).status_code == 200
        assert web.get(f"{BASE}/rpc/list").status_code == 403
        words = {"pipeline_id": root, "root": root, "attempt": "0"}
        assert web.post(f"{BASE}/run", data=words, headers=SCRIPT).status_code == 403
    finally:
        access.set_enforce_auth(True)
    assert web.get(f"{BASE}/list").status_code == 302


def test_routes_for_other_frameworks(queues: Queues, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFPIPE_TASK_TOKEN", SECRET)
    [(pattern, app)] = create_handlers_map()
    assert pattern == r".*/_ah/pipeline(/.*)?"
    assert app.test_client().get(f"{BASE}/rpc/list", headers=PROOF).status_code == 200
    assert app.test_client().get(f"{BASE}/rpc/list").status_code == 403
