"""Accounts, posts and dead letters of the collector in a store, on both stores."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from google.cloud.datastore import Entity

from collector import sources
from collector.fetching.accounts import UNFOLLOWED, Accounts, parse_account
from collector.fetching.dead_letters import MOST_BYTES, DeadLetters, letter_entity
from dfpipe.errors import UsageError
from dfpipe.posts.exporting import export_lines
from dfpipe.posts.post import KIND, Post
from dfpipe.posts.storing import MOST_WRITES, Stored, store

NOW = datetime(2026, 3, 5, 12, 0, tzinfo=UTC)


def post(tid: int, text: str = "text", user: str = "anna") -> Post:
    return Post(tid, user, text, NOW + timedelta(microseconds=tid), ("https://a.test/",))


def texts(client: Any) -> dict[int, str]:
    return {entity.key.id: entity["text"] for entity in client.query(kind=KIND).fetch()}


# Posts


def put(client: Any, posts: Iterable[Post], removed: Iterable[int] = (), **also: Any) -> Stored:
    return store(client, posts, removed, now=NOW, **also)


def test_posts_are_new_then_seen_then_replaced(client: Any) -> None:
    posts = [post(tid) for tid in range(1, 4)]
    assert put(client, posts) == Stored(new=3)
    assert put(client, posts) == Stored(seen=3)
    assert put(client, [*posts[:2], post(3, "longer text")]) == Stored(seen=2, replaced=1)
    assert put(client, [post(3, "cut")]) == Stored(seen=1)
    assert texts(client) == {1: "text", 2: "text", 3: "longer text"}
    assert len(list(export_lines(client))) == 3


def test_a_newer_version_replaces_and_an_older_one_does_not(client: Any) -> None:
    put(client, [post(1, "as it was first written")])
    edits = [replace(post(1, "e" * n), edited_at=NOW + timedelta(hours=3 - n)) for n in (1, 2)]
    assert put(client, edits[1:]) == Stored(replaced=1)
    assert put(client, edits[:1]) == Stored(replaced=1)
    assert put(client, [post(1, "as it was first written"), *edits]) == Stored(seen=3)
    assert texts(client) == {1: "e"}


def test_what_is_written_says_when_and_what_is_equal_is_not_written(client: Any) -> None:
    def stored_at() -> datetime:
        found: datetime = client.get(client.key(KIND, 1))["stored_at"]
        return found

    store(client, [post(1)], now=NOW)
    store(client, [post(1)], now=NOW + timedelta(hours=1))
    assert stored_at() == NOW
    store(client, [post(1, "longer")], now=NOW + timedelta(hours=1))
    assert stored_at() == NOW + timedelta(hours=1)
    # Whoever keeps `stored_at` sees the change, also where a clock was set back.
    store(client, [post(1, "longer yet")], now=NOW)
    assert stored_at() == NOW + timedelta(hours=1, microseconds=1)


def test_what_is_removed_is_not_stored(client: Any) -> None:
    put(client, [post(1), post(2)])
    done = put(client, [post(2, "again"), post(3)], [2, 3, 4])
    assert done == Stored(removed=1)
    assert texts(client) == {1: "text"}


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_of_one_id_the_same_form_stays_in_any_order(client: Any, order: tuple[int, ...]) -> None:
    forms = [post(1, "cut"), post(1, "cut no more"), replace(post(1, "new"), edited_at=NOW)]
    done = put(client, [forms[number] for number in order])
    assert (done.new, done.replaced + done.seen) == (1, 2)
    assert texts(client) == {1: "new"}


def test_nothing_to_store(client: Any) -> None:
    assert put(client, []) == Stored()


def test_batches_are_of_500_writes_at_most_and_the_last_takes_what_is_also_done(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = commits(client, monkeypatch)
    key = client.key("Mark", "one")

    def also(stored: Stored) -> None:
        entity = Entity(key)
        entity["new"] = stored.new
        client.put(entity)

    number = 2 * MOST_WRITES + 7
    done = put(client, [post(tid) for tid in range(1, number + 1)], also=also)
    assert done == Stored(new=number)
    assert client.get(key)["new"] == number
    assert max(sizes) <= MOST_WRITES
    assert len(sizes) == 3


def test_batches_are_cut_by_size_too(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = commits(client, monkeypatch)
    posts = [post(tid, "é" * 450_000) for tid in range(1, 11)]
    put(client, posts)
    assert sizes == [2, 2, 2, 2, 2]
    # What is there is read whole, to see whether it has changed.
    assert put(client, posts) == Stored(seen=10)


def commits(client: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many writes each transaction makes from now on."""
    sizes: list[int] = []
    begin = client.transaction

    def transaction(**options: Any) -> Any:
        sizes.append(0)
        return begin(**options)

    def counted(name: str) -> Any:
        write = getattr(client, name)

        def counting(*args: Any, **kwargs: Any) -> None:
            (what,) = args or (kwargs["entities"],)
            if client.current_transaction is not None:
                sizes[-1] += len(what) if isinstance(what, list) else 1
            write(*args, **kwargs)

        return counting

    monkeypatch.setattr(client, "transaction", transaction)
    # Google's put calls put_multi.
    is_google = type(client).__module__.startswith("google")
    for name in (
        ("put_multi", "delete_multi") if is_google else ("put", "put_multi", "delete_multi")
    ):
        monkeypatch.setattr(client, name, counted(name))
    return sizes


