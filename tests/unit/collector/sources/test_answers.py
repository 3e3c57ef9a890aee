"""Answers of networks: recorded ones, and any other."""

import json
import lzma
import random
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import islice
from typing import Any

import pytest

from collector import sources
from collector.fetching.accounts import Accounts
from collector.sources import SourceError, UnavailableError, mastodon, x
from dfpipe.posts.formats.recognise import results
from dfpipe.posts.formats.result import Deletion
from dfpipe.posts.post import Post
from tests.support.bench import NOW, Make
from tests.support.collecting import stored_posts
from tests.support.network_server import TOKEN

X_ME = "x:home"


# Any answers

JUNK = (None, 7, -1, 2**70, 1.5, True, "", "text", "9" * 400, [], {}, [[]], {"id": []}, ["id"])


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in nested JSON, as what holds it and its key there."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(pairs):
        yield value, key
        if isinstance(inner, dict | list):
            yield from places(inner)


@pytest.mark.parametrize("network", ["x", "bluesky", "mastodon"])
def test_no_answer_stops_a_fetch_in_an_unknown_way(make_bench: Make, network: str) -> None:
    bench = make_bench(network)
    bench.posts(4)[1].link = "https://example.org/"
    bench.post(0.5, "look").refers_to = bench.post(0.7)
    source = bench.context.source(network)
    list(source.pages(bench.name, source.start(NOW - timedelta(days=1)), None))
    path = bench.networks.requests[-1]
    good = bench.networks.answer(path, {"actor": bench.name}, TOKEN).body
    rng = random.Random(3)
    for _ in range(300):
        page = json.loads(json.dumps(good))
        for holder, key in rng.sample(list(places(page)), 2):
            holder[key] = rng.choice(JUNK)
        bench.networks.canned[path] = page
        with suppress(SourceError):
            pages = source.pages(bench.name, source.start(NOW - timedelta(days=1)), None)
            list(islice(pages, 3))


@pytest.mark.parametrize("network", ["x", "mastodon"])
@pytest.mark.parametrize(
    "wrong", ["9" * 400, "9" * 18 + "9", "x" * 26], ids=["long", "late", "word"]
)
def test_a_wrong_id_does_not_hide_what_comes_after_it(
    make_bench: Make, network: str, wrong: str
) -> None:
    bench = make_bench(network)
    bench.posts(8)
    bench.networks.page = 3
    answer = bench.networks.answer

    def spoiled(path: str, words: dict[str, str], token: str) -> Any:
        found = answer(path, words, token)
        page = found.body.get("data") if isinstance(found.body, dict) else found.body
        if isinstance(page, list) and page:
            page.append({"id": wrong})
        return found

    bench.networks.answer = spoiled  # type: ignore[method-assign]
    assert bench.fetch().stored.new == 8
    bench.post(0.1)
    assert bench.fetch().stored.new == 1


PATHS = {
    "x": "/2/users/{}/tweets",
    "bluesky": "/xrpc/app.bsky.feed.getAuthorFeed",
    "mastodon": "/api/v1/accounts/{}/statuses",
}


@pytest.mark.parametrize(
    ("network", "answer", "message"),
    [
        ("x", ["text"], "X did not return a JSON object"),
        ("bluesky", ["text"], "bluesky did not return a JSON object"),
        ("mastodon", {"id": "1"}, "mastodon did not return a list of statuses"),
        (
            "mastodon",
            [{"id": None}],
            "mastodon returned a page without ids for the next page",
        ),
    ],
    ids=["x", "bluesky", "mastodon", "mastodon-ids"],
)
def test_an_answer_of_another_shape(
    make_bench: Make, network: str, answer: Any, message: str
) -> None:
    bench = make_bench(network)
    user = bench.world.user_id(bench.name.strip("@"))
    bench.networks.canned[PATHS[network].format(user)] = answer
    with pytest.raises(UnavailableError, match=message):
        bench.fetch()
    assert message in bench.state().error


def test_a_lookup_that_finds_no_account(make_bench: Make) -> None:
    bench = make_bench("mastodon")
    bench.networks.canned["/api/v1/accounts/lookup"] = {"acct": "anna"}
    with pytest.raises(UnavailableError, match="mastodon did not return an account for anna"):
        bench.fetch()


@pytest.mark.parametrize(
    ("network", "package"), [("x", "tweepy"), ("bluesky", "atproto"), ("mastodon", "mastodon")]
)
def test_a_client_library_that_is_missing(
    make_bench: Make, network: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make_bench(network)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UnavailableError, match=f"{network} needs the package {package}: run `pip"):
        bench.fetch()


# Recorded answers


def recorded(data: Any) -> Iterator[tuple[str, str, Any]]:
    """Pages that the real servers have sent, with the account and the path that they belong to."""
    folder, feed = data / "bluesky", "/xrpc/app.bsky.feed."
    for file, name, method in [
        ("timeline", "timeline", "getTimeline"),
        ("author_feed", "anna.test", "getAuthorFeed"),
        ("search", "search/x", "searchPosts"),
    ]:
        page = json.loads((folder / f"{file}.json").read_text())
        page.pop("cursor", None)
        yield f"bluesky:{name}", feed + method, page
    yield X_ME, "/2/users/1/timelines/reverse_chronological", _without_token(data)


def _without_token(data: Any) -> Any:
    page = json.loads((data / "v2" / "home_timeline.json").read_text())
    page.get("meta", {}).pop("next_token", None)
    return page


def test_recorded_answers_are_stored_as_the_readers_read_them(make_bench: Make, data: Any) -> None:
    bench = make_bench("x")
    for account, path, page in recorded(data):
        bench.networks.canned[path] = page
        Accounts(bench.client).follow(account, NOW)
        bench.account = account
        before = set(stored_posts(bench.client))
        outcome = bench.fetch()
        posts = {r.tid for r in results(page) if isinstance(r, Post)}
        gone = {r.tid for r in results(page) if isinstance(r, Deletion)}
        assert posts - gone <= set(stored_posts(bench.client))
        assert outcome.stored.new == len(posts - gone - before) > 0


@pytest.mark.parametrize("file", ["home", "public", "account_page1"])
def test_recorded_statuses(make_bench: Make, data: Any, file: str) -> None:
    statuses = json.loads((data / "mastodon" / f"{file}.json").read_text())
    found = [result for raw in statuses for result in mastodon.read(raw)]
    assert len(found) == len(statuses) == sum(isinstance(result, Post) for result in found)


def test_recorded_pages_of_x(data: Any) -> None:
    for file in sorted((data / "v2").glob("*.jsonl.xz")):
        if "error" in file.name:
            continue
        for line in lzma.decompress(file.read_bytes()).splitlines():
            page = json.loads(line)
            if not isinstance(page.get("data"), list):
                continue
            mine, theirs = list(x.read(page)), list(results(page))
            assert [r for r in mine if isinstance(r, Post)] == [
                r for r in theirs if isinstance(r, Post)
            ]


def test_the_options_of_a_poll_of_x_are_text() -> None:
    tweet = {"id": "1700000000000000001", "text": "Tea?", "attachments": {"poll_ids": ["7"]}}
    polls = [{"id": "7", "options": [{"label": "Yes"}, {"label": "No"}]}]
    (found,) = x.read({"data": [tweet], "includes": {"polls": polls}})
    assert isinstance(found, Post)
    assert found.text == "Tea?\nYes\nNo"


def test_a_source_is_one_file() -> None:
    assert sources.names() == ["archive", "bluesky", "mastodon", "x"]
    assert sources.forms().startswith("archive:/")
