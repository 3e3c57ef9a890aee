"""Tweets that were read from X's pages, on hand-made ones in the shapes that the programs write."""

from datetime import UTC, datetime
from typing import Any

import pytest

from dfpipe.posts.formats.recognise import results
from dfpipe.posts.formats.result import UNKNOWN, Result, Skip
from dfpipe.posts.post import Post
from tests.support.format_corpus import OLD_SNSCRAPE, SNSCRAPE, TID, TWINT, TWSCRAPE

SEVEN = datetime(2023, 4, 23, 7, tzinfo=UTC)
TIME_IN_ID = datetime(2023, 4, 23, 4, 53, 50, 174000, tzinfo=UTC)


def only(document: object) -> Result:
    (result,) = results(document)
    return result


def post(document: object) -> Post:
    result = only(document)
    assert isinstance(result, Post), result
    return result


@pytest.mark.parametrize("tweet", [SNSCRAPE, OLD_SNSCRAPE, TWSCRAPE], ids=["new", "old", "tw"])
def test_all_generations_of_snscrape(tweet: dict[str, Any]) -> None:
    expected = Post(TID, "ana", "Storm https://t.co/e", SEVEN, ("https://news.example/storm",))
    assert only(tweet) == expected


@pytest.mark.parametrize("text", ["rawContent", "content"])
def test_a_retweet_has_the_whole_text_and_the_links_of_its_original(text: str) -> None:
    base = SNSCRAPE if text == "rawContent" else OLD_SNSCRAPE
    original = base | {"id": 5, text: "Storm over the harbour"}
    found = post(base | {text: "RT @ben: Storm ov…", "links": [], "retweetedTweet": original})
    assert found.text == "RT @ben: Storm over the harbour"
    assert found.urls == ("https://news.example/storm",)


def test_other_things_of_snscrape_are_not_tweets() -> None:
    other = SNSCRAPE | {"_type": "snscrape.modules.telegram.TelegramPost"}
    assert only(other) == UNKNOWN


def test_the_time_of_twint_is_that_of_the_id() -> None:
    link = ("https://news.example/storm",)
    assert only(TWINT) == Post(TID, "ana", "Storm https://t.co/e", TIME_IN_ID, link)


def test_twint_before_ids_had_times() -> None:
    old = TWINT | {"id": 1467810369, "date": "2009-04-06", "time": "22:19:45"}
    assert post(old | {"timezone": "-0700"}).created_at == datetime(
        2009, 4, 7, 5, 19, 45, tzinfo=UTC
    )
    assert only(old | {"timezone": "PDT"}) == Skip("created_at is not a time")


@pytest.mark.parametrize(
    ("tweet", "reason"),
    [
        (SNSCRAPE | {"id": None}, "id is missing"),
        (SNSCRAPE | {"date": "2023-04-23"}, "created_at has no time zone"),
        (SNSCRAPE | {"rawContent": None}, "text is missing"),
        (SNSCRAPE | {"user": "ana"}, None),
        (TWINT | {"id": 1e18}, "id is not an integer"),
    ],
)
def test_what_is_refused(tweet: dict[str, Any], reason: str | None) -> None:
    found = only(tweet)
    assert isinstance(found, Post) if reason is None else found == Skip(reason)
