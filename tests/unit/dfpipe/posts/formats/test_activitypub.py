"""Outboxes of ActivityPub, on hand-made ones in the shapes of Mastodon's export."""

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from dfpipe.posts.formats import json_stream
from dfpipe.posts.formats.recognise import results
from dfpipe.posts.formats.result import UNKNOWN, Deletion, Result, Skip, hashed_tid
from dfpipe.posts.post import Post
from tests.support.format_corpus import ACTIVITY, NOTE, STATUS

SEVEN = datetime(2023, 9, 8, 7, tzinfo=UTC)
TID = 109300000000000001


def outbox(*activities: object) -> dict[str, Any]:
    return {"type": "OrderedCollection", "orderedItems": list(activities)}


def create(**changes: Any) -> dict[str, Any]:
    return ACTIVITY | {"object": NOTE | changes}


def only(document: object) -> Result:
    (result,) = results(document)
    return result


def post(document: object) -> Post:
    result = only(document)
    assert isinstance(result, Post), result
    return result


def test_a_post_in_an_outbox_alone_and_without_its_activity() -> None:
    expected = Post(TID, "ana@social.example", "Storm", SEVEN)
    assert [only(one) for one in (outbox(ACTIVITY), ACTIVITY, NOTE)] == [expected] * 3


def test_an_outbox_and_the_api_of_its_server_give_the_same_post() -> None:
    parts: dict[str, Any] = {
        "content": '<p><a href="http://a/">a</a> <a href="https://m/@mio">@mio</a> :cat:</p>',
    }
    tags = [
        {"type": "Mention", "href": "https://m/@mio", "name": "@mio@m"},
        {"type": "Emoji", "name": ":cat:"},
    ]
    options = [{"type": "Note", "name": "Tea"}, {"type": "Note", "name": "Rum"}]
    ours = create(
        type="Question", summary="boats", tag=tags, updated="2023-09-08T08:00:00Z", oneOf=options
    )
    ours["object"] |= parts
    theirs = STATUS | {
        "id": str(TID),
        "created_at": "2023-09-08T07:00:00.000Z",
        "edited_at": "2023-09-08T08:00:00.000Z",
        "spoiler_text": "boats",
        "mentions": [{"url": "https://m/@mio", "username": "mio", "acct": "mio@m"}],
        "emojis": [{"shortcode": "cat"}],
        "poll": {"options": [{"title": "Tea"}, {"title": "Rum"}]},
        "account": {"acct": "ana@social.example"},
    }
    assert post(outbox(ours)) == post(theirs | parts)
    assert post(ours).text == "boats\na @mio  \nTea\nRum"


def test_a_boost_has_the_address_of_its_original() -> None:
    address = "https://other.example/users/ben/statuses/1"
    boost = ACTIVITY | {"type": "Announce", "object": address}
    assert only(outbox(boost)) == Post(TID, "ana@social.example", "", SEVEN, (address,))


def test_a_boost_of_an_own_post_has_its_text() -> None:
    original = NOTE | {"id": "https://social.example/users/ana/statuses/5"}
    boost = ACTIVITY | {"type": "Announce", "object": original}
    assert only(outbox(boost)) == Post(TID, "ana@social.example", "Storm", SEVEN)


@pytest.mark.parametrize(
    "address",
    ["https://s.example/objects/9sXUtYQz", "https://s.example/p/0", f"https://s/{2**63}"],
)
def test_posts_of_other_programs_have_the_hash_of_their_address(address: str) -> None:
    assert post(create(id=address)).tid == hashed_tid(address)


@pytest.mark.parametrize("thing", [NOTE["id"], {"id": NOTE["id"], "type": "Tombstone"}])
def test_a_deletion(thing: object) -> None:
    assert only(ACTIVITY | {"type": "Delete", "object": thing}) == Deletion(TID)


@pytest.mark.parametrize(
    ("actor", "user"),
    [
        ("https://s.example/@ana", "ana@s.example"),
        ("https://s.example/users/ana/", "ana@s.example"),
        ({"id": "https://s.example/users/ana"}, "ana@s.example"),
        ("ana", ""),
        (None, ""),
    ],
)
def test_names_of_accounts(actor: object, user: str) -> None:
    assert post(create(attributedTo=actor)).user == user


def test_lists_of_likes_and_bookmarks_are_not_posts() -> None:
    assert list(results(outbox("https://a/1", "https://a/2"))) == [UNKNOWN, UNKNOWN]


@pytest.mark.parametrize(
    ("activity", "reason"),
    [
        (ACTIVITY | {"type": "Like"}, "neither writes, boosts nor deletes"),
        (ACTIVITY | {"object": "https://a/1"}, "text is missing"),
        (ACTIVITY | {"type": "Announce", "object": None}, "text is missing"),
        (create(id="1"), "id is not an address"),
        (create(published=None), "created_at is missing"),
        (create(content=7), "text is missing"),
    ],
)
def test_what_is_refused(activity: dict[str, Any], reason: str) -> None:
    found = only(activity)
    assert isinstance(found, Skip)
    assert reason in found.reason


@pytest.mark.parametrize("end", ["", "\n", "\n" + json.dumps(outbox(create(id="https://a/9")))])
@pytest.mark.parametrize("piece", [200, 256, 300, 2**20])
@pytest.mark.parametrize("indent", [None, 2])
def test_an_outbox_of_any_length_is_read(
    end: str, piece: int, indent: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    posts = [create(id=f"https://a/{n}", content=f"<p>{n} }}]</p>") for n in range(1, 9)]
    whole = {"@context": ["https://a", {"x": "y"}], **outbox(*posts), "next": {"a": ["}"]}}
    written = json.dumps(whole, indent=indent) + end
    monkeypatch.setattr(json_stream, "PIECE", piece)
    if piece < 2**20 or indent:
        monkeypatch.setattr(json_stream, "MAX_DOCUMENT_BYTES", 2_000)
    read = json_stream.documents("outbox.json", io.BytesIO(written.encode()))
    found = [result for _, document in read for result in results(document)]
    numbers = [result.tid for result in found if isinstance(result, Post)]
    assert numbers == [*range(1, 9), *([9] if len(end) > 1 else [])]
    assert len(found) == len(numbers)
