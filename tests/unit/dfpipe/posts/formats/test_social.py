"""The formats of Bluesky and Mastodon, on hand-made records in the shapes of recorded ones."""

import html
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfpipe.posts.formats.bluesky import post_tid
from dfpipe.posts.formats.html_text import html_text
from dfpipe.posts.formats.recognise import results
from dfpipe.posts.formats.result import Result, Skip, hashed_tid
from dfpipe.posts.post import Post

URI = "at://did:plc:anna/app.bsky.feed.post/3lof7sovfok2h"
NOON = datetime(2025, 5, 5, 12, tzinfo=UTC)


def only(document: object) -> Result:
    (result,) = results(document)
    return result


def bluesky(record: dict[str, Any], **changes: Any) -> dict[str, Any]:
    base = {"$type": "app.bsky.feed.post", "text": "hello", "createdAt": "2025-05-05T12:00:00.000Z"}
    view = {
        "uri": URI,
        "author": {"did": "did:plc:anna", "handle": "anna.example"},
        "record": base | record,
        "indexedAt": "2025-05-05T12:00:01.000Z",
    }
    return view | changes


def link(text: str, shown: str, uri: str) -> dict[str, Any]:
    start = len(text[: text.index(shown)].encode())
    feature = {"$type": "app.bsky.richtext.facet#link", "uri": uri}
    index = {"byteStart": start, "byteEnd": start + len(shown.encode())}
    return {"index": index, "features": [feature]}


def mastodon(**changes: Any) -> dict[str, Any]:
    status = {
        "id": "114869166204750572",
        "uri": "https://m.example/users/anna/statuses/1",
        "created_at": "2025-05-05T12:00:00.000Z",
        "spoiler_text": "",
        "content": "<p>hello</p>",
        "reblog": None,
        "account": {"acct": "anna@m.example", "username": "anna"},
    }
    return status | changes