def test_what_is_also_done_undoes_the_batch_when_it_raises(client: Any) -> None:
    def also(stored: Stored) -> None:
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        put(client, [post(1)], also=also)
    assert texts(client) == {}


# Accounts


def test_follow_and_unfollow(client: Any) -> None:
    accounts = Accounts(client)
    assert accounts.follow("x:@NASA", NOW)
    assert not accounts.follow("x:@nasa", NOW)
    account = accounts.get("x:@nasa")
    assert account is not None
    assert (account.source, account.name, account.followed_at) == ("x", "@nasa", NOW)
    assert accounts.unfollow("x:@nasa")
    assert not accounts.unfollow("x:@nasa")
    assert not accounts.unfollow("x:@other")
    assert [a.reason for a in accounts.all()] == [UNFOLLOWED]
    assert list(accounts.active()) == []


def test_an_account_that_is_followed_again_goes_on_where_it_stopped(client: Any) -> None:
    accounts = Accounts(client)
    accounts.follow("x:home", NOW)
    account = accounts.get("x:home")
    assert account is not None
    accounts.put(replace(account, watermark="7", posts=3))
    accounts.disable("x:home", "401", NOW)
    disabled = accounts.get("x:home")
    assert disabled is not None
    assert (disabled.is_active, disabled.reason, disabled.errors) == (False, "401", 1)
    assert accounts.follow("x:home", NOW + timedelta(days=1))
    again = accounts.get("x:home")
    assert again == replace(account, watermark="7", posts=3, last_fetch=NOW)


def test_a_disabled_account_may_be_unfollowed(client: Any) -> None:
    accounts = Accounts(client)
    accounts.follow("x:home", NOW)
    accounts.disable("x:home", "401", NOW)
    assert accounts.unfollow("x:home")
    assert [account.reason for account in accounts.all()] == [UNFOLLOWED]


