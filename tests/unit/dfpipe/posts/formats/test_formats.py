"""The formats of X and of this project, on hand-made records in the shapes of recorded ones."""

import doctest
import json
from datetime import UTC, datetime, timedelta, timezone
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dfpipe.posts.formats import activitypub, bluesky, grailbird, html_text, x_posts
from dfpipe.posts.formats.own import to_line
from dfpipe.posts.formats.recognise import results
from dfpipe.posts.formats.result import (
    UNKNOWN,
    Deletion,
    RefusedError,
    Result,
    Skip,
    hashed_tid,
    parse_tid,
    parse_time,
    snowflake_time,
)
from dfpipe.posts.post import Post

TID = 1146304818337722368
OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
NOON = datetime(2019, 7, 3, 12, tzinfo=UTC)


def only(document: object) -> Result:
    (result,) = results(document)
    return result


def reason(document: object) -> str:
    result = only(document)
    assert isinstance(result, Skip)
    return result.reason


def post(document: object) -> Post:
    result = only(document)
    assert isinstance(result, Post), result
    return result


def own(**changes: Any) -> dict[str, Any]:
    record = {"tid": TID, "user": "anna", "text": "hello", "created_at": "2019-07-03T12:00:00Z"}
    return record | {"urls": ["http://a.example/"]} | changes


def v11(**changes: Any) -> dict[str, Any]:
    tweet = {
        "created_at": "Wed Jul 03 12:00:00 +0000 2019",
        "id": 1146304818337722400,  # as a program that knows floats alone would round it
        "id_str": str(TID),
        "text": "good mor… https://t.co/1",
        "user": {"screen_name": "anna"},
        "entities": {"urls": [{"url": "https://t.co/1", "expanded_url": "http://a.example/"}]},
    }
    return tweet | changes


def v2(tweet: dict[str, Any], **page: Any) -> dict[str, Any]:
    base = {
        "id": str(TID),
        "text": "good morning",
        "created_at": "2019-07-03T12:00:00.000Z",
        "author_id": "7",
    }
    users = {"includes": {"users": [{"id": "7", "username": "anna"}]}}
    return {"data": [base | tweet]} | users | page


class TestOwn:
    def test_a_record(self) -> None:
        assert post(own()) == Post(TID, "anna", "hello", NOON, ("http://a.example/",))

    @pytest.mark.parametrize(
        ("urls", "expected"),
        [(None, ()), ("http://a/", ("http://a/",)), (["x", 1, "", None, "y"], ("x", "y")), (5, ())],
    )
    def test_urls_in_other_forms(self, urls: object, expected: tuple[str, ...]) -> None:
        assert post(own(urls=urls)).urls == expected

    def test_only_id_text_and_time_are_needed(self) -> None:
        record = {"tid": str(TID), "text": "", "created_at": "2019-07-03T14:00:00.5+02:00"}
        assert post(record) == Post(TID, "", "", NOON + timedelta(milliseconds=500))

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"tid": None}, "id is missing"),
            ({"tid": 1.5e18}, "id is not an integer"),
            ({"tid": True}, "id is not an integer"),
            ({"tid": "x1"}, "id is not an integer"),
            ({"tid": "٣"}, "id is not an integer"),
            ({"tid": "9" * 30}, "id is not an integer"),
            ({"tid": 0}, "id is not between 1 and 2**63 - 1"),
            ({"tid": -5}, "id is not between 1 and 2**63 - 1"),
            ({"tid": 2**63}, "id is not between 1 and 2**63 - 1"),
            ({"text": None}, "text is missing"),
            ({"text": 5}, "text is not a string"),
            ({"text": "x" * 1_000_001}, "text and urls are over 1,000,000 bytes"),
            ({"text": "é" * 500_001}, "text and urls are over 1,000,000 bytes"),
            ({"text": "\ud800"}, "half a surrogate pair, which is not a character"),
            ({"user": 5}, "user is not a string"),
            ({"user": "x" * 1_501}, "user is over 1,500 bytes"),
            ({"created_at": None}, "created_at is missing"),
            ({"created_at": 1}, "created_at is not a time"),
            ({"created_at": "2019-02-30T00:00:00Z"}, "created_at is not a time"),
            ({"created_at": "yesterday"}, "created_at is not a time"),
            ({"created_at": "Wed Jux 03 12:00:00 +0000 2019"}, "created_at is not a time"),
            ({"created_at": "0001-01-01T00:00:00+09:00"}, "created_at is not a time"),
            ({"created_at": "2019-07-03T12:00:00"}, "created_at has no time zone"),
            ({"created_at": "1969-12-31T23:59:59Z"}, "created_at is not between 1970 and 2261"),
            ({"created_at": "2262-01-01T00:00:00Z"}, "created_at is not between 1970 and 2261"),
        ],
    )
    def test_what_is_refused(self, changes: dict[str, Any], expected: str) -> None:
        assert reason(own(**changes)) == expected

    def test_long_text_and_odd_characters_stay(self) -> None:
        text = "é\0\u2028" * 30_000
        assert post(own(text=text)).text == text

    @given(
        st.integers(1, 2**63 - 1),
        st.text(max_size=30),
        st.text(),
        st.datetimes(datetime(1970, 1, 1), datetime(2261, 12, 31), timezones=st.just(UTC)),
        st.lists(st.text(min_size=1)),
    )
    def test_a_written_line_reads_as_the_same_post(
        self, tid: int, user: str, text: str, created_at: datetime, urls: list[str]
    ) -> None:
        line = to_line(tid, user, text, created_at, urls)
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert post(json.loads(line)) == Post(tid, user, text, created_at, tuple(urls))

    def test_times_are_written_with_z_and_microseconds_if_any(self) -> None:
        line = to_line(1, "", "", NOON.astimezone(UTC), [])
        assert json.loads(line)["created_at"] == "2019-07-03T12:00:00Z"
        line = to_line(1, "", "", NOON + timedelta(microseconds=5), [])
        assert json.loads(line)["created_at"] == "2019-07-03T12:00:00.000005Z"