class TestBluesky:
    def test_feeds_searches_and_single_posts(self) -> None:
        expected = Post(1788322424743936013, "anna.example", "hello", NOON)
        view = bluesky({})
        documents: list[object] = [
            {"feed": [{"post": view}], "cursor": "x"},
            {"posts": [view]},
            view,
        ]
        for document in documents:
            assert only(document) == expected

    def test_empty_feeds(self) -> None:
        assert list(results({"feed": []})) == []

    def test_the_earlier_of_both_times_counts(self) -> None:
        found = only(bluesky({"createdAt": "2200-01-01T00:00:00Z"}))
        assert isinstance(found, Post)
        assert found.created_at == NOON.replace(second=1)

    def test_links_are_listed_and_written_out(self) -> None:
        text = "Café ❤️ see example.com/a-lo... and this"
        facets = [
            link(text, "this", "http://b.example/"),
            link(text, "example.com/a-lo...", "https://www.example.com/a-long-one"),
        ]
        card = {"external": {"uri": "http://c.example/"}}
        found = only(bluesky({"text": text, "facets": facets, "embed": card}))
        assert isinstance(found, Post)
        assert found.text == "Café ❤️ see https://www.example.com/a-long-one and this"
        assert found.urls == (
            "https://www.example.com/a-long-one",
            "http://b.example/",
            "http://c.example/",
        )

    def test_a_card_beside_a_quoted_post_and_a_link_given_twice(self) -> None:
        text = "see example.com/a"
        facets = [link(text, "example.com/a", "https://example.com/a")]
        card = {"media": {"external": {"uri": "https://example.com/a"}}}
        found = only(bluesky({"text": text, "facets": facets, "embed": card}))
        assert isinstance(found, Post)
        assert found.urls == ("https://example.com/a",)

    @pytest.mark.parametrize(("start", "end"), [(-1, 3), (3, 3), (4, 2), (0, 99), ("0", 3)])
    def test_facets_outside_of_the_text_change_nothing(self, start: object, end: object) -> None:
        feature = {"uri": "http://hello/"}
        facet = {"index": {"byteStart": start, "byteEnd": end}, "features": [feature]}
        found = only(bluesky({"facets": [facet]}))
        assert isinstance(found, Post)
        assert found.text == "hello"

    def test_a_facet_that_cuts_a_character_does_no_harm(self) -> None:
        facet = {"index": {"byteStart": 1, "byteEnd": 2}, "features": [{"uri": "http://x/"}]}
        found = only(bluesky({"text": "é!", "facets": [facet]}))
        assert isinstance(found, Post)
        assert found.text == "é!"

    def test_a_link_whose_place_is_counted_in_characters(self) -> None:
        text = "🔗 see www.example.com/2025/aug... and example.org"
        uri = "https://example.com/2025/august/report"
        facet = {"index": {"byteStart": 5, "byteEnd": 30}, "features": [{"uri": uri}]}
        found = only(bluesky({"text": text, "facets": [facet]}))
        assert isinstance(found, Post)
        assert found.text == f"🔗 see {uri} and example.org"

    @pytest.mark.parametrize(
        "uri", ["http://[", "https://", "https://example.org/", "nothing", "\ud800://a.b"]
    )
    def test_a_link_that_is_not_shown_changes_nothing(self, uri: str) -> None:
        facet = {"index": {"byteStart": 90, "byteEnd": 99}, "features": [{"uri": uri}]}
        found = only(bluesky({"text": "see example.com", "facets": [facet]}))
        assert isinstance(found, Post | Skip)
        assert not isinstance(found, Post) or found.text == "see example.com"

    @pytest.mark.parametrize(
        "created_at",
        [None, "yesterday", "0001-01-01T00:00:00.000Z", "2025-05-05T12:00:00.000", 7, {}],
    )
    def test_without_a_readable_time_it_is_that_of_indexing(self, created_at: object) -> None:
        found = only(bluesky({"createdAt": created_at}))
        assert isinstance(found, Post)
        assert found.created_at == NOON.replace(second=1)

    @pytest.mark.parametrize("media", [False, True])
    def test_a_moving_picture_is_not_a_link(self, media: bool) -> None:
        card: dict[str, Any] = {"external": {"uri": "https://media.tenor.com/abc/cat.gif?hh=498"}}
        found = only(bluesky({"embed": {"media": card} if media else card}))
        assert isinstance(found, Post)
        assert found.urls == ()

    def test_a_repost_is_a_post_of_its_own(self) -> None:
        reason = {
            "$type": "app.bsky.feed.defs#reasonRepost",
            "by": {"did": "did:plc:bert", "handle": "bert.example"},
            "indexedAt": "2025-05-06T12:00:00Z",
        }
        found = only({"post": bluesky({}), "reason": reason})
        tid = hashed_tid(f"did:plc:bert {URI}")
        assert found == Post(tid, "bert.example", "hello", NOON.replace(day=6))

    def test_a_pinned_post_is_the_post(self) -> None:
        reason = {"$type": "app.bsky.feed.defs#reasonPin"}
        assert only({"post": bluesky({}), "reason": reason}) == only(bluesky({}))

    @pytest.mark.parametrize(
        ("view", "reason"),
        [
            (bluesky({"text": None}), "text is missing"),
            (bluesky({"createdAt": None}, indexedAt=None), "created_at is missing"),
            (bluesky({}, uri="x"), "id is not an at:// URI"),
            ({"uri": URI, "notFound": True}, "deleted or blocked"),
        ],
    )
    def test_what_is_refused(self, view: dict[str, Any], reason: str) -> None:
        assert only({"posts": [view]}) in (Skip(reason), Skip("in no known format"))
        assert only({"post": view}) == Skip(reason)

    @given(st.integers(1, 2**63 - 1))
    def test_numbers_of_record_keys(self, number: int) -> None:
        alphabet = "234567abcdefghijklmnopqrstuvwxyz"
        key = "".join(alphabet[number >> shift & 31] for shift in range(60, -5, -5))
        assert post_tid(f"at://did:plc:a/app.bsky.feed.post/{key}") == number

    @pytest.mark.parametrize("key", ["self", "z" * 13, "2" * 13, "3LOF7SOVFOK2H", ""])
    def test_other_record_keys_are_hashed(self, key: str) -> None:
        uri = f"at://did:plc:a/app.bsky.feed.post/{key}"
        assert post_tid(uri) == hashed_tid(uri)


