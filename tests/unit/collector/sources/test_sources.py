"""What holds for each network's source, through its real client and real HTTP."""

from datetime import timedelta
from typing import Any

import pytest

from collector.fetching.accounts import Accounts
from collector.fetching.dead_letters import DeadLetters
from collector.fetching.fetching import Outcome, fetch
from collector.sources import AccountRefusedError, UnavailableError
from tests.support.bench import ACCOUNTS, BUCKETS, NOW, Bench, Make
from tests.support.collecting import stored_posts
from tests.support.network_server import Answer, Fault, window


@pytest.fixture(params=sorted(ACCOUNTS))
def bench(request: pytest.FixtureRequest, make_bench: Make) -> Bench:
    return make_bench(request.param)


def test_all_pages_are_stored_and_nothing_twice(bench: Bench) -> None:
    bench.posts(25)
    bench.networks.page = 7
    outcome = bench.fetch()
    assert (outcome.is_finished, outcome.stored.new) == (True, 25)
    bench.check()
    before = bench.pages_asked()
    again = bench.fetch()
    assert (again.is_finished, again.stored.new) == (True, 0)
    assert bench.pages_asked() - before <= 2
    bench.post(1, "a newer one")
    assert bench.fetch().stored.new == 1
    assert bench.state().posts == 26
    bench.check()


def test_an_account_without_posts(bench: Bench) -> None:
    assert bench.fetch().is_finished
    assert bench.state().watermark is not None
    assert bench.state().last_new_post is None


def test_what_is_older_than_the_history_is_not_fetched(bench: Bench) -> None:
    old = bench.post(60 * 24 * 9, "old")
    bench.post(60 * 24 * 6, "new enough")
    bench.networks.page = 1
    bench.fetch()
    stored = stored_posts(bench.client)
    # A page may reach behind it.
    assert len(stored.keys() - {old.number}) == 1


def test_a_fetch_goes_on_where_it_stopped(bench: Bench) -> None:
    bench.posts(20)
    bench.networks.page = 5
    watermark = bench.state().watermark
    outcomes = []
    while not (outcomes and outcomes[-1].is_finished):
        bench.context = bench.new_context()
        outcomes.append(bench.fetch(seconds=0))
        if not outcomes[-1].is_finished:
            assert bench.state().watermark == watermark
            assert bench.state().progress is not None
            assert outcomes[-1].retry_at == bench.time
    assert len(outcomes) >= 4
    assert [outcome.stored.seen for outcome in outcomes] == [0] * len(outcomes)
    assert bench.pages_asked() == len(outcomes)
    bench.check()


def test_posts_that_come_while_a_fetch_is_interrupted(bench: Bench) -> None:
    bench.posts(12)
    bench.networks.page = 4
    bench.fetch(seconds=0)
    bench.time += timedelta(hours=5)
    bench.posts(4)
    bench.fetch()
    bench.fetch()
    bench.check()


def test_a_rate_limit_ends_a_fetch_and_tells_when_it_goes_on(bench: Bench) -> None:
    bench.posts(20)
    bench.networks.page = 4
    bench.networks.windows = {BUCKETS[bench.network]: window(3, 5)}
    outcome = bench.fetch()
    assert not outcome.is_finished
    assert outcome.retry_at == NOW + timedelta(minutes=5, seconds=1)
    asked = len(bench.networks.requests)
    assert bench.fetch().retry_at == outcome.retry_at
    assert len(bench.networks.requests) == asked
    for _ in range(9):
        bench.time += timedelta(minutes=5, seconds=1)
        if bench.fetch().is_finished:
            break
    bench.check()


def test_some_requests_are_left_to_others(make_bench: Make) -> None:
    bench = make_bench("bluesky", rate_headroom=4)
    bench.posts(20)
    bench.networks.page = 1
    bench.networks.windows = {"bluesky": window(10, 5)}
    assert bench.fetch().retry_at == NOW + timedelta(minutes=5, seconds=1)
    assert bench.pages_asked() == 6


