"""Archives that people reported as refused or misread, and the whole result of each."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dfpipe.analysis.tokenizer import Tokenizer
from dfpipe.posts.archives import long_texts, read
from dfpipe.posts.containers import ArchiveFile, PassedOver
from dfpipe.posts.formats.result import Deletion, Skip
from dfpipe.posts.post import Post
from tests.support.archives import tarred, x_files
from tests.support.flattening import flattened
from tests.support.format_corpus import DID, NOTE, SDK_VIEW, SNSCRAPE, STATUS, TWEET_V1, VIEW

TID = 1700000000000000001
LONG = "The keeper of the lighthouse wrote " + "at length " * 30 + "about zanzibar"
STORM = "https://news.example/storm"
MONTH = {"full_text": "Storm", "id_str": str(TID), "created_at": "Fri Sep 08 07:00:00 +0000 2023"}

PAGE = {
    "data": [
        {
            "id": str(TID),
            "author_id": "11",
            "created_at": "2023-09-08T07:00:00.000Z",
            "text": "Lighthouse https://t.co/a",
            "entities": {"urls": [{"url": "https://t.co/a", "display_url": "pic.twitter.com/a"}]},
        },
        {
            "id": str(TID + 1),
            "author_id": "12",
            "created_at": "2023-09-08T07:01:00.000Z",
            "text": f"RT @ana: {LONG[:100]}…",
            "referenced_tweets": [{"type": "retweeted", "id": "5"}],
        },
        {
            "id": str(TID + 4),
            "author_id": "11",
            "created_at": "2023-09-08T07:05:00.000Z",
            "text": "Corrected",
            "edit_history_tweet_ids": [str(TID + 3), str(TID + 4)],
        },
        {"id": "7", "author_id": "11", "text": "withheld", "withheld": {"scope": "user"}},
    ],
    "includes": {
        "users": [{"id": "11", "username": "ana"}, {"id": "12", "username": "ben"}],
        "tweets": [{"id": "5", "text": LONG[:100], "note_tweet": {"text": LONG}}],
    },
}
OF_PAGE = [
    (TID, "ana", "Lighthouse https://t.co/a", ()),
    (TID + 1, "ben", f"RT @ana: {LONG}", ()),
    (TID + 4, "ana", "Corrected", ()),
    ("deletion", TID + 3),
    ("skip", "withheld: the text is a notice of the platform"),
]


def lines(*documents: object) -> bytes:
    return b"".join(json.dumps(document).encode() + b"\n" for document in documents)


def own(tid: int, text: str) -> dict[str, Any]:
    return {"tid": tid, "user": "ana", "text": text, "created_at": "2023-09-08T07:00:00Z"}


def v11(tid: int, text: str, *urls: Mapping[str, Any]) -> dict[str, Any]:
    return TWEET_V1 | {"id": tid, "id_str": str(tid), "text": text, "entities": {"urls": [*urls]}}


def status(tid: int, content: str, **more: Any) -> dict[str, Any]:
    return STATUS | {"id": str(tid), "content": content} | more


def view(key: str, text: str, **more: Any) -> dict[str, Any]:
    record = {"$type": "app.bsky.feed.post", "text": text, "createdAt": "2025-05-19T17:24:22Z"}
    uri = f"at://{DID}/app.bsky.feed.post/{key}"
    return VIEW | {"uri": uri, "indexedAt": "2025-05-19T17:24:23Z", "record": record | more}


def facet(start: int, end: int, **feature: str) -> list[Any]:
    return [{"index": {"byteStart": start, "byteEnd": end}, "features": [feature]}]


def as_listed(data: dict[str, Any]) -> dict[str, Any]:
    return {"records": [{"uri": data["uri"], "cid": "bafy", "value": data["record"]}]}


ANNOUNCE = {
    "id": "https://social.example/users/ana/statuses/3/activity",
    "type": "Announce",
    "actor": "https://social.example/users/ana",
    "published": "2023-09-08T07:20:00Z",
    "object": "https://other.example/users/ben/statuses/1",
}
CREATE = ANNOUNCE | {
    "type": "Create",
    "object": NOTE | {"id": "https://s.example/2", "summary": "weather"},
}
JETSTREAM = {"did": DID, "time_us": 1747675462643000, "kind": "commit"}
LINK_FACET = "app.bsky.richtext.facet#link"
MENTION_FACET = "app.bsky.richtext.facet#mention"
FIRST = 1789619675336927239  # the id of the record key 3lpk3nnns5u2b; the keys after it ascend
KEYS = [f"3lpk3nnns5u2{last}" for last in "bcdefghi"]
GIF = {
    "$type": "app.bsky.embed.external",
    "external": {"uri": "https://media.tenor.com/a/cat.gif?hh=4&ww=4", "title": "cat"},
}

# File, and what is in it: id, user, text and links of a post, or what else a record gives.
CASES: dict[str, tuple[bytes, list[tuple[Any, ...]]]] = {
    "v2 pages": (lines(PAGE), OF_PAGE),
    "v2 flattened": (lines(*flattened(PAGE)), OF_PAGE),
    "tweets.js with a semicolon": (
        b"window.YTD.tweets.part1 = " + json.dumps([{"tweet": MONTH}], indent=2).encode() + b";\n",
        [(TID, "", "Storm", ())],
    ),
    "outbox": (
        lines({"@context": "x", "type": "OrderedCollection", "orderedItems": [CREATE, ANNOUNCE]}),
        [
            (2, "ana@social.example", "weather\nStorm", ()),
            (3, "ana@social.example", "", ("https://other.example/users/ben/statuses/1",)),
        ],
    ),
    "records of Bluesky": (
        lines(as_listed(view(KEYS[0], "Storm"))),
        [(FIRST, DID, "Storm", ())],
    ),
    "Jetstream": (
        lines(
            JETSTREAM
            | {
                "commit": {
                    "operation": "create",
                    "collection": "app.bsky.feed.post",
                    "rkey": KEYS[0],
                    "record": view(KEYS[0], "Storm")["record"],
                }
            },
            JETSTREAM
            | {
                "commit": {
                    "operation": "delete",
                    "collection": "app.bsky.feed.post",
                    "rkey": KEYS[1],
                }
            },
        ),
        [(FIRST, DID, "Storm", ()), ("deletion", FIRST + 1)],
    ),
    "Python SDK of Bluesky": (
        lines({"feed": [{"post": SDK_VIEW, "reason": None, "reply": None}], "cursor": None}),
        [(FIRST, "ana.example", "Storm", ())],
    ),
    "snscrape": (lines(SNSCRAPE), [(SNSCRAPE["id"], "ana", SNSCRAPE["rawContent"], (STORM,))]),
    "twarc-csv": (
        b"id,author_id,created_at,text,entities.urls,author.username,withheld.scope,"
        b"withheld.copyright\n"
        b'1,11,2023-09-08T07:00:00.000Z,"Storm\nover the quay",[],ana,,\n'
        b"2,11,2023-09-08T07:00:00.000Z,a notice,[],ana,user,\n"
        b"3,11,2023-09-08T07:00:00.000Z,a notice,[],ana,,True\n"
        b"4,11,2023-09-08T07:00:00.000Z,Ferry,[],ana,tweet,False\n",
        [
            (1, "ana", "Storm\nover the quay", ()),
            *[("skip", "withheld: the text is a notice of the platform")] * 2,
            (4, "ana", "Ferry", ()),
        ],
    ),
    "ids and texts": (
        lines({"id": str(TID), "text": "Storm", "edit_history_tweet_ids": [str(TID)]}),
        [(TID, "", "Storm", ())],
    ),
    "jq": (
        "\n".join(json.dumps(own(n, "Storm"), indent=2) for n in (1, 2, 3)).encode(),
        [(n, "ana", "Storm", ()) for n in (1, 2, 3)],
    ),
    "tar of lines": (
        tarred({f"{n}.jsonl": lines(own(n, "Storm"), own(n + 1, "Ferry")) for n in (1, 3)}),
        [(n, "ana", "Storm" if n % 2 else "Ferry", ()) for n in (1, 2, 3, 4)],
    ),
    "NaN of pandas": (
        b'{"tid":1,"user":"ana","text":"Storm","created_at":"2023-09-08T07:00:00Z","urls":NaN}\n',
        [(1, "ana", "Storm", ())],
    ),
    "v1.1 links": (
        lines(
            v11(5, "cut…", {"expanded_url": "https://twitter.com/i/web/status/5"}),
            v11(6, "found", {"expanded_url": "http://bit.ly/x", "unwound": {"url": STORM}}),
        ),
        [(5, "ana", "cut…", ()), (6, "ana", "found", (STORM,))],
    ),
    "HTML of Mastodon": (
        lines(
            status(1, '<p class="quote-inline">RE: <a href="https://s/1">s/1</a></p><p>This</p>'),
            status(2, '<p>Day <a href="https://mk/@mio" class="u-url mention">@mio@mk.a</a> x</p>'),
            status(3, "<p>Lovely :cat:</p>", emojis=[{"shortcode": "cat"}]),
            status(4, "<p>Which?</p>", poll={"options": [{"title": "tea"}, {"title": "rum"}]}),
            status(
                5,
                '<p><a href="https://p/tag/sea">#sea</a> <a href="https://p/mio">@mio</a> x</p>',
                tags=[{"name": "sea", "url": "https://p/tag/sea"}],
                mentions=[{"username": "mio", "acct": "mio@p", "url": "https://p/mio"}],
            ),
            status(6, "<p>one<br/>two</p><ul><li>three</li><li>four</li></ul>"),
            status(7, "<p>Don&#39;t &lt;b&gt; &amp;amp; AT&amp;T</p>"),
        ),
        [
            (1, "ana", "This", ()),
            (2, "ana", "Day @mio@mk.a x", ()),
            (3, "ana", "Lovely", ()),
            (4, "ana", "Which?\ntea\nrum", ()),
            (5, "ana", "#sea @mio x", ()),
            (6, "ana", "one\ntwo\nthree\nfour", ()),
            (7, "ana", "Don't <b> &amp; AT&T", ()),
        ],
    ),
    "feed of Bluesky": (
        lines(
            {
                "feed": [
                    {"post": post}
                    for post in (
                        view(
                            KEYS[0],
                            "@mio.bsky.social hello",
                            facets=facet(0, 16, **{"$type": MENTION_FACET, "did": DID}),
                        ),
                        view(
                            KEYS[1],
                            "🔗 see news.example/sto...",
                            facets=facet(5, 24, **{"$type": LINK_FACET, "uri": STORM}),
                        ),
                        view(KEYS[2], "year zero", createdAt="0001-01-01T00:00:00.000Z"),
                        view(KEYS[3], "no zone", createdAt="2025-05-19T17:24:22.643"),
                        view(KEYS[4], "digits", createdAt="2024-11-18T18:02:15.8878051-05:00"),
                        view(KEYS[5], "no time", createdAt="yesterday"),
                        view(KEYS[6], "gif", embed=GIF),
                    )
                ]
                + [{"$type": "app.bsky.feed.defs#notFoundPost", "uri": "at://x", "notFound": True}],
            }
        ),
        [
            (FIRST, "ana.example", "@mio.bsky.social hello", ()),
            (FIRST + 1, "ana.example", f"🔗 see {STORM}", (STORM,)),
            (FIRST + 2, "ana.example", "year zero", ()),
            (FIRST + 3, "ana.example", "no zone", ()),
            (FIRST + 4, "ana.example", "digits", ()),
            (FIRST + 5, "ana.example", "no time", ()),
            (FIRST + 6, "ana.example", "gif", ()),
            ("skip", "deleted or blocked"),
        ],
    ),
}


def what(found: object) -> tuple[Any, ...]:
    if isinstance(found, Post):
        return found.tid, found.user, found.text, found.urls
    if isinstance(found, Deletion):
        return "deletion", found.tid
    return ("skip", found.reason) if isinstance(found, Skip) else ("other", found)


@pytest.mark.parametrize("name", CASES)
def test_an_archive_gives(name: str, tmp_path: Path) -> None:
    data, expected = CASES[name]
    (tmp_path / "archive").write_bytes(data)
    assert [what(found) for _, found in read(ArchiveFile("a", tmp_path / "archive"))] == expected


def test_an_archive_of_x_gives_posts_alone(tmp_path: Path) -> None:
    texts = ["Storm", LONG, "Second part", "Ferry"]
    begin = datetime(2023, 9, 8, 7, tzinfo=UTC)
    for name, data in x_files(
        [(begin + timedelta(hours=n), t) for n, t in enumerate(texts)]
    ).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    source = ArchiveFile("x", tmp_path)
    found = [thing for _, thing in read(source)]
    whole = long_texts([source]).whole
    assert sorted(whole(post).text for post in found if isinstance(post, Post)) == sorted(texts)
    assert not any(isinstance(thing, Deletion | Skip) for thing in found)
    assert sum(isinstance(thing, PassedOver) for thing in found) == 7


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("@mio.bsky.social look at the storm", {"look", "storm"}),
        ("Good morning @mio@chaos.social.", {"good", "morning"}),
        ("＠mio@chaos.social storm", {"storm"}),
        ("mail me@chaos.social", {"mail", "me", "chaos", "social"}),
    ],
)
def test_the_host_of_a_handle_is_not_a_word(text: str, words: set[str]) -> None:
    assert set(Tokenizer("modern", {"at", "the"}).words(text)) == words