class TestV11:
    def test_a_tweet_with_its_exact_id(self) -> None:
        expected = Post(TID, "anna", "good mor… https://t.co/1", NOON, ("http://a.example/",))
        assert post(v11()) == expected

    def test_the_long_text_of_a_stream(self) -> None:
        links = {"urls": [{"url": "https://t.co/2", "expanded_url": None}]}
        tweet = v11(extended_tweet={"full_text": "good morning", "entities": links})
        assert (post(tweet).text, post(tweet).urls) == ("good morning", ("https://t.co/2",))

    def test_the_long_text_of_a_page(self) -> None:
        tweet = v11(full_text="good morning")
        del tweet["text"]
        assert (post(tweet).text, post(tweet).urls) == ("good morning", ("http://a.example/",))

    def test_a_retweet_carries_its_original_whole(self) -> None:
        links = {"urls": [{"expanded_url": "http://b.example/"}]}
        original = v11(extended_tweet={"full_text": "all of it", "entities": links})
        tweet = v11(text="RT @bert: all o…", retweeted_status=original, entities={"urls": []})
        assert post(tweet).text == "RT @bert: all of it"
        assert post(tweet).urls == ("http://b.example/",)

    def test_a_tweet_of_a_personal_archive(self) -> None:
        tweet = v11(created_at="2019-07-03 12:00:00 +0000")
        assert post(tweet).created_at == NOON
        del tweet["user"]
        assert post({"tweet": tweet}).user == ""

    def test_a_deletion(self) -> None:
        status = {"id": 1146304818337722400, "id_str": str(TID), "user_id": 1}
        assert only({"delete": {"status": status, "timestamp_ms": "1"}}) == Deletion(TID)
        assert only({"delete": {"status": {"id": TID}}}) == Deletion(TID)
        assert reason({"delete": {}}) == "id is missing"

    def test_other_notices(self) -> None:
        expected = "a notice of the stream that concerns no single post"
        assert reason({"limit": {"track": 5}}) == expected

    @pytest.mark.parametrize(
        "mark",
        [
            {"withheld_copyright": True},
            {"withheld_scope": "user"},
            {"withheld_in_countries": ["XX"]},
        ],
    )
    def test_withheld(self, mark: dict[str, Any]) -> None:
        assert reason(v11(**mark)) == "withheld: the text is a notice of the platform"

    def test_withheld_in_some_countries_alone_is_kept(self) -> None:
        assert post(v11(withheld_in_countries=["DE"])).tid == TID

    def test_unwound_links(self) -> None:
        link = {"expanded_url": "http://b.ly/1", "unwound": {"url": "http://b.example/"}}
        assert post(v11(entities={"urls": [link]})).urls == ("http://b.example/",)

    def test_pages(self) -> None:
        assert [type(result) for result in results([v11(), v11()])] == [Post, Post]
        assert [type(result) for result in results({"statuses": [v11()]})] == [Post]


