"""Sealed sessions, login keys that work once, and what remembers that they ended."""

import base64
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dfpipe.datastore import connect
from service import sessions
from service.sessions import Sessions, Spent, SpentInMemory, StoredSpent, login_key, login_link

SECRET = "a-token-of-the-tests"
NOW = 1_800_000_000.0


@pytest.fixture(params=["memory", "store"])
def spent(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Spent]:
    if request.param == "memory":
        yield SpentInMemory()
        return
    client = connect(f"sqlite:///{tmp_path}/a.db")
    yield StoredSpent(client, lambda: NOW)
    client.close()


class Time:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def test_a_session_expires(spent: Spent) -> None:
    clock = Time()
    found = Sessions(SECRET, spent, clock)
    cookie = found.begin()
    assert found.is_valid(cookie)
    clock.now += sessions.SESSION_SECONDS - 1
    assert found.is_valid(cookie)
    clock.now += 1
    assert not found.is_valid(cookie)


def test_a_session_that_was_ended_stays_ended_for_copies_of_its_cookie(spent: Spent) -> None:
    found = Sessions(SECRET, spent, Time())
    one, other = found.begin(), found.begin()
    found.end(one)
    assert (found.is_valid(one), found.is_valid(other)) == (False, True)
    found.end(one)
    found.end("junk")
    # Another process, with the same memory.
    assert not Sessions(SECRET, spent, Time()).is_valid(one)


def test_a_login_key_works_once(spent: Spent) -> None:
    found = Sessions(SECRET, spent, Time())
    key = login_key(SECRET, NOW)
    assert [found.use_key(key), found.use_key(key)] == [True, False]
    late = Sessions(SECRET, spent, lambda: NOW + sessions.KEY_SECONDS)
    assert not late.use_key(login_key(SECRET, NOW))
    assert login_link("http://h:1", SECRET, NOW).startswith("http://h:1/login?key=")


def test_of_several_that_use_a_key_at_once_one_gets_in(spent: Spent) -> None:
    found, key = Sessions(SECRET, spent, Time()), login_key(SECRET, NOW)
    outcomes: list[bool] = []
    together = threading.Barrier(8)

    def use() -> None:
        together.wait(60)
        outcomes.append(found.use_key(key))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(outcomes) == [False] * 7 + [True]


def test_a_cookie_is_no_key_and_a_key_no_cookie() -> None:
    found = Sessions(SECRET, SpentInMemory(), Time())
    assert not found.use_key(found.begin())
    assert not found.is_valid(login_key(SECRET, NOW))


def test_a_session_holds_no_token_and_is_never_the_same() -> None:
    found = Sessions(SECRET, SpentInMemory(), Time())
    cookies = {found.begin() for _ in range(5)}
    assert len(cookies) == 5
    for cookie in cookies:
        assert SECRET.encode() not in base64.urlsafe_b64decode(cookie.partition(".")[0] + "==")


@pytest.mark.parametrize(
    "forge",
    [
        lambda cookie: "",
        lambda cookie: cookie.rpartition(".")[0],
        lambda cookie: f"x{cookie}",
        lambda cookie: Sessions("another-token-of-them", SpentInMemory(), Time()).begin(),
        lambda cookie: "ⅷ.ü.\N{SNOWMAN}",
        lambda cookie: "." * 100_000,
    ],
    ids=["none", "no seal", "longer", "other token", "other letters", "long"],
)
def test_what_is_no_session(forge: Any) -> None:
    found = Sessions(SECRET, SpentInMemory(), Time())
    assert not found.is_valid(forge(found.begin()))


@pytest.mark.parametrize("token", [None, ""])
def test_without_a_token_there_is_no_session(token: str | None) -> None:
    found = Sessions(token, SpentInMemory(), Time())
    assert not found.is_valid(found.begin())
    assert not found.use_key(login_key("", NOW))


def test_what_has_expired_is_forgotten(tmp_path: Path) -> None:
    client, clock = connect(f"sqlite:///{tmp_path}/a.db"), Time()
    spent = StoredSpent(client, clock)
    spent.add("old", NOW + 10)
    clock.now += 11
    spent.add("new", NOW + 100)
    assert ("old" in spent, "new" in spent) == (False, True)
    client.close()


def test_the_names_that_are_documented() -> None:
    assert sessions.COOKIE == "dfpipe_session"
