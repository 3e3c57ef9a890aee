"""What a Task takes and refuses."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import taskqueue
from taskqueue import Task, TaskRetryOptions


def test_what_it_has_if_nothing_is_said() -> None:
    task = Task()
    assert (task.method, task.url, task.on_queue_url, task.payload) == ("POST", "", True, None)
    assert (task.name, task.queue_name, task.tag, task.target, task.headers) == (
        (None, None, None, None, {})
    )
    assert (task.retry_count, task.was_enqueued, task.was_deleted) == (0, False, False)
    assert (task.retry_options, task.dispatch_deadline_usec) == (None, None)
    assert abs(task.eta - datetime.now(UTC)) < timedelta(minutes=1)
    assert repr(task).startswith("Task<eta=datetime.datetime(20")
    assert "tag='t'" in repr(Task("x", method="PULL", tag="t"))


def test_text_is_written_as_utf_8() -> None:
    task = Task("é", url="/work", method="put")
    assert (task.payload, task.method) == ("é".encode(), "PUT")
    assert task.headers == {"Content-Type": "text/plain; charset=utf-8"}
    own = Task("é", headers={"content-type": "text/csv"})
    assert own.headers == {"content-type": "text/csv"}
    assert Task(b"\xff").headers == {}


def test_parameters_become_the_body_or_the_query() -> None:
    posted = Task(params={"a": "é", "b": [1, 2]})
    assert posted.payload == b"a=%C3%A9&b=1&b=2"
    assert posted.headers == {"Content-Type": "application/x-www-form-urlencoded"}
    assert Task(url="/x", method="GET", params={"a": b"\xff"}).url == "/x?a=%FF"
    assert Task(url="/x?a=1", method="GET").url == "/x?a=1"
    put = Task("body", url="/x", method="PUT", params={"a": 1})
    assert (put.payload, put.url) == (b"body", "/x?a=1")
    assert Task(method="PULL", params={"a": 1}).payload == b"a=1"


PARAMS = st.dictionaries(
    st.text(min_size=1), st.text() | st.lists(st.text(), min_size=2), min_size=1, max_size=5
)


@given(params=PARAMS, method=st.sampled_from(["GET", "POST", "PULL", "PUT", "DELETE", "HEAD"]))
def test_parameters_are_extracted_as_they_were(params: dict[str, Any], method: str) -> None:
    # Names and values with half a character of two cannot be written as UTF-8 at all.
    try:
        str(params).encode()
    except UnicodeEncodeError:
        return
    task = Task(method=method, params=params, url="" if method == "PULL" else "/x")
    assert task.extract_params() == params


def test_extracting_what_are_no_parameters() -> None:
    assert Task().extract_params() == {}
    assert Task(url="/x", method="GET").extract_params() == {}
    with pytest.raises(ValueError, match="bad query field"):
        Task("x").extract_params()


def test_times() -> None:
    aware = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    eta = datetime.now(UTC) + timedelta(seconds=100)
    task = Task(eta=eta)
    assert (task.eta, task.eta_posix) == (eta, pytest.approx(eta.timestamp()))
    assert Task(eta=eta.replace(tzinfo=None)).eta == eta
    assert Task(eta=aware).eta == datetime(2026, 1, 1, 10, tzinfo=UTC)
    assert abs(Task(countdown=100).eta - eta) < timedelta(minutes=1)
    assert Task(countdown="1.5").eta < Task(countdown=60).eta


MOST_TAG = "é" * 250

ACCEPTED: list[dict[str, Any]] = [
    {"name": "a" * 500},
    {"name": "aZ09_-"},
    {"url": "/" + "a" * 2082},
    {"payload": bytes(102_400 - 4)},
    {"payload": bytes(2**20), "method": "PULL"},
    {"payload": "x", "method": "PULL", "tag": MOST_TAG},
    {"payload": "x", "method": "PULL", "tag": b"bytes"},
    {"countdown": 30 * 86400 - 1},
    {"countdown": -5},
    {"dispatch_deadline_usec": 15_000_000},
    {"dispatch_deadline_usec": 86_400_000_000},
    {"retry_options": TaskRetryOptions()},
]


@pytest.mark.parametrize("kwargs", ACCEPTED)
def test_what_is_just_allowed(kwargs: dict[str, Any]) -> None:
    Task(**kwargs)


PULL = {"payload": "x", "method": "PULL"}
LATER = datetime(2026, 1, 1, tzinfo=UTC)

REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"name": "a" * 501}, taskqueue.InvalidTaskNameError, "give 1 to 500 letters, digits"),
    ({"name": "a b"}, taskqueue.InvalidTaskNameError, "the task's name is 'a b'"),
    ({"name": "a\n"}, taskqueue.InvalidTaskNameError, "the task's name is"),
    ({"url": "/" + "a" * 2083}, taskqueue.InvalidUrlError, "has 2084 characters, at most 2083"),
    ({"url": "http://host/x"}, taskqueue.InvalidUrlError, "give a path that begins with /"),
    ({"url": "//host/x"}, taskqueue.InvalidUrlError, "the URL is '//host/x'"),
    ({"url": "x"}, taskqueue.InvalidUrlError, "the URL is 'x'"),
    ({"url": "/x#y"}, taskqueue.InvalidUrlError, "without host and fragment"),
    ({"payload": bytes(102_397)}, taskqueue.TaskTooLargeError, "has 102401 bytes, at most 102400"),
    (
        {"payload": bytes(102_000), "headers": {"X": "y" * 500}},
        taskqueue.TaskTooLargeError,
        "has 102509 bytes",
    ),
    (
        {"payload": bytes(2**20 + 1), "method": "PULL"},
        taskqueue.TaskTooLargeError,
        "has 1048577 bytes, at most 1048576",
    ),
    ({**PULL, "tag": MOST_TAG + "x"}, taskqueue.InvalidTagError, "has 501 bytes, at most 500"),
    ({**PULL, "tag": b"\xff"}, taskqueue.InvalidTagError, "is not UTF-8"),
    ({"tag": "t"}, taskqueue.InvalidTaskError, "a push task has no tag"),
    ({"method": "PULL"}, taskqueue.InvalidTaskError, "a pull task needs a payload or params"),
    ({**PULL, "url": "/x"}, taskqueue.InvalidTaskError, "a pull task has no url"),
    ({**PULL, "headers": {"a": "b"}}, taskqueue.InvalidTaskError, "a pull task has no headers"),
    ({**PULL, "target": "v"}, taskqueue.InvalidTaskError, "a pull task has no target"),
    ({**PULL, "params": {"a": 1}}, taskqueue.InvalidTaskError, "a PULL task has a payload or"),
    ({"payload": "x", "params": {"a": 1}}, taskqueue.InvalidTaskError, "a POST task has a payl"),
    ({"url": "/x?a=1"}, taskqueue.InvalidTaskError, "the URL of a POST task has no query"),
    (
        {"url": "/x?a=1", "params": {"b": 1}, "method": "GET"},
        taskqueue.InvalidTaskError,
        "the URL has a query and there are params",
    ),
    ({"payload": "x", "method": "GET"}, taskqueue.InvalidTaskError, "a GET task has no payload"),
    ({"payload": 5}, taskqueue.InvalidTaskError, "the payload is 5: give a string or bytes"),
    ({"payload": "\ud800"}, taskqueue.InvalidTaskError, "cannot be written as UTF-8"),
    ({"method": "PATCH"}, taskqueue.InvalidTaskError, "the method is 'PATCH': give one of GET, P"),
    (
        {"target": "v", "headers": {"host": "h"}},
        taskqueue.InvalidTaskError,
        "a target or a header Host, not both",
    ),
    (
        {"headers": {"A": "b\r\nC: d"}},
        taskqueue.InvalidTaskError,
        "cannot be a header: give a name of l",
    ),
    ({"headers": {"A b": "c"}}, taskqueue.InvalidTaskError, "'A b': 'c' cannot be a header"),
    ({"headers": {"": "c"}}, taskqueue.InvalidTaskError, "'': 'c' cannot be a header"),
    ({"headers": {"A": ["b", "\u2603"]}}, taskqueue.InvalidTaskError, "cannot be a header"),
    ({"eta": LATER, "countdown": 1}, taskqueue.InvalidTaskError, "an eta or a countdown, not bo"),
    ({"eta": 5}, taskqueue.InvalidTaskError, "the eta is 5: give a datetime"),
    ({"countdown": "soon"}, taskqueue.InvalidTaskError, "the countdown is 'soon': give a number"),
    ({"countdown": []}, taskqueue.InvalidTaskError, "the countdown is"),
    ({"countdown": float("inf")}, taskqueue.InvalidTaskError, "the countdown is inf"),
    ({"countdown": float("nan")}, taskqueue.InvalidTaskError, "the countdown is nan"),
    ({"countdown": 30 * 86400 + 60}, taskqueue.InvalidEtaError, "more than 30 days from now"),
    ({"eta": datetime(1969, 12, 31)}, taskqueue.InvalidEtaError, "or before 1970"),
    (
        {"dispatch_deadline_usec": 14_999_999},
        taskqueue.InvalidDispatchDeadlineError,
        "is 14999999: give microseconds from 0:00:15 to 1 day",
    ),
    (
        {"dispatch_deadline_usec": 86_400_000_001},
        taskqueue.InvalidDispatchDeadlineError,
        "is 86400000001",
    ),
    ({"dispatch_deadline_usec": 15e6}, TypeError, "give whole microseconds"),
    ({"retry_options": {"task_retry_limit": 1}}, TypeError, "give a TaskRetryOptions"),
    ({"retries": 1}, TypeError, "retries"),
    ({"method": 5}, taskqueue.InvalidTaskError, "the method is '5': give one of GET, POST"),
    ({"method": None}, taskqueue.InvalidTaskError, "the method is 'NONE': give one of"),
    ({"name": 5}, taskqueue.InvalidTaskNameError, "the task's name is 5: give 1 to 500 letters"),
    ({"name": b"x"}, taskqueue.InvalidTaskNameError, "the task's name is b'x'"),
    ({"name": []}, taskqueue.InvalidTaskNameError, r"the task's name is \[\]"),
    ({"url": 5}, taskqueue.InvalidUrlError, "the URL is 5: give a path that begins with /"),
    ({"url": b"/x"}, taskqueue.InvalidUrlError, "the URL is b'/x'"),
    ({"url": "http://["}, taskqueue.InvalidUrlError, "the URL is 'http://\\['"),
    ({"url": "/\ud800"}, taskqueue.InvalidUrlError, "the URL is '/"),
    ({"headers": "ab"}, taskqueue.InvalidTaskError, "headers is 'ab': give a dictionary"),
    ({"headers": {5: "x"}}, taskqueue.InvalidTaskError, "5: 'x' cannot be a header"),
    ({"params": [("a", 1)]}, taskqueue.InvalidTaskError, "params is .*: give a dictionary"),
    ({"params": {"a": "\ud800"}}, taskqueue.InvalidTaskError, "the params have text that cannot"),
    ({"target": 5}, taskqueue.InvalidTaskError, "the target is 5: give the name of a service"),
    ({**PULL, "tag": 5}, TypeError, "the tag is 5: give a string or bytes"),
]


@pytest.mark.parametrize(("kwargs", "error", "message"), REFUSED)
def test_what_is_refused(kwargs: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        Task(**kwargs)
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)