def test_a_limit_that_another_program_used_up(bench: Bench) -> None:
    bench.posts(3)
    bucket = BUCKETS[bench.network]
    bench.networks.windows = {bucket: window(100, 5)}
    bench.networks.drain(bucket)
    assert bench.fetch().retry_at == NOW + timedelta(minutes=5, seconds=1)
    assert (bench.state().errors, bench.state().is_active) == (0, True)
    bench.time += timedelta(minutes=6)
    assert bench.fetch().is_finished
    bench.check()


def test_429_without_a_time(bench: Bench) -> None:
    bench.networks.fault = lambda path: 429
    assert bench.fetch().retry_at == NOW + timedelta(minutes=15)


def test_a_429_is_shown_with_what_it_says(bench: Bench) -> None:
    body = {"error": "RateLimitExceeded", "message": "slow \x1b[31mdown"}
    bench.networks.fault = lambda path: Answer(429, body)
    reason = bench.fetch().reason
    assert "allows no more requests before 2026-03-05T12:15:00Z" in reason
    assert "slow" in reason
    assert reason.isprintable()


def test_a_monthly_quota_that_is_spent_shows_and_is_not_asked_again_for_a_day(
    make_bench: Make,
) -> None:
    bench = make_bench("x")
    bench.posts(3)
    body = {"title": "UsageCapExceeded", "detail": "Usage cap exceeded: Monthly product cap"}
    headers = {"x-rate-limit-limit": "900", "x-rate-limit-remaining": "899"}
    headers["x-rate-limit-reset"] = str(int(NOW.timestamp()) + 900)
    bench.networks.fault = lambda path: Answer(429, body, headers)
    assert bench.fetch().retry_at == NOW + timedelta(days=1)
    assert (bench.state().errors, bench.state().is_active) == (1, True)
    assert "Monthly product cap" in bench.state().error
    asked = len(bench.networks.requests)
    bench.networks.fault = lambda path: None
    bench.time += timedelta(hours=23)
    assert bench.fetch().retry_at == NOW + timedelta(days=1, seconds=1)
    assert len(bench.networks.requests) == asked
    assert "Monthly product cap" in bench.state().error
    bench.time += timedelta(hours=2)
    assert bench.fetch().is_finished
    assert (bench.state().errors, bench.state().error) == (0, "")
    bench.check()


