"""What /ingest takes from a body, and the tasks that it makes of it."""

import json
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.ingest.intake import (
    MOST_LINE,
    MOST_POSTS,
    Refusal,
    RefusedBodyError,
    read_body,
    tasks_of,
)
from collector.ingest.worker import BATCH_POSTS, batches, read_line
from dfpipe.posts.formats.result import Skip
from dfpipe.posts.post import Post
from taskqueue import Task
from taskqueue.limits import MAX_PULL_TASK_SIZE_BYTES
from tests.support.collectors import GOOD

POST = Post(7, "anna", "Storm", datetime(2026, 1, 7, 11, tzinfo=UTC))


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


def posts(data: bytes) -> list[Any]:
    return [read_line(line).result for line in read_body(data).lines]


def test_one_post_a_list_and_lines_are_the_same() -> None:
    other = {**GOOD, "tid": "8", "urls": "https://example.com/"}
    pair = [POST, Post(8, "anna", "Storm", POST.created_at, ("https://example.com/",))]
    assert posts(body(GOOD)) == [POST]
    assert posts(body([GOOD, other])) == pair
    assert posts(body(GOOD) + b"\n" + body(other) + b"\n") == pair
    assert posts(json.dumps([GOOD, other], indent=2).encode()) == pair
    assert posts(b"\n" + body([GOOD]) + b"\r\n" + body(other)) == pair
    assert posts(b"[]") == []


def test_the_good_ones_are_taken_and_the_others_told_with_their_places() -> None:
    found = read_body(body([GOOD, {**GOOD, "text": 1}, 3, GOOD, {"tid": 1}, None, [GOOD]]))
    assert len(found.lines) == 2
    assert found.refused == [
        Refusal(1, "text is not a string"),
        Refusal(2, "not a JSON object"),
        Refusal(4, "created_at is missing"),
        Refusal(5, "not a JSON object"),
        Refusal(6, "not a JSON object"),
    ]


def test_a_broken_line_does_not_stop_the_others() -> None:
    found = read_body(body(GOOD) + b'\n{"tid": \n\n' + body({**GOOD, "tid": 8}))
    assert len(found.lines) == 2
    assert found.refused == [Refusal(1, "broken JSON")]


UNREADABLE = {
    "nothing": (b"", "the body is empty"),
    "blanks": (b" \n ", "the body is empty"),
    "no JSON": (b"tid=1&text=x", "cannot be read: broken JSON"),
    "cut off": (b'[{"tid": 1', "cannot be read: broken JSON"),
    "no text": (b"\xff\xff", "cannot be read: not UTF-8"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_is_no_json_is_refused_whole(case: str) -> None:
    data, message = UNREADABLE[case]
    with pytest.raises(RefusedBodyError, match=message) as raised:
        read_body(data)
    assert raised.value.status == 400


@pytest.mark.parametrize("form", ["list", "lines"])
def test_more_than_the_limit_is_refused_whole(form: str) -> None:
    many = [{**GOOD, "tid": tid} for tid in range(1, MOST_POSTS + 2)]
    data = body(many) if form == "list" else b"\n".join(map(body, many))
    with pytest.raises(RefusedBodyError, match="over 500 posts: send them in parts") as raised:
        read_body(data)
    assert raised.value.status == 413
    most = body(many[1:]) if form == "list" else b"\n".join(map(body, many[1:]))
    assert len(read_body(most).lines) == MOST_POSTS


def test_a_post_that_no_task_can_carry_is_refused() -> None:
    # Written as JSON, each of these characters is two.
    found = read_body(body({**GOOD, "text": '"' * 500_000}))
    assert found.refused == [Refusal(0, "the post is over 900,000 bytes")]
    (line,) = read_body(body({**GOOD, "text": "x" * 890_000})).lines
    assert len(line) <= MOST_LINE


@given(st.lists(st.integers(1, MOST_LINE), max_size=20))
def test_tasks_carry_all_lines_in_their_order(sizes: list[int]) -> None:
    lines = [bytes([65 + n]) * (size - 1) + b"\n" for n, size in enumerate(sizes)]
    payloads = [task.payload or b"" for task in tasks_of(lines)]
    assert b"".join(payloads) == b"".join(lines)
    assert all(0 < len(payload) <= MAX_PULL_TASK_SIZE_BYTES for payload in payloads)
    assert all(len(a) + len(b) > MOST_LINE for a, b in pairwise(payloads))


@given(st.lists(st.integers(0, 600), max_size=30))
def test_leased_tasks_are_stored_some_posts_at_a_time(sizes: list[int]) -> None:
    tasks = [Task(b"{}\n" * size or b"x", method="PULL") for size in sizes]
    cut = list(batches(tasks))
    assert [task for some in cut for task in some] == tasks
    posts = [[(task.payload or b"").count(b"\n") for task in some] for some in cut]
    assert all(sum(some) >= BATCH_POSTS for some in posts[:-1])
    assert all(sum(some[:-1]) < BATCH_POSTS for some in posts)


TEXT = st.text(st.characters(codec="utf-8"), max_size=50)


@given(
    st.integers(1, 2**63 - 1),
    TEXT,
    TEXT,
    st.datetimes(datetime(1970, 1, 2), datetime(2261, 12, 30), timezones=st.just(UTC)),
    st.lists(TEXT.filter(bool), max_size=3),
)
def test_what_is_taken_comes_out_as_it_was(
    tid: int, user: str, text: str, created_at: datetime, urls: list[str]
) -> None:
    given = {"tid": tid, "user": user, "text": text, "urls": urls}
    (line,) = read_body(body({**given, "created_at": created_at.isoformat()})).lines
    assert line.count(b"\n") == 1
    assert line.splitlines() == [line[:-1]]
    assert read_line(line).result == Post(tid, user, text, created_at, tuple(urls))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        found = read_body(data)
    except RefusedBodyError:
        return
    assert found.lines == []
    assert [refused.index for refused in found.refused] == list(range(len(found.refused)))


@pytest.mark.parametrize(
    ("line", "reason"),
    [(b"{", "broken JSON"), (b"3", "not a JSON object"), (b'{"tid": 1}', "created_at is missing")],
)
def test_a_line_that_another_program_put_on_the_queue(line: bytes, reason: str) -> None:
    assert read_line(line).result == Skip(reason)
