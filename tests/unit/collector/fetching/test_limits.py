"""Keeping to announced limits."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.fetching.limits import GUESSED_WINDOW, StoredLimits
from collector.rate_limits import Announcement, announcement
from collector.sources import RateLimitedError
from dfpipe.datastore import connect

NOW = datetime(2026, 3, 5, 12, 0, tzinfo=UTC)


class Bench:
    def __init__(self, client: Any) -> None:
        self.client = client
        self.time = NOW
        self.limits = StoredLimits(client, 0, lambda: self.time)

    def take(self, number: int = 1) -> datetime | None:
        """Take some; when more are allowed where there are not so many."""
        for _ in range(number):
            try:
                self.limits.take("b")
            except RateLimitedError as error:
                return error.reset_at
        return None

    def learn(self, remaining: int, limit: int = 10, seconds: int = 300) -> None:
        self.limits.learn("b", headers(limit, remaining, NOW + timedelta(seconds=seconds)))


def headers(limit: int, remaining: int, reset: datetime) -> dict[str, str]:
    values = {"Limit": limit, "Remaining": remaining, "Reset": int(reset.timestamp())}
    return {f"RateLimit-{name}": str(value) for name, value in values.items()}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    client = connect(f"sqlite:///{tmp_path}/store.db")
    yield Bench(client)
    client.close()


RESET = NOW + timedelta(seconds=301)


def test_one_request_learns_the_limit_and_the_others_wait_for_it(bench: Bench) -> None:
    assert bench.take() is None
    assert bench.take() == NOW + timedelta(seconds=1)
    bench.learn(remaining=9)
    assert bench.take(9) is None
    assert bench.take() == RESET


def test_a_request_that_learned_nothing_is_followed_by_another(bench: Bench) -> None:
    bench.take()
    bench.time += GUESSED_WINDOW + timedelta(seconds=1)
    assert bench.take() is None


def test_what_is_announced_counts_where_it_is_less(bench: Bench) -> None:
    bench.take()
    bench.learn(remaining=9)
    bench.take(3)
    bench.learn(remaining=2)
    assert bench.take(2) is None
    assert bench.take() == RESET


def test_answers_may_come_in_any_order(bench: Bench) -> None:
    bench.take()
    bench.learn(remaining=9)
    bench.take(3)
    for remaining in (6, 8, 7):
        bench.learn(remaining)
    assert bench.take(6) is None
    assert bench.take() == RESET


def test_a_new_window_begins_after_the_reset(bench: Bench) -> None:
    bench.take()
    bench.learn(remaining=0)
    bench.time = RESET - timedelta(milliseconds=1)
    assert bench.take() == RESET
    bench.time = RESET
    assert bench.take(10) is None
    assert bench.take() == RESET + GUESSED_WINDOW + timedelta(seconds=1)


def test_requests_on_their_way_count_in_the_next_window(bench: Bench) -> None:
    bench.take()
    bench.learn(remaining=9)
    bench.take(4)
    bench.time = RESET
    assert bench.take(6) is None
    assert bench.take() is not None


def test_requests_on_their_way_count_when_the_server_is_in_its_next_window(bench: Bench) -> None:
    bench.take()
    bench.learn(remaining=9)
    bench.take(4)
    bench.learn(remaining=9, seconds=600)
    assert bench.take(6) is None
    assert bench.take() == NOW + timedelta(seconds=601)


def test_an_answer_of_the_window_before_changes_nothing(bench: Bench) -> None:
    bench.take()
    bench.learn(remaining=5, seconds=600)
    bench.learn(remaining=0, seconds=300)
    assert bench.take(5) is None


def test_no_limit_is_announced(bench: Bench) -> None:
    bench.take()
    bench.limits.learn("b", {})
    assert bench.take(50) is None
    bench.learn(remaining=1)
    assert bench.take(1) is None
    assert bench.take() == RESET


def test_an_answer_that_announces_nothing_changes_nothing(bench: Bench) -> None:
    bench.take()
    bench.learn(remaining=1)
    bench.limits.learn("b", {})
    bench.limits.learn("another", {})
    assert bench.take() is None
    assert bench.take() == RESET


def test_some_are_left_to_others(bench: Bench) -> None:
    bench.limits = StoredLimits(bench.client, 3, lambda: bench.time)
    bench.take()
    bench.learn(remaining=9)
    assert bench.take(6) is None
    assert bench.take() == RESET


def test_a_limit_smaller_than_what_is_left_to_others(bench: Bench) -> None:
    bench.limits = StoredLimits(bench.client, 3, lambda: bench.time)
    bench.take()
    bench.learn(remaining=1, limit=2)
    bench.time = RESET
    assert bench.take() is None


def test_buckets_are_apart(bench: Bench) -> None:
    bench.take()
    bench.learn(remaining=0)
    bench.limits.take("another")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"x-rate-limit-limit": "15", "x-rate-limit-remaining": "3", "x-rate-limit-reset": "60"},
            Announcement(15, 3, datetime(1970, 1, 1, 0, 1, tzinfo=UTC)),
        ),
        (
            {
                "X-RateLimit-Limit": "300",
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": "2026-03-05T12:05:00.000000Z",
            },
            Announcement(300, 0, NOW + timedelta(minutes=5)),
        ),
        ({"RateLimit-Limit": "3", "RateLimit-Remaining": "1"}, None),
        (
            {"RateLimit-Limit": "3", "RateLimit-Remaining": "many", "RateLimit-Reset": "1"},
            None,
        ),
        ({"RateLimit-Limit": "3", "RateLimit-Remaining": "1", "RateLimit-Reset": "soon"}, None),
        ({"RateLimit-Limit": "3", "RateLimit-Remaining": "1", "RateLimit-Reset": "9" * 30}, None),
        (headers(3, 1, NOW + timedelta(days=400)), Announcement(3, 1, NOW + timedelta(days=1))),
        (
            headers(3, 1, NOW - timedelta(minutes=25)) | {"Date": "Thu, 05 Mar 2026 11:30:00 GMT"},
            Announcement(3, 1, NOW + timedelta(minutes=5)),
        ),
        (
            headers(3, 1, NOW + timedelta(minutes=5)) | {"Date": "Thu, 05 Mar 2026 11:59:58 GMT"},
            Announcement(3, 1, NOW + timedelta(minutes=5)),
        ),
        (
            headers(3, 1, NOW + timedelta(minutes=5)) | {"Date": "today"},
            Announcement(3, 1, NOW + timedelta(minutes=5)),
        ),
        ({}, None),
    ],
    ids=[
        "x",
        "mastodon",
        "no-reset",
        "no-number",
        "no-time",
        "endless",
        "far",
        "slow-clock",
        "good-clock",
        "no-date",
        "none",
    ],
)
def test_announcements(given: dict[str, str], expected: Announcement | None) -> None:
    assert announcement(given, NOW) == expected
