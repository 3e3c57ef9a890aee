"""One attempt at a push task: the request, and what its answer means."""

import json
import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from google.auth.exceptions import GoogleAuthError

from service.logging import JsonFormatter
from taskqueue import TaskRetryOptions
from taskqueue.errors import UsageError
from taskqueue.push.sending import Answer, Sender, headers_of, outcome_of, parse_targets
from taskqueue.storage.leasing import Outcome, Verdict
from taskqueue.storage.record import Request, StoredTask
from tests.support.http_handler import Request as Received
from tests.support.http_handler import serving

SECOND = 1_000_000
TASK = StoredTask(
    queue="q",
    name="t",
    eta=5 * SECOND + 25,
    due=60 * SECOND,
    enqueued=0,
    payload=b"body",
    request=Request("POST", "/work"),
    leased=True,
    retries=1,
    first_try=0,
)


def test_the_headers_of_a_first_attempt() -> None:
    assert headers_of(TASK, {}) == {
        "X-AppEngine-QueueName": "q",
        "X-AppEngine-TaskName": "t",
        "X-AppEngine-TaskRetryCount": "0",
        "X-AppEngine-TaskExecutionCount": "0",
        "X-AppEngine-TaskETA": "5.000025",
        "X-AppEngine-Current-Namespace": "",
        "Content-Type": "application/octet-stream",
        "User-Agent": "AppEngine-Google; (+http://code.google.com/appengine)",
    }


def test_the_headers_of_a_retry() -> None:
    task = TASK._replace(retries=3, executions=2, status=500, reason="the handler answered 500")
    headers = headers_of(task, {})
    assert headers["X-AppEngine-TaskRetryCount"] == "2"
    assert headers["X-AppEngine-TaskExecutionCount"] == "2"
    assert headers["X-AppEngine-TaskPreviousResponse"] == "500"
    assert headers["X-AppEngine-TaskRetryReason"] == "the handler answered 500"


def test_the_namespace_is_told_and_cannot_be_forged() -> None:
    forged = Request("POST", "/work", (("X-AppEngine-Current-Namespace", "forged"),))
    headers = headers_of(TASK._replace(request=forged), {}, "tenant")
    assert headers["X-AppEngine-Current-Namespace"] == "tenant"


def test_a_reason_fits_into_a_header() -> None:
    task = TASK._replace(retries=2, reason="no credentials:\r\nX-Forged: é")
    reason = headers_of(task, {})["X-AppEngine-TaskRetryReason"]
    assert reason == "no credentials: X-Forged: ?"


def test_a_tasks_own_headers() -> None:
    own = (
        ("X-Own", "1"),
        ("content-type", "text/x"),
        ("x-appengine-queuename", "forged"),
        ("X-AppEngine-Else", "forged"),
        ("authorization", "forged"),
        ("User-Agent", "own"),
    )
    task = TASK._replace(request=Request("POST", "/work", own))
    headers = headers_of(task, {"Authorization": "Bearer real"})
    assert headers["X-Own"] == "1"
    assert headers["User-Agent"] == "own"
    assert headers["Authorization"] == "Bearer real"
    assert "forged" not in headers.values()
    assert "Content-Type" not in headers
    # Where the dispatcher proves nothing, a task may bring a proof of its own.
    assert headers_of(task, {})["authorization"] == "forged"


FRAMING = {
    "Content-Length": "3",
    "Transfer-Encoding": "chunked",
    "Host": "evil.example",
    "Connection": "close, X-Own",
    "Keep-Alive": "timeout=1",
    "Proxy-Connection": "close",
    "Proxy-Authorization": "Basic eA==",
    "TE": "trailers",
    "Trailer": "X-Own",
    "Upgrade": "websocket",
    "Expect": "100-continue",
    "X-Google-Real": "forged",
    # What WSGI servers take for the names with hyphens.
    "X_AppEngine_QueueName": "forged",
    "Content_Length": "3",
}


@pytest.mark.parametrize("name", FRAMING)
@pytest.mark.parametrize("write", [str, str.lower, str.upper], ids=["as is", "lower", "upper"])
def test_framing_headers_are_the_senders_alone(name: str, write: Callable[[str], str]) -> None:
    own = ((write(name), FRAMING[name]), ("X-Own", "1"))
    headers = headers_of(TASK._replace(request=Request("POST", "/work", own)), {})
    assert headers == headers_of(TASK, {}) | {"X-Own": "1"}