def test_errors_are_counted_and_cut(client: Any) -> None:
    accounts = Accounts(client)
    accounts.failed("x:home", "nobody follows it", NOW)
    accounts.follow("x:home", NOW)
    accounts.failed("x:home", "e" * 5_000, NOW)
    accounts.failed("x:home", "f" * 5_000, NOW)
    (account,) = accounts.all()
    assert (account.errors, account.error, account.last_fetch) == (2, "f" * 1_000, NOW)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("x:home", "home"),
        ("x:@NASA_1", "@nasa_1"),
        ("bluesky:timeline", "timeline"),
        ("bluesky:Alice.bsky.social", "alice.bsky.social"),
        ("bluesky:@alice.test", "alice.test"),
        ("bluesky:did:plc:abc123", "did:plc:abc123"),
        (
            "bluesky:list/at://did:plc:a/app.bsky.graph.list/3",
            "list/at://did:plc:a/app.bsky.graph.list/3",
        ),
        ("bluesky:search/red: shoes", "search/red: shoes"),
        ("mastodon:home", "home"),
        ("mastodon:public", "public"),
        ("mastodon:@User@Host.test", "user@host.test"),
        ("mastodon:#Tägs", "#tägs"),
        ("archive:/a/../b/c.jsonl", "/b/c.jsonl"),
    ],
)
def test_names_of_accounts(given: str, name: str) -> None:
    assert parse_account(given) == (given.partition(":")[0], name)


@pytest.mark.parametrize(
    "given",
    [
        *("", "x", "x:", "x:nasa", "x:@", "x:@a-b", "x:@" + "a" * 16, "y:home", "X:home"),
        *("bluesky:alice", "bluesky:search/ ", "bluesky:list/x", "bluesky:a b.c", "mastodon:"),
        *("mastodon:#", "mastodon:#a b", "mastodon:a@b@c", "archive:relative", "archive:"),
        *("sources:home", "__init__:home", "x:@" + "a" * 2000, "mastodon:a\nb", "x:home\n"),
    ],
)
def test_what_is_no_account(given: str) -> None:
    with pytest.raises(
        UsageError, match="(expected one of archive:/.*x:home, x:@NAME|give SOURCE:NAME)"
    ):
        parse_account(given)


# Dead letters


def keep(client: Any, raw: object, account: str = "archive:/a", name: str = "") -> None:
    client.put(letter_entity(client, account, raw, "broken", NOW, name))


def test_dead_letters_are_listed_read_again_and_removed(client: Any) -> None:
    good = {"tid": 5, "user": "anna", "text": "t", "created_at": "2026-03-05T12:00:00Z"}
    keep(client, good)
    keep(client, {"tid": "no"})
    letters = DeadLetters(client)
    assert len(list(letters.list())) == 2
    assert len(list(letters.list(1))) == 1
    replayed = letters.replay(letters.list(), NOW)
    assert (replayed.read, replayed.kept, replayed.stored) == (1, 1, Stored(new=1))
    assert texts(client) == {5: "t"}
    (left,) = letters.list()
    assert (left.raw, left.error, left.time) == (b'{"tid":"no"}', "broken", NOW)
    assert letters.get(left.id) == left
    assert letters.remove([left.id, "another"]) == 1
    assert list(letters.list()) == []


def test_the_same_thing_is_kept_once(client: Any) -> None:
    keep(client, {"a": 1})
    keep(client, {"a": 1})
    keep(client, {"a": 1}, "archive:/b")
    keep(client, {"likes": 1}, name="p1")
    keep(client, {"likes": 2}, name="p1")
    assert len(list(DeadLetters(client).list())) == 3


def test_what_is_too_large_is_cut(client: Any) -> None:
    import random

    keep(client, random.Random(1).randbytes(2 * MOST_BYTES).hex())
    letters = DeadLetters(client)
    (letter,) = letters.list()
    assert (letter.is_whole, len(letter.raw)) == (False, MOST_BYTES)
    assert letters.replay([letter], NOW).kept == 1


@pytest.mark.parametrize("raw", ["half \ud800", 2**70, {"a": "\ud800"}, None, [], "text"])
def test_anything_can_be_kept(client: Any, raw: object) -> None:
    keep(client, raw)
    letters = DeadLetters(client)
    assert letters.replay(letters.list(), NOW).kept == 1


@pytest.mark.parametrize("source", [*sources.names(), "ingest"])
def test_readers_of_what_was_set_aside_take_anything(source: str) -> None:
    for raw in (None, 7, "text", [], {}, [{}], {"data": [1]}, {"post": 1}, {"data": {"id": {}}}):
        list(sources.read(source, raw))
