"""How fast a queue may send, and how dispatchers share that."""

from pathlib import Path
from typing import Any

import pytest
from google.api_core.exceptions import ServiceUnavailable
from hypothesis import given
from hypothesis import strategies as st

from dfpipe.datastore import connect
from taskqueue.push.members import BEAT, EXPIRES, VALID, Members, Place
from taskqueue.push.pacing import Pace, share

SECOND = 1_000_000


@given(
    st.floats(0.01, 500),
    st.integers(1, 500),
    st.lists(st.integers(0, 10 * SECOND), max_size=50),
)
def test_never_more_than_the_bucket_and_what_flowed_in(
    rate: float, size: int, steps: list[int]
) -> None:
    now = 0
    pace = Pace(rate, size, now)
    taken = 0
    for step in steps:
        now += step
        free = pace.available(now)
        assert 0 <= free <= size
        pace.take(free)
        taken += free
        assert taken <= size + rate * now / SECOND + 1e-6


@given(st.floats(0.01, 500), st.integers(1, 500))
def test_the_next_token_is_there_when_it_was_announced(rate: float, size: int) -> None:
    pace = Pace(rate, size, 0)
    pace.take(pace.available(0))
    wait = pace.seconds_to_next()
    assert wait <= 1 / rate + 0.01
    assert pace.available(round(wait * SECOND) + 1) >= 1
    assert pace.seconds_to_next() <= 0.01


def test_a_rate_of_nought_never_sends() -> None:
    pace = Pace(0, 5, 0, tokens=0)
    assert pace.available(10**15) == 0
    assert pace.seconds_to_next() == float("inf")


def test_a_clock_that_goes_back_gives_nothing() -> None:
    pace = Pace(1, 5, 10 * SECOND, tokens=0)
    assert pace.available(5 * SECOND) == 0


def test_the_brake() -> None:
    pace = Pace(64, 1, 0)
    # Many answers of one moment brake once; the strongest brake is a 64th.
    delays = [pace.slow_down(0) for _ in range(5)]
    assert (delays, pace.rate) == ([2.0] * 5, 32)
    for second in range(1, 20):
        last = pace.slow_down(second * SECOND)
    assert (last, pace.rate) == (64.0, 1)
    pace.available(22 * SECOND)
    assert pace.rate == pytest.approx(1.25**3)
    pace.available(100 * SECOND)
    assert pace.rate == 64


def test_limits_may_shrink() -> None:
    pace = Pace(10, 10, 0)
    pace.limit(5, 4)
    assert (pace.available(0), pace.rate) == (4, 5)


@given(st.integers(0, 5000), st.integers(1, 20))
def test_shares_add_up(total: int, members: int) -> None:
    shares = [share(total, rank, members) for rank in range(members)]
    assert sum(shares) == total
    assert max(shares) - min(shares) <= 1


@pytest.fixture
def client(tmp_path: Path) -> Any:
    return connect(f"sqlite:///{tmp_path}/m.db")


def test_one_alone_starts_at_once(client: Any) -> None:
    members = Members(client, 0, "a")
    assert members.place(0, 0) == Place(0, 1)
    assert members.next_beat() == BEAT


def test_who_joins_waits_until_all_have_seen_it(client: Any) -> None:
    first, second = Members(client, 0, "a"), Members(client, 10, "b")
    assert first.place(0, 0) == Place(0, 1)
    assert second.place(10, 10) is None
    assert first.place(BEAT, BEAT) == Place(0, 2)
    assert second.place(10 + VALID - 1, 10 + VALID - 1) is None
    assert second.place(10 + VALID, 10 + VALID) == Place(1, 2)


def test_who_leaves_is_forgotten_at_the_next_beat(client: Any) -> None:
    first, second = Members(client, 0, "a"), Members(client, 10, "b")
    first.place(0, 0)
    second.place(10, 10)
    first.leave()
    assert second.place(10 + VALID, 10 + VALID) == Place(0, 1)


def test_who_dies_is_forgotten_when_its_sign_expires(client: Any) -> None:
    first, second = Members(client, 0, "a"), Members(client, 10, "b")
    first.place(0, 0)
    for now in range(10, EXPIRES, BEAT):
        place = second.place(now, now)
    assert place == Place(1, 2)
    assert second.place(EXPIRES + BEAT, EXPIRES + BEAT) == Place(0, 1)


def test_a_member_is_alive_while_its_sign_changes_whatever_its_clock_says(client: Any) -> None:
    first, second = Members(client, 0, "a"), Members(client, 10, "b")
    first.place(0, 3600 * SECOND)
    second.place(10, 3600 * SECOND)
    for beat in range(1, 20):
        # The first one's clock has stepped back by an hour.
        first.place(beat * BEAT, beat * BEAT)
        second.place(10 + beat * BEAT, 3600 * SECOND + beat * BEAT)
    now = 20 * BEAT
    assert first.place(now, now) == Place(0, 2)
    assert second.place(now + 10, now) == Place(1, 2)


def test_a_dead_member_is_forgotten_though_the_clock_stepped_back(client: Any) -> None:
    first, second = Members(client, 0, "a"), Members(client, 10, "b")
    first.place(0, 3600 * SECOND)
    second.place(10, 3600 * SECOND)
    for beat in range(1, 7):
        place = second.place(10 + beat * BEAT, beat * BEAT)
    assert place == Place(0, 1)


def test_who_cannot_read_stops_and_joins_anew(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Members(client, 0, "a"), Members(client, 0, "b")
    first.place(0, 0)
    second.place(0, 0)
    with monkeypatch.context() as patch:

        def down(_: Any) -> None:
            raise ServiceUnavailable("down")

        patch.setattr(client, "put", down)
        assert first.place(BEAT, BEAT) == Place(0, 1)
        assert first.place(VALID, VALID) is None
    second.place(VALID, VALID)
    assert first.place(VALID + BEAT, VALID + BEAT) is None
    assert first.place(2 * VALID, 2 * VALID) is None
    assert first.place(2 * VALID + BEAT, 2 * VALID + BEAT) == Place(0, 2)
