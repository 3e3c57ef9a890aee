"""Tasks as entities, and the keys that put them in order."""

from collections import Counter
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from google.cloud.datastore.key import Key
from hypothesis import given
from hypothesis import strategies as st

from taskqueue import TaskRetryOptions
from taskqueue.storage.activity import counted, pruned
from taskqueue.storage.record import (
    LARGEST_INLINE,
    PART,
    Request,
    StoredTask,
    end_of,
    from_entity,
    from_usec,
    generated_name,
    group_prefix,
    is_generated,
    order_key,
    parts,
    to_entity,
    to_usec,
    tombstone,
)
from taskqueue.storage.store import MOST_BYTES, MOST_WRITES, chunks

USEC = st.integers(0, to_usec(datetime(2200, 1, 1, tzinfo=UTC)))
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
QUEUES = st.from_regex(r"[a-zA-Z0-9-]{1,20}", fullmatch=True)


def key(*path: Any) -> Key:
    return Key(*path, project="test")


CLIENT = SimpleNamespace(key=key)

RETRIES = st.builds(TaskRetryOptions, task_retry_limit=st.none() | st.integers(0, 9))
REQUESTS = st.builds(
    Request,
    method=st.sampled_from(["GET", "POST"]),
    url=TEXT,
    headers=st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple),
    target=st.none() | TEXT,
    deadline_seconds=st.none() | st.floats(15, 86400),
)


@st.composite
def tasks(draw: st.DrawFn) -> StoredTask:
    tried = draw(st.booleans())
    dead = draw(st.none() | USEC)
    return StoredTask(
        queue=draw(QUEUES),
        name=draw(st.from_regex(r"[a-zA-Z0-9_-]{1,30}", fullmatch=True)),
        eta=draw(USEC),
        due=draw(USEC) if dead is None else dead,
        enqueued=draw(USEC),
        payload=draw(st.binary(max_size=50)),
        tag=draw(st.none() | TEXT.filter(bool)),
        request=draw(st.none() | REQUESTS),
        retry_options=draw(st.none() | RETRIES),
        leased=draw(st.booleans()) if dead is None else False,
        retries=draw(st.integers(0, 99)),
        executions=draw(st.integers(0, 99)) if tried else 0,
        first_try=draw(USEC) if tried else None,
        status=draw(st.none() | st.integers(100, 599)) if tried else None,
        reason=draw(st.none() | TEXT) if tried else None,
        dead=dead,
    )


@given(task=tasks())
def test_a_task_comes_back_from_its_entity(task: StoredTask) -> None:
    assert from_entity(to_entity(task, CLIENT)) == task


def test_a_tombstone_is_no_task() -> None:
    assert from_entity(tombstone(key("TaskqueueTask", "q/n"), from_usec(0))) is None


@given(a=USEC, b=USEC, queue=QUEUES)
def test_order_keys_are_in_order_of_time(a: int, b: int, queue: str) -> None:
    prefix = f"{queue}/"
    assert (order_key(prefix, a) < order_key(prefix, b)) == (a < b)
    assert prefix <= order_key(prefix, a) < end_of(prefix)


@given(a=st.tuples(QUEUES, TEXT), b=st.tuples(QUEUES, TEXT), at=USEC)
def test_no_tags_keys_stand_among_anothers(a: Any, b: Any, at: int) -> None:
    low, high = group_prefix(*a).encode(), end_of(group_prefix(*a)).encode()
    found = order_key(group_prefix(*b), at).encode()
    assert (low <= found < high) == (a == b)


@given(usec=USEC, number=st.integers(0), random=st.integers(0))
def test_generated_names_are_known_as_such(usec: int, number: int, random: int) -> None:
    assert is_generated(generated_name(usec, number, random))
    assert generated_name(usec, number, random) < generated_name(usec + 1, number, random)


def test_given_names_are_not_taken_for_generated_ones() -> None:
    name = generated_name(0, 0, 0)
    assert not any(is_generated(each) for each in ("a", name + "0", name[1:], name.upper()))


@given(time=st.datetimes(timezones=st.just(UTC)))
def test_times_come_back(time: datetime) -> None:
    assert from_usec(to_usec(time)) == time


@given(size=st.integers(LARGEST_INLINE + 1, 2**20))
def test_a_large_payload_is_cut_into_parts(size: int) -> None:
    payload = bytes(range(256)) * (size // 256) + bytes(size % 256)
    task = StoredTask(queue="q", name="n", eta=0, due=0, enqueued=0, payload=payload, parted=size)
    found = parts(task, CLIENT)
    assert b"".join(part["data"] for part in found) == payload
    assert all(0 < len(part["data"]) <= PART for part in found)
    assert to_entity(task, CLIENT)["payload"] == b""


@given(sizes=st.lists(st.integers(0, 3 * 2**20), max_size=30))
def test_commits_are_cut_by_size(sizes: list[int]) -> None:
    found = list(chunks(sizes, lambda size: size))
    assert [size for chunk in found for size in chunk] == sizes
    assert all(sum(chunk) <= MOST_BYTES for chunk in found)


def test_commits_are_cut_by_number() -> None:
    assert [len(chunk) for chunk in chunks(range(1001))] == [MOST_WRITES, MOST_WRITES, 1]
    assert list(chunks([])) == []


@given(times=st.lists(st.integers(0, 10_000)), now=st.integers(0, 10_000))
def test_what_was_done_lately_is_counted(times: list[int], now: int) -> None:
    slots = Counter(time // 5 for time in times if time <= now)
    found = counted(slots, 5, now, 60)
    assert found == counted(pruned(slots, 5, now, 60), 5, now, 60)
    assert sum(now - 55 <= time <= now for time in times) <= found
    assert found <= sum(now - 65 < time <= now for time in times)
