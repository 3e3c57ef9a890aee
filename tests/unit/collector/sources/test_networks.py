"""What holds for one network alone."""

import json
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import pytest

from collector.fetching.accounts import Accounts
from collector.sources import (
    AccountRefusedError,
    UnavailableError,
    bluesky,
)
from dfpipe.posts.formats.result import parse_time
from tests.support.bench import NOW, Make
from tests.support.collecting import stored_posts
from tests.support.network_server import TOKEN, Answer, window

X_ME = "x:home"


# X


def test_an_edited_post_of_x_replaces_its_earlier_versions(make_bench: Make) -> None:
    bench = make_bench("x")
    first = bench.post(30, "frist")
    bench.fetch()
    assert first.number in stored_posts(bench.client)
    second = bench.post(20, "first")
    second.versions = [first.number, second.number]
    first.gone = bench.time
    outcome = bench.fetch()
    assert (outcome.stored.new, outcome.stored.removed) == (1, 1)
    bench.check()


def test_a_version_of_x_that_was_edited_since_is_not_stored(make_bench: Make) -> None:
    bench = make_bench("x")
    first, second = bench.post(30, "frist"), bench.post(20, "first")
    first.versions = second.versions = [first.number, second.number]
    bench.fetch()
    assert set(stored_posts(bench.client)) == {second.number}


def test_a_post_of_x_that_is_gone_is_removed(make_bench: Make) -> None:
    bench = make_bench("x")
    gone, other = bench.post(50, "gone"), bench.post(40, "other")
    bench.fetch()
    gone.gone = bench.time
    bench.post(1, "look").refers_to = gone
    assert bench.fetch().stored.removed == 1
    assert other.number in stored_posts(bench.client)
    bench.check()


def test_a_withheld_post_of_x_is_removed(make_bench: Make) -> None:
    bench = make_bench("x")
    item = bench.post(0.05, "secret")
    assert bench.fetch().stored.new == 1
    item.withheld = bench.time
    # It is near enough to the watermark to be read again.
    outcome = bench.fetch()
    assert (outcome.stored.removed, outcome.set_aside) == (1, 0)
    assert stored_posts(bench.client) == {}


def test_the_long_form_of_a_post_of_x(make_bench: Make) -> None:
    bench = make_bench("x")
    bench.post(5, "a text that is cut in its short form").link = "https://example.org/?a=1&b=2"
    bench.fetch()
    (entity,) = bench.client.query(kind="Tweet").fetch()
    assert entity["text"].endswith("short form https://example.org/?a=1&b=2")
    assert entity["urls"] == ["https://example.org/?a=1&b=2"]


@pytest.mark.parametrize("by_user", [True, False], ids=["oauth1", "oauth2"])
def test_the_home_timeline_of_x(make_bench: Make, by_user: bool) -> None:
    bench = make_bench("x")
    words = {}
    if by_user:
        words = {"x_consumer_key": "ck", "x_consumer_secret": "cs", "x_access_token": "1-at"}
        words["x_access_token_secret"] = "as"
    seen: list[str] = []
    accepted = bench.networks.answer

    def answer(path: str, asked: dict[str, str], token: str) -> Any:
        seen.append(token)
        return accepted(path, asked, TOKEN)

    bench.networks.answer = answer  # type: ignore[method-assign]
    bench.settings = words
    bench.context = bench.new_context()
    bench.world.post("x", ["home"], "somebody", NOW - timedelta(hours=1), "hello")
    Accounts(bench.client).follow(X_ME, NOW)
    bench.account = X_ME
    assert bench.fetch().stored.new == 1
    asked_who = [path for path in bench.networks.requests if path.endswith("/me")]
    assert len(asked_who) == (0 if by_user else 1)
    assert all(token.startswith("OAuth ") for token in seen) == by_user


def test_the_home_timeline_after_the_user_could_not_be_asked(make_bench: Make) -> None:
    bench = make_bench("x")
    Accounts(bench.client).follow(X_ME, NOW)
    bench.account = X_ME
    for fault in ("garbage", "cut", 500):
        bench.networks.fault = lambda path, fault=fault: fault  # type: ignore[misc]
        with pytest.raises(UnavailableError):
            bench.fetch()
    bench.networks.canned["/2/users/me"] = {"errors": []}
    bench.networks.fault = lambda path: None
    with pytest.raises(UnavailableError):
        bench.fetch()
    bench.networks.canned.clear()
    assert bench.fetch().is_finished


def test_x_without_credentials(make_bench: Make) -> None:
    bench = make_bench("x", x_bearer_token="")
    with pytest.raises(AccountRefusedError, match="set COLLECTOR_X_BEARER_TOKEN or"):
        bench.fetch()
    assert "credentials for X are missing" in bench.state().reason


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"errors": [{"detail": "Could not find user"}]}, "X has no user @anna: Could not"),
        ({}, "no user @anna: no error is given"),
    ],
    ids=["error", "nothing"],
)
def test_a_user_that_x_does_not_know(make_bench: Make, answer: Any, message: str) -> None:
    bench = make_bench("x")
    bench.networks.canned["/2/users/by/username/anna"] = answer
    with pytest.raises(AccountRefusedError, match=message):
        bench.fetch()


