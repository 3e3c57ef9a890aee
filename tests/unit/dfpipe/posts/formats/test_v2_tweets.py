"""Single tweets of the v2 API: a flattened file gives what its pages give."""

import doctest
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfpipe.posts.formats import v2
from dfpipe.posts.formats.json_stream import documents
from dfpipe.posts.formats.recognise import results
from dfpipe.posts.formats.result import Deletion, Result, Skip
from dfpipe.posts.post import Post
from tests.support.archives import records
from tests.support.flattening import flattened

IDS = [str(1_700_000_000_000_000_000 + n) for n in range(6)]
USERS = ["11", "12", "13"]
TEXTS = st.sampled_from(["Storm over the quay", "RT @anna: Ferries sto…", "x https://t.co/a"])
LINKS = st.sampled_from(
    [
        {"url": "https://t.co/a", "expanded_url": "https://news.example/", "display_url": "news"},
        {
            "url": "https://t.co/b",
            "expanded_url": "https://x.example",
            "unwound_url": "https://y.example",
        },
        {"url": "https://t.co/c", "display_url": "pic.twitter.com/c"},
    ]
)
ENTITIES = st.fixed_dictionaries({"urls": st.lists(LINKS, max_size=2)})
REFERENCES = st.fixed_dictionaries(
    {"type": st.sampled_from(["retweeted", "quoted", "replied_to"]), "id": st.sampled_from(IDS)}
)
POLLS = st.fixed_dictionaries(
    {"id": st.sampled_from(["7", "8"])},
    optional={"options": st.lists(st.fixed_dictionaries({"label": TEXTS}), max_size=2)},
)
TWEETS = st.fixed_dictionaries(
    {"id": st.sampled_from(IDS), "text": TEXTS},
    optional={
        "attachments": st.fixed_dictionaries(
            {}, optional={"poll_ids": st.lists(st.sampled_from(["7", "8"]), max_size=2)}
        ),
        "author_id": st.sampled_from(USERS),
        "created_at": st.sampled_from(["2023-09-08T07:00:00.000Z", "no time"]),
        "edit_history_tweet_ids": st.lists(st.sampled_from(IDS), max_size=3),
        "entities": ENTITIES,
        "in_reply_to_user_id": st.sampled_from(USERS),
        "note_tweet": st.fixed_dictionaries(
            {"text": st.just("A text of many words")}, optional={"entities": ENTITIES}
        ),
        "referenced_tweets": st.lists(REFERENCES, max_size=2),
        "withheld": st.sampled_from(
            [{"scope": "user"}, {"copyright": True}, {"copyright": False, "country_codes": ["DE"]}]
        ),
    },
)
INCLUDES = st.fixed_dictionaries(
    {},
    optional={
        "polls": st.lists(POLLS, max_size=2),
        "tweets": st.lists(TWEETS, max_size=3),
        "users": st.lists(
            st.fixed_dictionaries(
                {"id": st.sampled_from(USERS), "username": st.text("ab", min_size=1)}
            ),
            max_size=3,
        ),
    },
)
PAGES = st.fixed_dictionaries(
    {"data": TWEETS | st.lists(TWEETS, max_size=4)}, optional={"includes": INCLUDES}
)


def one_by_one(page: dict[str, Any]) -> list[Result]:
    return [result for tweet in flattened(page) for result in results(tweet)]


@given(PAGES)
def test_flattened_page_gives_what_the_page_gives(page: dict[str, Any]) -> None:
    assert one_by_one(page) == list(results(page))


def test_flattened_retweet_has_user_and_whole_text() -> None:
    link = {"url": "https://t.co/d", "expanded_url": "https://harbour.example/notice"}
    original = {"type": "retweeted", "id": IDS[1], "text": "Ferries stopped", "author_id": "11"}
    tweet = {
        "id": IDS[0],
        "author_id": "12",
        "author": {"username": "ben"},
        "text": "RT @anna: Ferries sto…",
        "referenced_tweets": [original | {"entities": {"urls": [link]}}],
    }
    (post,) = results(tweet)
    assert isinstance(post, Post)
    assert (post.user, post.text) == ("ben", "RT @anna: Ferries stopped")
    assert post.urls == ("https://harbour.example/notice",)


def test_own_picture_is_no_link() -> None:
    picture = {"url": "https://t.co/a", "expanded_url": "https://x.example/photo/1"}
    shown = picture | {"display_url": "pic.twitter.com/a"}
    (post,) = results({"id": IDS[0], "text": "Quay", "entities": {"urls": [shown]}})
    assert isinstance(post, Post)
    assert post.urls == ()


def test_withheld_tweet_is_skipped() -> None:
    notice = {"id": IDS[0], "text": "Account withheld", "withheld": {"scope": "user"}}
    assert list(results(notice)) == [Skip("withheld: the text is a notice of the platform")]


def test_edited_tweet_deletes_its_earlier_versions() -> None:
    found = list(results({"id": IDS[1], "text": "Quay", "edit_history_tweet_ids": IDS[:2]}))
    assert found[1:] == [Deletion(int(IDS[0]))]


def test_file_of_default_fields(tmp_path: Path) -> None:
    lines = tmp_path / "tweets.jsonl"
    tweets = [{"id": tid, "text": "Storm", "edit_history_tweet_ids": [tid]} for tid in IDS]
    lines.write_text("".join(json.dumps(tweet) + "\n" for tweet in tweets))
    array = tmp_path / "data_1.json"
    array.write_text(json.dumps(tweets))
    for file in (lines, array):
        found = [result for _, result in records(file)]
        assert [post.tid for post in found if isinstance(post, Post)] == list(map(int, IDS))


@pytest.mark.parametrize(
    "record",
    [
        {"id": "1", "id_str": "1", "text": "of a personal archive", "entities": {}},
        {"id": 1, "text": "an id that is a number"},
        {"id": "17900000000000001", "text": "of another service", "permalink": "", "timestamp": ""},
        {"id": "1", "username": "anna", "public_metrics": {}},
    ],
)
def test_other_records_are_not_v2(record: dict[str, Any]) -> None:
    assert not v2.is_tweet(record)


def test_examples() -> None:
    assert doctest.testmod(v2).failed == 0


def _documents(folder: Path) -> Iterator[Any]:
    for file in sorted(folder.iterdir()):
        with file.open("rb") as raw:
            for _, document in documents(file.name, raw):
                if not isinstance(document, Skip):
                    yield document


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        yield from _objects(inner)


def test_recorded_pages_flattened(data: Path) -> None:
    for page in _documents(data / "v2"):
        if isinstance(page, dict) and "data" in page:
            assert all(map(v2.is_tweet, flattened(page)))
            assert one_by_one(page) == list(results(page))


@pytest.mark.parametrize("folder", ["v11", "mastodon", "bluesky"])
def test_no_recorded_object_of_another_format_is_v2(data: Path, folder: str) -> None:
    for document in _documents(data / folder):
        assert not any(map(v2.is_tweet, _objects(document)))