@pytest.mark.parametrize("method", ["POST", "PUT", "GET", "DELETE"])
def test_a_task_cannot_smuggle_a_request(method: str) -> None:
    """What a payload says is a body, whatever the task's own headers say of its length."""
    payload = b"abcPOST /admin HTTP/1.1\r\nX-Ignore: "
    smuggling = TASK._replace(
        payload=payload if method in ("POST", "PUT") else b"",
        request=Request(method, "/first", tuple(FRAMING.items())),
    )
    with serving() as handler:
        send = Sender({"": handler.url}, lambda url: {"Authorization": "Bearer ours"})
        answers = [send(task, None) for task in (smuggling, TASK)]
    assert answers == [Answer(200), Answer(200)]
    assert handler.paths() == ["/first", "/work"]
    assert handler.requests[0].body == smuggling.payload
    assert handler.requests[0].headers["Host"] == handler.url.removeprefix("http://")


def outcome(answer: Answer, task: StoredTask = TASK, **retry: Any) -> Outcome:
    options = TaskRetryOptions(**retry) if retry else None
    return outcome_of(task, answer, options, 100 * SECOND, throttle=8)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_every_2xx_is_success(status: int) -> None:
    assert outcome(Answer(status)) == Outcome(TASK, Verdict.DONE, status=status)


@pytest.mark.parametrize("status", [100, 199, 300, 302, 400, 404, 408, 429, 500, 504])
def test_all_else_is_failure(status: int) -> None:
    result = outcome(Answer(status))
    assert (result.verdict, result.status) == (Verdict.RETRY, status)
    assert result.reason == f"the handler answered {status}"
    assert result.eta == 100 * SECOND + SECOND // 10


def test_503_is_no_failure() -> None:
    # It is none either for a task that must not fail any more.
    assert outcome(Answer(503), task_retry_limit=0) == Outcome(
        TASK, Verdict.RELEASE, eta=108 * SECOND
    )


def test_no_answer_is_failure() -> None:
    result = outcome(Answer(None, "no answer: ProtocolError"))
    assert (result.verdict, result.status) == (Verdict.RETRY, None)
    assert result.reason == "no answer: ProtocolError"


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(1, 2), (2, 4), (3, 8), (4, 16), (5, 32), (6, 35), (99, 35)]
)
def test_the_backoff(attempt: int, seconds: int) -> None:
    retry = {"min_backoff_seconds": 2, "max_backoff_seconds": 35, "max_doublings": 3}
    result = outcome(Answer(500), TASK._replace(retries=attempt), **retry)
    assert result.eta == (100 + seconds) * SECOND


@pytest.mark.parametrize(
    ("limits", "is_dead"),
    [
        ({"task_retry_limit": 2}, True),
        ({"task_retry_limit": 3}, False),
        ({"task_age_limit": 99}, True),
        ({"task_age_limit": 100}, False),
        ({"task_retry_limit": 2, "task_age_limit": 99}, True),
        ({"task_retry_limit": 3, "task_age_limit": 99}, False),
        ({"task_retry_limit": 2, "task_age_limit": 100}, False),
    ],
)
def test_both_limits_must_be_passed(limits: dict[str, int], is_dead: bool) -> None:
    # The third attempt has failed, 100 seconds after the first began.
    result = outcome(Answer(500), TASK._replace(retries=3), **limits)
    assert (result.verdict is Verdict.DEAD) is is_dead


def test_a_tasks_own_options_come_first() -> None:
    task = TASK._replace(retry_options=TaskRetryOptions(task_retry_limit=5))
    assert outcome(Answer(500), task, task_retry_limit=0).verdict is Verdict.RETRY


def test_targets() -> None:
    assert parse_targets({"": "http://h:1/", "w": "https://w.example/base"}) == {
        "": "http://h:1",
        "w": "https://w.example/base",
    }
    for url in ("h:1", "ftp://h", "http://", "http://h/?a=b", ""):
        with pytest.raises(UsageError, match=r"--target .*: give http://HOST:PORT, or NAME=http"):
            parse_targets({"": url})


def sender(url: str, **kwargs: Any) -> Sender:
    return Sender({"": url, "other": f"{url}/base"}, lambda base: {"Authorization": base}, **kwargs)


def test_requests_arrive_as_the_task_says() -> None:
    with serving() as handler:
        send = sender(handler.url)
        for method in ("GET", "HEAD", "DELETE"):
            task = TASK._replace(payload=b"", request=Request(method, "/work?a=%20b"))
            assert send(task, None) == Answer(200)
        assert send(TASK._replace(payload=bytes(range(256))), None) == Answer(200)
        assert send(TASK._replace(payload=b"", request=Request("PUT", "/p")), None) == Answer(200)
    got = [(r.method, r.path, r.body) for r in handler.requests]
    assert got == [
        ("GET", "/work?a=%20b", b""),
        ("HEAD", "/work?a=%20b", b""),
        ("DELETE", "/work?a=%20b", b""),
        ("POST", "/work", bytes(range(256))),
        ("PUT", "/p", b""),
    ]
    assert {r.headers["Authorization"] for r in handler.requests} == {handler.url}