class TestMastodon:
    def test_timelines(self) -> None:
        expected = Post(114869166204750572, "anna@m.example", "hello", NOON)
        assert list(results([mastodon(), mastodon()])) == [expected, expected]

    def test_other_ids(self) -> None:
        found = only(mastodon(id="9sXUtYQzZy8jm3lXE0"))
        assert isinstance(found, Post)
        assert found.tid == hashed_tid("https://m.example/users/anna/statuses/1")
        assert only(mastodon(id="9sXUtYQzZy8jm3lXE0", uri=None)) == Skip("id is not an integer")

    def test_a_boost_carries_its_original(self) -> None:
        original = mastodon(id="5", content='<p>from <a href="http://b/">b</a></p>')
        found = only(mastodon(content="", reblog=original))
        assert found == Post(114869166204750572, "anna@m.example", "from b", NOON, ("http://b/",))

    def test_a_content_warning_is_the_first_line(self) -> None:
        found = only(mastodon(spoiler_text="politics"))
        assert isinstance(found, Post)
        assert found.text == "politics\nhello"

    def test_options_of_a_poll_are_the_last_lines(self) -> None:
        poll = {"options": [{"title": "schooner"}, {"title": "trawler"}, {"title": None}]}
        found = only(mastodon(poll=poll, spoiler_text="boats"))
        assert isinstance(found, Post)
        assert found.text == "boats\nhello\nschooner\ntrawler"

    def test_codes_of_custom_emoji_are_not_text(self) -> None:
        emojis = [{"shortcode": "blobcat"}, {"shortcode": "a.c"}]
        found = only(mastodon(content="<p>x:blobcat:y :abc: 10:30:15 :a.c:</p>", emojis=emojis))
        assert isinstance(found, Post)
        assert found.text == "x y :abc: 10:30:15"

    @pytest.mark.parametrize(
        "link",
        [
            '<a href="https://pl.example/users/mio">@<span>mio</span></a>',
            '<a href="https://pl.example/users/MIO">mio</a>',
            '<a href="https://else.example/1">@Mio@pl.example</a>',
            '<a href="https://pl.example/tag/Harbour">tag</a>',
            '<a href="https://else.example/2"> #<b>HARBOUR</b></a>',
        ],
    )
    def test_links_to_people_and_hashtags_that_are_named(self, link: str) -> None:
        named = {
            "mentions": [
                {"username": "mio", "acct": "mio@pl.example", "url": "https://pl.example/users/mio"}
            ],
            "tags": [{"name": "harbour", "url": "https://pl.example/tag/harbour"}],
        }
        content = f'<p>{link} <a href="http://a.example">#else</a></p>'
        found = only(mastodon(content=content, **named))
        assert isinstance(found, Post)
        assert found.urls == ("http://a.example",)

    @pytest.mark.parametrize(
        ("content", "text", "urls"),
        [
            ("", "", []),
            (
                '<p class="quote-inline">RE: <a href="http://q/"><span>http://</span>q/</a></p>'
                '<p>this <a href="http://a/">a</a></p>',
                "this a",
                ["http://a/"],
            ),
            ('x<span class="quote-inline"><br><br>RE: <a href="http://q/">q</a></span>', "x", []),
            ('<a href="http://a/">a<p>b</a>c', "ab\nc", ["http://a/"]),
            ("plain", "plain", []),
            ("<p>a<![foo[ x ]]>b</p>", "ab", []),
            ("a<script>var x</script><style>p {}</style> b", "a b", []),
            ("<p>a<br>b</p><p>c</p>", "a\nb\nc", []),
            ("<p>1 &lt; 2 &amp;amp; <b>x</b>", "1 < 2 &amp; x", []),
            (
                '<p><a href="http://a/long"><span class="invisible">http://</span>'
                '<span class="ellipsis">a/l</span><span class="invisible">ong</span></a> end</p>',
                "http://a/long end",
                ["http://a/long"],
            ),
            (
                '<a href="http://m/@b" class="u-url mention">@<span>b</span></a> '
                '<a href="http://m/tags/x" class="mention hashtag" rel="tag">#<span>x</span></a>'
                '<a href="http://m/tags/y" rel="tag">#y</a><a href="">z</a><a>w</a>',
                "@b #x#yzw",
                [],
            ),
        ],
    )
    def test_html(self, content: str, text: str, urls: list[str]) -> None:
        assert html_text(content) == (text, urls)

    @given(st.lists(st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=20)))
    def test_text_is_kept_as_it_is(self, paragraphs: list[str]) -> None:
        content = "".join(f"<p>{html.escape(text)}</p>" for text in paragraphs)
        assert html_text(content)[0] == "\n".join(paragraphs).strip()

    def test_any_depth_is_read_or_refused(self) -> None:
        assert html_text("<p>" * 30_000 + "x") == ("x", [])
        deep = only(mastodon(content="<span>" * 30_000 + "x"))
        assert deep == Skip("the HTML is nested too deeply")

    @pytest.mark.parametrize(
        "part", ["<a", "<!--", "<![foo[", "</x>", "&", '<a href="', "<p a", "<br>", "<b></i>"]
    )
    def test_no_html_takes_more_than_linear_time(self, part: str) -> None:
        # Each of them took some parser minutes; this is at most a second on any machine.
        only(mastodon(content=part * (900_000 // len(part))))

    def test_what_a_library_raises_is_that_records_fault(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def failing(content: str, named: set[str]) -> tuple[str, list[str]]:
            if "bad" in content:
                raise LookupError(content)
            return html_text(content)

        monkeypatch.setattr("dfpipe.posts.formats.mastodon.html_text", failing)
        found = list(results([mastodon(content="bad"), mastodon()]))
        assert found[0] == Skip("cannot be read: LookupError")
        assert isinstance(found[1], Post)

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"content": None}, "text is missing"),
            ({"id": None}, "id is missing"),
            ({"id": "0"}, "id is not between 1 and 2**63 - 1"),
            ({"created_at": ""}, "created_at is not a time"),
        ],
    )
    def test_what_is_refused(self, changes: dict[str, Any], reason: str) -> None:
        assert only(mastodon(**changes)) == Skip(reason)

    @given(st.text(st.sampled_from("<>/&;#\"'= abphref!-[]?\0x1"), max_size=60))
    def test_no_html_crashes(self, content: str) -> None:
        text, urls = html_text(content)
        assert isinstance(text, str)
        assert all(urls)