def test_an_answer_of_x_with_errors_alone(make_bench: Make) -> None:
    bench = make_bench("x")
    user = bench.world.user_id("anna")
    errors = [{"title": "Forbidden", "detail": "User has been suspended: [anna]."}]
    bench.networks.canned[f"/2/users/{user}/tweets"] = {"errors": errors}
    with pytest.raises(AccountRefusedError, match="User has been suspended"):
        bench.fetch()


def test_a_user_of_x_is_looked_up_once(make_bench: Make) -> None:
    bench = make_bench("x")
    bench.fetch()
    bench.fetch()
    assert sum("/by/username/" in path for path in bench.networks.requests) == 1


# Bluesky


def test_one_login_for_many_fetches(make_bench: Make) -> None:
    bench = make_bench("bluesky")
    for _ in range(3):
        bench.fetch()
    assert bench.networks.logins == 1


def test_a_session_that_has_lapsed_is_renewed(make_bench: Make) -> None:
    bench = make_bench("bluesky")
    bench.posts(2)
    bench.fetch()
    answer = bench.networks.answer

    def lapsed(path: str, words: dict[str, str], token: str) -> Any:
        found = answer(path, words, token)
        if "createSession" not in path:
            found.status, found.body = 400, {"error": "ExpiredToken", "message": "expired"}
        return found

    bench.networks.answer = lapsed  # type: ignore[method-assign]
    with pytest.raises(UnavailableError, match="logs in again"):
        bench.fetch()
    bench.networks.answer = answer  # type: ignore[method-assign]
    assert bench.fetch().is_finished
    assert bench.networks.logins == 2


def test_without_a_handle_nobody_logs_in(make_bench: Make) -> None:
    bench = make_bench("bluesky", bluesky_handle="", bluesky_password="")
    bench.posts(2)
    assert bench.fetch().stored.new == 2
    assert bench.networks.logins == 0


def test_without_a_handle_bluesky_is_asked_where_everybody_may(make_bench: Make) -> None:
    settings = make_bench("bluesky").context.settings
    public = type(settings)(request_timeout=1)
    source = bluesky.Bluesky(public, None)  # type: ignore[arg-type]
    assert source._new_client()._base_url == f"{bluesky.PUBLIC_URL}/xrpc"


def test_a_post_of_bluesky_that_is_taken_down_within_the_hour(make_bench: Make) -> None:
    bench = make_bench("bluesky")
    item = bench.post(30)
    bench.post(1)
    bench.networks.page = 1
    bench.fetch()
    bench.time += timedelta(minutes=17)
    item.withheld = bench.time
    bench.post(1)
    assert bench.fetch().stored.removed == 1
    bench.check()


@pytest.mark.parametrize("network", ["bluesky", "mastodon"])
def test_a_post_that_comes_late_is_not_missed(make_bench: Make, network: str) -> None:
    bench = make_bench(network)
    late = bench.post(50, "late")
    late.visible = bench.time + timedelta(minutes=5)
    for minutes in (40, 30, 20, 10):
        bench.post(minutes)
    bench.networks.page = 1
    assert bench.fetch().stored.new == 4
    bench.time += timedelta(minutes=17)
    bench.post(1)
    assert bench.fetch().stored.new == 2
    bench.check()


def test_a_search_whose_posts_have_one_time(make_bench: Make) -> None:
    bench = make_bench("bluesky")
    bench.account = "bluesky:search/storm"
    Accounts(bench.client).follow(bench.account, NOW)
    for number in range(17):
        bench.post(10 if number < 9 else 20 + number)
    bench.networks.page = 3
    assert bench.fetch().stored.new == 17
    bench.check()


def test_posts_that_vanish_while_a_search_is_paged(make_bench: Make) -> None:
    bench = make_bench("bluesky")
    bench.account = "bluesky:search/storm"
    Accounts(bench.client).follow(bench.account, NOW)
    items = bench.posts(12)
    bench.networks.page = 3
    bench.fetch(seconds=0)
    for item in items[-2:]:
        item.gone = bench.time
    bench.fetch()
    # A cursor that counts posts would have passed two over.
    assert {item.number for item in items[:-2]} <= set(stored_posts(bench.client))


def test_a_time_in_the_future_does_not_hide_what_comes_before_it(make_bench: Make) -> None:
    bench = make_bench("bluesky")
    item = bench.post(-60 * 24 * 400, "from the future")
    item.visible = bench.time
    bench.networks.page = 1
    bench.fetch()
    for _ in range(3):
        bench.time += timedelta(minutes=17)
        for minutes in (3, 2, 1):
            bench.post(minutes)
        assert bench.fetch().stored.new == 3


# Mastodon