class TestV2:
    def test_a_page(self) -> None:
        assert post(v2({})) == Post(TID, "anna", "good morning", NOON)

    def test_a_line_of_a_stream(self) -> None:
        page = v2({})
        assert post(page | {"data": page["data"][0]}) == post(page)

    def test_links(self) -> None:
        urls = [
            {"url": "https://t.co/1", "expanded_url": "http://b.ly/1", "unwound_url": "http://b/"},
            {"url": "https://t.co/2", "expanded_url": "http://c/"},
            {"url": "https://t.co/3"},
            {"expanded_url": "https://x/photo/1", "display_url": "pic.twitter.com/1"},
        ]
        assert post(v2({"entities": {"urls": urls}})).urls == (
            "http://b/",
            "http://c/",
            "https://t.co/3",
        )

    def test_a_long_post_with_its_links(self) -> None:
        note = {"text": "all of it", "entities": {"urls": [{"expanded_url": "http://b/"}]}}
        found = post(v2({"note_tweet": note, "entities": {"urls": [{"url": "http://no/"}]}}))
        assert (found.text, found.urls) == ("all of it", ("http://b/",))

    def test_a_retweet_carries_its_original_whole(self) -> None:
        page = v2(
            {
                "text": "RT @bert: all o…",
                "referenced_tweets": [
                    {"type": "quoted", "id": "8"},
                    {"type": "retweeted", "id": "9"},
                ],
            }
        )
        assert post(page).text == "RT @bert: all o…"
        links = {"urls": [{"expanded_url": "http://b/"}]}
        page["includes"]["tweets"] = [{"id": "9", "text": "all of it", "entities": links}]
        assert (post(page).text, post(page).urls) == ("RT @bert: all of it", ("http://b/",))

    def test_the_options_of_a_poll_are_text(self) -> None:
        page = v2({"attachments": {"poll_ids": ["7"]}})
        page["includes"]["polls"] = [{"id": "7", "options": [{"label": "Tea"}, {"label": "Rum"}]}]
        assert post(page).text == "good morning\nTea\nRum"

    def test_ids_and_texts_alone(self) -> None:
        found = post({"data": [{"id": "1578466218075312129", "text": "hi"}], "meta": {}})
        assert found.user == ""
        assert found.created_at == datetime(2022, 10, 7, 19, 24, 7, 530000, tzinfo=UTC)

    def test_a_consecutive_id_has_no_time_in_it(self) -> None:
        assert reason({"data": [{"id": "20", "text": "setting up"}]}) == "created_at is missing"

    def test_an_edited_post_replaces_its_earlier_versions(self) -> None:
        history = ["5", "6", str(TID), str(TID + 1)]
        found = list(results(v2({"edit_history_tweet_ids": history})))
        assert [type(found[0]), *found[1:]] == [Post, Deletion(5), Deletion(6)]
        assert list(results(v2({"edit_history_tweet_ids": [str(TID)]})))[1:] == []
        assert list(results(v2({"edit_history_tweet_ids": ["x", str(TID)]})))[1:] == [
            Skip("id is not an integer")
        ]

    def test_withheld(self) -> None:
        expected = "withheld: the text is a notice of the platform"
        assert reason(v2({"withheld": {"scope": "user", "country_codes": ["IN"]}})) == expected
        assert reason(v2({"withheld": {"copyright": True}})) == expected
        assert post(v2({"withheld": {"copyright": False, "country_codes": ["IN"]}})).tid == TID

    def test_partial_errors_are_passed_over(self) -> None:
        assert post(v2({}, errors=[{"title": "Not Found Error"}])).tid == TID

    def test_an_error_without_data(self) -> None:
        assert reason({"errors": [{"title": "Not Found"}]}) == "an error answer without data"

    def test_empty_pages(self) -> None:
        assert list(results({"meta": {"result_count": 0}})) == []
        assert list(results({"data": [], "meta": {"result_count": 0}})) == []

    def test_odd_data(self) -> None:
        assert reason({"data": [5]}) == "not an object in data"