def test_an_unexpected_error_shows_in_the_list_of_accounts(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise TypeError("of some library")

    source = bench.context.source(bench.network)
    monkeypatch.setattr(type(source), "pages", broken)
    for errors in (1, 2):
        with pytest.raises(UnavailableError, match="unexpected TypeError: of some library"):
            bench.fetch()
        assert (bench.state().errors, bench.state().is_active) == (errors, True)
    assert bench.state().error == "unexpected TypeError: of some library"
    monkeypatch.undo()
    assert bench.fetch().is_finished
    assert bench.state().errors == 0


@pytest.mark.parametrize("fault", [500, 502, 503, 504, 408, 418, "broken", "cut", "garbage"])
def test_a_fault_is_told_and_changes_nothing(bench: Bench, fault: Fault) -> None:
    bench.posts(9)
    bench.networks.page = 4
    bench.fetch(seconds=0)
    before = bench.state()
    bench.networks.fault = lambda path: fault
    for number in (1, 2):
        with pytest.raises(UnavailableError):
            bench.fetch()
        assert bench.state().errors == number
    assert bench.state().error.lower().startswith(bench.network)
    assert (bench.state().progress, bench.state().watermark) == (before.progress, before.watermark)
    bench.networks.fault = lambda path: None
    assert bench.fetch().is_finished
    assert (bench.state().errors, bench.state().error) == (0, "")
    bench.check()


def test_a_server_that_does_not_answer(make_bench: Make) -> None:
    for network in ACCOUNTS:
        bench = make_bench(network, request_timeout=0.2)
        bench.networks.fault = lambda path: "hang"
        with pytest.raises(UnavailableError, match="(?i)timeout"):
            bench.fetch()


def test_a_server_that_is_not_there(bench: Bench) -> None:
    bench.networks.url = "http://127.0.0.1:9"
    bench.context = bench.new_context()
    with pytest.raises(UnavailableError):
        bench.fetch()
    assert "token" not in bench.state().error


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_disables_the_account(bench: Bench, status: int, caplog: Any) -> None:
    bench.networks.fault = lambda path: status
    with pytest.raises(AccountRefusedError, match=f"returned {status}"):
        bench.fetch()
    state = bench.state()
    assert (state.is_active, f"returned {status}" in state.reason) == (False, True)
    assert any(record.message == "account disabled" for record in caplog.records)
    assert list(Accounts(bench.client).active()) == []
    bench.networks.fault = lambda path: None
    asked = len(bench.networks.requests)
    assert bench.fetch() == Outcome(is_finished=True)
    assert len(bench.networks.requests) == asked
    assert Accounts(bench.client).follow(bench.account, bench.time)
    bench.posts(3)
    assert bench.fetch().stored.new == 3


def test_a_fetch_that_may_not_go_on_begins_again(bench: Bench) -> None:
    bench.posts(9)
    bench.networks.page = 4
    bench.fetch(seconds=0)
    assert bench.state().progress
    bench.networks.fault = lambda path: 400
    with pytest.raises(UnavailableError, match="the fetch starts over"):
        bench.fetch()
    assert (bench.state().progress, bench.state().is_active) == (None, True)
    with pytest.raises(AccountRefusedError, match="returned 400"):
        bench.fetch()
    assert not bench.state().is_active


def test_a_malformed_post_is_set_aside(bench: Bench) -> None:
    items = bench.posts(6)
    items[2].is_malformed = True
    outcome = bench.fetch()
    assert (outcome.is_finished, outcome.stored.new, outcome.set_aside) == (True, 5, 1)
    letters = DeadLetters(bench.client)
    (letter,) = letters.list()
    assert (letter.account, letter.error) == (bench.account, "created_at is not a time")
    assert str(items[2].number).encode() in letter.raw or items[2].key.encode() in letter.raw
    assert letters.replay([letter], bench.time).kept == 1
    bench.check()


def test_a_post_that_is_read_again_is_set_aside_once(bench: Bench) -> None:
    bench.post(5).is_malformed = True
    bench.post(1)
    bench.fetch()
    bench.time += timedelta(minutes=17)
    bench.fetch()
    assert len(list(DeadLetters(bench.client).list())) == 1


def test_two_fetches_at_once(bench: Bench) -> None:
    bench.posts(20)
    bench.networks.page = 4
    other = bench.new_context()
    inner: list[Outcome] = []

    def second(outcome: Outcome) -> None:
        if not inner:
            inner.append(fetch(other, bench.account, limit_seconds=60))

    outer = fetch(bench.context, bench.account, limit_seconds=60, on_page=second)
    assert inner[0].is_finished
    assert (outer.is_finished, outer.is_overtaken, outer.retry_at) == (False, True, None)
    assert bench.state().posts == 20
    bench.check()


def test_an_account_that_is_unfollowed_meanwhile(bench: Bench) -> None:
    bench.posts(20)
    bench.networks.page = 4

    def unfollow(outcome: Outcome) -> None:
        Accounts(bench.client).unfollow(bench.account)

    outcome = fetch(bench.context, bench.account, limit_seconds=60, on_page=unfollow)
    assert outcome.is_overtaken
    assert bench.pages_asked() <= 2


def test_secrets_are_not_in_what_is_stored(bench: Bench) -> None:
    bench.posts(3)
    bench.fetch()
    bench.networks.fault = lambda path: 503
    with pytest.raises(UnavailableError) as caught:
        bench.fetch()
    texts = [str(caught.value), repr(bench.context), repr(bench.state())]
    kinds = ("CollectorAccount", "CollectorLimit", "CollectorDeadLetter")
    texts += [repr(list(bench.client.query(kind=kind).fetch())) for kind in kinds]
    assert not any(secret in text for text in texts for secret in ("token-of", "a-password"))
