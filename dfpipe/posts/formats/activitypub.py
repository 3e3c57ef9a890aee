"""An account's own export of Mastodon and its kin: `outbox.json`, and the activities in it.

An outbox is a collection of activities of ActivityPub: a `Create` holds a post, an `Announce`
boosts one. An activity or a post may also be a separate document.
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

from dfpipe.posts.formats.html_text import html_text, with_parts
from dfpipe.posts.formats.result import (
    UNKNOWN,
    Deletion,
    Json,
    RefusedError,
    Result,
    Skip,
    attempt,
    hashed_tid,
    inside,
    items,
    make_post,
    parse_time,
    strings,
)
from dfpipe.posts.post import Post

OTHER_ACTIVITY = Skip("an activity that neither writes, boosts nor deletes a post")
_COLLECTIONS = ("OrderedCollection", "OrderedCollectionPage")
_POSTS = ("Note", "Article", "Page", "Question")


def is_collection(document: Json) -> bool:
    """Tell whether a document is an outbox or a page of one."""
    return document.get("type") in _COLLECTIONS and "orderedItems" in document


def is_activity(document: Json) -> bool:
    """Tell whether a document is an activity."""
    return {"type", "actor", "object"} <= document.keys()


def is_object(document: Json) -> bool:
    """Tell whether a document is a post as an activity holds it."""
    return "attributedTo" in document and document.get("type") in _POSTS


def collection_results(collection: Json) -> Iterator[Result]:
    """Yield what the activities of an outbox give.

    Lists of likes and of bookmarks are collections too, but hold only addresses of posts.
    """
    for activity in items(collection["orderedItems"]):
        if isinstance(activity, dict):
            yield from activity_results(activity)
        else:
            yield UNKNOWN


def activity_results(activity: Json) -> Iterator[Result]:
    """Yield the post of a `Create` or an `Announce`, or the deletion of a `Delete`.

    A boost is a separate post by the account that boosted. Usually the activity has only the
    address of the original: the boost then has no text, and the address is its link.
    """
    kind, thing = activity.get("type"), activity["object"]
    if kind in ("Create", "Update"):
        yield attempt(_object_post, thing)
    elif kind == "Announce":
        yield attempt(_boost, activity)
    elif kind == "Delete":
        yield attempt(_deletion, thing)
    else:
        yield OTHER_ACTIVITY


def object_results(thing: Json) -> Iterator[Result]:
    """Yield the post of an object that is in no activity."""
    yield attempt(_object_post, thing)


def _object_post(thing: object) -> Post:
    text, urls = _content(thing)
    return make_post(
        _tid(inside(thing, "id")),
        _user(inside(thing, "attributedTo")),
        text,
        parse_time(inside(thing, "published")),
        urls,
        inside(thing, "updated"),
    )


def _boost(activity: Json) -> Post:
    original = activity["object"]
    text, urls = ("", [original]) if isinstance(original, str) else _content(original)
    return make_post(
        _tid(activity.get("id")),
        _user(activity["actor"]),
        text,
        parse_time(activity.get("published")),
        urls,
        inside(original, "updated"),
    )


def _deletion(thing: object) -> Deletion:
    return Deletion(_tid(inside(thing, "id") if isinstance(thing, dict) else thing))


def _content(thing: object) -> tuple[str, list[str]]:
    content = inside(thing, "content")
    if not isinstance(content, str):
        raise RefusedError("text is missing")
    tags = items(inside(thing, "tag"))
    links = [tag for tag in tags if inside(tag, "type") in ("Mention", "Hashtag")]
    named = {value.casefold() for key in ("href", "name") for value in _each(links, key)}
    text, urls = html_text(content, named)
    # What people can vote for in a `Question` is part of what it says.
    options = [*items(inside(thing, "oneOf")), *items(inside(thing, "anyOf"))]
    emoji = _each([tag for tag in tags if inside(tag, "type") == "Emoji"], "name")
    return with_parts(text, inside(thing, "summary"), _each(options, "name"), emoji), urls


def _each(things: list[object], key: str) -> list[str]:
    return strings(inside(thing, key) for thing in things)


def _tid(uri: object) -> int:
    """Return the number that ends the address of a post, which is its id on its server.

    Where there is none, as with programs other than Mastodon, it is a hash of the address. The
    results are those that the API of the server gives.
    """
    if not isinstance(uri, str) or "://" not in uri:
        raise RefusedError("id is not an address")
    number = uri.removesuffix("/activity").rpartition("/")[2]
    # More digits than 20 are out of range, and millions of them take long to convert.
    is_number = number.isascii() and number.isdigit() and 0 < int(number[:20]) < 2**63
    return int(number) if is_number else hashed_tid(uri)


def _user(actor: object) -> str:
    """Return the name of an account with its server, given its address.

    >>> _user("https://social.example/users/ana")
    'ana@social.example'
    """
    address = inside(actor, "id") if isinstance(actor, dict) else actor
    if not isinstance(address, str):
        return ""
    parts = urlsplit(address)
    name = parts.path.rstrip("/").rpartition("/")[2].removeprefix("@")
    return f"{name}@{parts.netloc}" if name and parts.netloc else ""