def test_an_edited_status_is_replaced(make_bench: Make) -> None:
    bench = make_bench("mastodon")
    item = bench.post(30, "frist")
    bench.fetch()
    item.edited, item.new_text = bench.time, "first"
    bench.time += timedelta(minutes=17)
    outcome = bench.fetch()
    assert (outcome.stored.new, outcome.stored.replaced) == (0, 1)
    bench.check()


def test_a_late_status_while_a_fetch_is_interrupted_for_hours(make_bench: Make) -> None:
    bench = make_bench("mastodon")
    for minutes in (120, 100, 30, 20):
        bench.post(minutes)
    late = bench.post(25, "late")
    late.visible = bench.time + timedelta(minutes=20)
    bench.networks.page = 4
    bench.fetch(seconds=0)
    bench.time += timedelta(hours=6)
    bench.post(5)
    bench.fetch()
    bench.time += timedelta(minutes=17)
    bench.fetch()
    bench.check()


def test_a_page_without_ids(make_bench: Make) -> None:
    bench = make_bench("mastodon")
    bench.networks.canned["/api/v1/timelines/home"] = [{"content": "x", "account": {}}, "status"]
    Accounts(bench.client).follow("mastodon:home", NOW)
    bench.account = "mastodon:home"
    with pytest.raises(UnavailableError, match="without ids for"):
        bench.fetch()


@pytest.mark.parametrize("watermark", ["", "01HZ0000000000000000000000"], ids=["first", "later"])
def test_a_server_whose_ids_are_no_numbers(make_bench: Make, watermark: str) -> None:
    bench = make_bench("mastodon")
    source = bench.context.source("mastodon")
    status = {"content": "<p>x</p>", "account": {"acct": "a"}, "uri": "https://a.test/1"}
    status |= {"id": "01HZ0000000000000000000001", "created_at": "2026-03-05T11:00:00Z"}
    bench.networks.canned["/api/v1/timelines/home"] = [status]
    pages = source.pages("home", watermark or source.start(NOW), None)
    page = next(pages)
    assert json.loads(page.progress or "")["newest"] == status["id"]
    bench.networks.canned["/api/v1/timelines/home"] = []
    assert next(pages).watermark == status["id"]


@pytest.mark.parametrize("name", ["public", "#cats", "home"])
def test_the_timelines_of_a_server(make_bench: Make, name: str) -> None:
    bench = make_bench("mastodon")
    bench.account = f"mastodon:{name}"
    Accounts(bench.client).follow(bench.account, NOW)
    bench.posts(3)
    assert bench.fetch().stored.new == 3
    bench.networks.windows = {"mastodon": window(100, 5)}
    bench.check()


def bluesky_item(number: int, hours_ago: float) -> dict[str, Any]:
    time = (NOW - timedelta(hours=hours_ago)).isoformat()
    return {
        "post": {
            "uri": f"at://did:plc:a/app.bsky.feed.post/{number}",
            "author": {"handle": "anna.test"},
            "record": {"text": str(number), "createdAt": time},
        }
    }


@pytest.mark.parametrize("name", ["anna.test", "search/words"])
def test_a_backdated_post_at_a_pages_end_does_not_stop_paging(
    make_bench: Make, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    source = make_bench("bluesky").context.source("bluesky")
    items = [bluesky_item(n, n / 100) for n in range(250)]
    items[99] = bluesky_item(99, 24 * 3000)
    key, asked = ("posts" if "/" in name else "feed"), []

    def ask(self: object, name: str, floor: Any, cursor: str | None, until: str | None) -> Any:
        asked.append(until)
        start = int(cursor or 0)
        if until:
            limit = parse_time(until)
            start += next(n for n, i in enumerate(items) if n != 99 and time_of(i) < limit)
        page = [i["post"] for i in items] if "/" in name else items
        more = {"cursor": str(start + 100)} if start + 100 < len(items) else {}
        return {key: page[start : start + 100], **more}

    monkeypatch.setattr(type(source), "_ask", ask)
    pages = list(islice(source.pages(name, source.start(NOW - timedelta(days=7)), None), 9))
    found = {each.result.text for page in pages for each in page.results}
    assert found == set(map(str, range(250)))
    assert len(asked) == 3


def time_of(item: dict[str, Any]) -> datetime:
    return parse_time(item["post"]["record"]["createdAt"])


@pytest.mark.parametrize(
    "headers",
    [
        {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "99"},
        {"x-ratelimit-remaining": "99"},
        {"X-RateLimit-Limit": "x", "X-RateLimit-Remaining": "", "X-RateLimit-Reset": "soon"},
    ],
)
def test_rate_limit_headers_of_other_servers_than_mastodons(
    make_bench: Make, headers: dict[str, str]
) -> None:
    bench = make_bench("mastodon")
    bench.posts(3)
    answer = bench.networks.answer

    def with_headers(path: str, words: dict[str, str], token: str) -> Answer:
        found = answer(path, words, token)
        return Answer(found.status, found.body, headers)

    bench.networks.answer = with_headers  # type: ignore[method-assign]
    assert bench.fetch().is_finished
    bench.check()