def test_targets_are_chosen_by_task_then_queue() -> None:
    with serving() as handler:
        send = sender(handler.url)
        named = TASK._replace(request=Request("POST", "/work", target="other"))
        assert send(named, None) == send(TASK, "other") == Answer(200)
        unknown = TASK._replace(request=Request("POST", "/work", target="nowhere"))
        answer = send(unknown, "other")
        own = TASK._replace(request=Request("POST", "/work", target=""))
        assert send(own, "nowhere") == Answer(200)
    assert handler.paths() == ["/base/work"] * 2 + ["/work"]
    assert answer == Answer(None, "no target is named 'nowhere': give --target nowhere=URL")


def test_redirects_are_not_followed() -> None:
    with serving(lambda request: 302) as handler:
        assert sender(handler.url)(TASK, None) == Answer(302)
    assert len(handler.requests) == 1


def test_a_handler_that_hangs_up_is_no_answer() -> None:
    with serving(lambda request: 0) as handler:
        answer = sender(handler.url)(TASK, None)
    assert answer == Answer(None, "no answer: ProtocolError")


def test_a_handler_that_is_not_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        assert sender(url)(TASK, None) == Answer(None, f"no connection to {url}")


def test_the_deadline() -> None:
    done = threading.Event()

    def never(request: Received) -> int:
        done.wait(30)
        return 200

    with serving(never) as handler:
        own = TASK._replace(request=Request("POST", "/work", deadline_seconds=0.05))
        assert sender(handler.url)(own, None) == Answer(None, "no whole answer in 0.05 seconds")
        answer = sender(handler.url, deadline=0.06)(TASK, None)
        assert answer == Answer(None, "no whole answer in 0.06 seconds")
        done.set()


def raw_server(data: bytes) -> tuple[socket.socket, str]:
    """A server that answers each connection with these bytes and keeps it open."""
    server = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        connection, _ = server.accept()
        with connection, suppress(ConnectionError):
            asked = b""
            while not asked.endswith(TASK.payload):
                asked += connection.recv(2**16)
            connection.sendall(data)
            connection.recv(1)

    threading.Thread(target=run, daemon=True).start()
    return server, f"http://127.0.0.1:{server.getsockname()[1]}"


def test_an_answer_that_never_ends() -> None:
    server, url = raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
    with server:
        answer = sender(url, deadline=0.1)(TASK, None)
    assert answer == Answer(None, "no whole answer in 0.1 seconds")


DRIPPED = {
    "a body": (b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b"x"),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "until the end": (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"x"),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "one header": (b"HTTP/1.1 200 OK\r\nX: ", b"y"),
    "the status": (b"", b"H"),
}


@pytest.mark.parametrize("name", DRIPPED)
def test_a_dripping_answer_is_cut_at_the_deadline(name: str) -> None:
    """Each read is quick; the deadline is for the whole."""
    begin, drop = DRIPPED[name]
    closed = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        connection, _ = server.accept()
        with connection, suppress(ConnectionError):
            connection.recv(2**16)
            connection.sendall(begin)
            for _ in range(3000):
                connection.sendall(drop)
                closed.wait(0.02)
        closed.set()

    threading.Thread(target=run, daemon=True).start()
    with server:
        answer = sender(f"http://127.0.0.1:{server.getsockname()[1]}", deadline=0.2)(TASK, None)
        assert answer == Answer(None, "no whole answer in 0.2 seconds")
        assert not closed.is_set()
        closed.set()


def test_a_huge_answer_is_not_read_to_its_end() -> None:
    server, url = raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" + b"x" * 2**21)
    with server:
        assert sender(url)(TASK, None) == Answer(200)


def test_credentials_that_cannot_be_had() -> None:
    def refused(url: str) -> dict[str, str]:
        raise GoogleAuthError("no service account")

    answer = Sender({"": "http://h"}, refused)(TASK, None)
    assert answer == Answer(None, "no credentials: no service account")


def test_a_log_line_is_one_json_object() -> None:
    record = logging.makeLogRecord(
        {"name": "n", "msg": "a %s", "args": ("b\nc",), "levelname": "INFO", "created": 0.0}
    )
    record.queue = "q"
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:00+00:00",
        "severity": "INFO",
        "logger": "n",
        "message": "a b\nc",
        "queue": "q",
    }