class TestResults:
    @pytest.mark.parametrize("document", [None, 5, "x", {}, {"x": 1}, [[[1]]], True])
    def test_unknown(self, document: object) -> None:
        assert only(document) == UNKNOWN

    def test_the_empty_list(self) -> None:
        assert list(results([])) == []

    def test_deep_nesting_ends(self) -> None:
        nested: object = own()
        for _ in range(5_000):
            nested = [nested]
        assert list(results(nested)) == [UNKNOWN]

    def test_snowflakes(self) -> None:
        assert snowflake_time(TID).replace(microsecond=0) == datetime(2019, 7, 3, 6, 29, tzinfo=UTC)
        with pytest.raises(RefusedError, match="^created_at is missing$"):
            snowflake_time(2**40 - 1)

    def test_the_first_id_that_is_there_counts(self) -> None:
        assert parse_tid(None, "12", 13) == 12

    @given(st.text())
    def test_hashed_ids_are_ids(self, name: str) -> None:
        assert parse_tid(hashed_tid(name)) == hashed_tid(name)

    @given(st.datetimes(datetime(1970, 1, 2), datetime(2261, 12, 30), timezones=OFFSETS))
    def test_times_are_in_utc(self, time: datetime) -> None:
        assert parse_time(time.isoformat()) == time
        assert parse_time(time.isoformat()).tzinfo is UTC


KEYS = (
    "tid id id_str text full_text user screen_name created_at urls delete status data "
    "includes users tweets errors meta result_count limit tweet statuses feed posts post "
    "uri record createdAt indexedAt facets features index byteStart byteEnd reason by did "
    "$type embed external media content account acct reblog spoiler_text retweeted_status "
    "extended_tweet entities expanded_url note_tweet referenced_tweets type author_id "
    "withheld edit_history_tweet_ids username attachments poll poll_ids polls options label "
    "title emojis shortcode mentions tags name records value thread replies parent did time_us "
    "kind commit collection operation rkey subject py_type created_at indexed_at unwound "
    "orderedItems actor object attributedTo published updated summary tag oneOf anyOf href "
    "_type date rawContent renderedContent links outlinks retweetedTweet conversation_id "
    "time timezone thread"
).split()
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["at://did:plc:a/app.bsky.feed.post/3lof7sovfok2h", "2019-07-03T12:00:00Z", str(TID)]
        + ["app.bsky.feed.defs#reasonRepost", "retweeted", "<p>a<br>b</p>"]
    )
)
DOCUMENTS = st.recursive(
    VALUES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS), inner, max_size=8)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=25,
)


@pytest.mark.parametrize("module", [activitypub, bluesky, grailbird, html_text, x_posts])
def test_examples(module: ModuleType) -> None:
    outcome = doctest.testmod(module)
    assert (outcome.failed, outcome.attempted > 0) == (0, True)


@given(DOCUMENTS)
@example({"tweet": "x", "id": 1 << 99, "username": [], "conversation_id": None})
@example({"thread": {"replies": [[], {"replies": {}}], "parent": {"post": []}}})
@example({"type": "OrderedCollection", "orderedItems": {"type": "Create"}})
@example({"type": "Announce", "actor": {"id": "http://["}, "object": {"content": "<p>x"}})
def test_no_document_crashes(document: object) -> None:
    for result in results(document):
        assert isinstance(result, Post | Deletion | Skip)
        if isinstance(result, Post):
            assert 0 < result.tid < 2**63
            assert result.created_at.tzinfo is UTC
            json.loads(to_line(result.tid, result.user, result.text, result.created_at, []))


@pytest.mark.parametrize(
    "value",
    [
        1562155200,
        1562155200.0,
        1562155200000,
        "1562155200",
        "1562155200.0",
        "1562155200000",
        {"$date": "2019-07-03T12:00:00Z"},
        {"$date": 1562155200000},
        {"$date": {"$numberLong": "1562155200000"}},
    ],
)
def test_other_forms_of_a_time(value: object) -> None:
    assert post(own(created_at=value)).created_at == NOON


@pytest.mark.parametrize(
    "value",
    [
        *(True, [], {}, float("nan"), 1e300),
        *(
            {"$date": date}
            for date in (None, {"$numberLong": "x"}, {"$numberLong": "1_562_155_200"})
        ),
    ],
)
def test_no_time(value: object) -> None:
    assert reason(own(created_at=value)) == "created_at is not a time"
