"""Posts of Bluesky in JSON: answers of its API, records of a repository, and lines of Jetstream.

The Python SDK's `model_dump_json` writes the same objects with other names, such as `created_at`.
"""

import re
from collections.abc import Iterator
from datetime import datetime

from dfpipe.posts.formats.result import (
    Deletion,
    Json,
    RefusedError,
    Result,
    Skip,
    attempt,
    hashed_tid,
    items,
    make_post,
    parse_time,
    strings,
)
from dfpipe.posts.post import Post

POSTS, REPOSTS = "app.bsky.feed.post", "app.bsky.feed.repost"
OTHER_RECORD = Skip("neither a post nor a repost of Bluesky")
_TID_ALPHABET = "234567abcdefghijklmnopqrstuvwxyz"
_TID_VALUES = {char: value for value, char in enumerate(_TID_ALPHABET)}
_SDK_NAMES = {
    "$type": "py_type",
    "byteEnd": "byte_end",
    "byteStart": "byte_start",
    "createdAt": "created_at",
    "indexedAt": "indexed_at",
}
_GIF_HOSTS = {"media.tenor.com", "static.klipy.com", "media.giphy.com", "i.giphy.com"}
_MOST_SEARCHED = 10_000  # bytes of a text; Bluesky itself allows 3,000


def is_item(document: Json) -> bool:
    """Tell whether a document is an item of a feed, a bare post, or a record with its URI."""
    return isinstance(document.get("post"), dict) or _is_uri(document.get("uri"))


def is_thread(document: Json) -> bool:
    """Tell whether a document is an answer of `getPostThread`."""
    return isinstance(document.get("thread"), dict)


def is_event(document: Json) -> bool:
    """Tell whether a document is a line of Jetstream."""
    return {"did", "time_us", "kind"} <= document.keys()


def results(item: Json) -> Iterator[Result]:
    """Yield the post of an item of a feed, of a bare post, or of a record with its URI.

    A repost is a separate post by the account that reposted, at that time, with the text and the
    links of its original. The time of a post is the earlier of `createdAt`, which its author
    chooses, and `indexedAt`, when the network first saw it: the order of Bluesky itself.
    """
    post = item.get("post", item)
    reason = item.get("reason")
    by = inside(reason, "by", "did")
    if isinstance(by, str) and str(inside(reason, "$type")).endswith("#reasonRepost"):
        yield attempt(_repost, post, by, reason)
    elif "value" in item:
        yield record_result(str(item.get("uri")), item["value"])
    else:
        yield attempt(_post, post)


def thread_results(answer: Json) -> Iterator[Result]:
    """Yield the posts of a thread: those above the one asked for, itself, and all replies."""
    waiting: list[object] = [answer["thread"]]
    while waiting:
        view = waiting.pop()
        yield attempt(_post, inside(view, "post") or view)
        waiting += reversed(items(inside(view, "replies")))
        if isinstance(parent := inside(view, "parent"), dict):
            waiting.append(parent)


def event_results(event: Json) -> Iterator[Result]:
    """Yield what a line of Jetstream tells: a post, a repost, or the deletion of a post."""
    commit = event.get("commit")
    collection = inside(commit, "collection")
    uri = f"at://{event['did']}/{collection}/{inside(commit, 'rkey')}"
    if inside(commit, "operation") != "delete":
        microseconds = event["time_us"]
        seen_at = microseconds / 1000 if isinstance(microseconds, int) else None
        yield record_result(uri, inside(commit, "record"), seen_at)
    elif collection == POSTS:
        yield Deletion(post_tid(uri))
    else:
        yield OTHER_RECORD


def record_result(uri: str, record: object, seen_at: object = None) -> Result:
    """Return what a record of a repository gives; its author is known by the DID alone.

    A repost record does not have the text of its original: the post has no text, and its link is
    the address of the original.
    """
    did, _, collection = uri.removeprefix("at://").rpartition("/")[0].partition("/")
    if collection == POSTS:
        return attempt(_record_post, uri, did, record, seen_at)
    if collection == REPOSTS:
        return attempt(_record_repost, did, record, seen_at)
    return OTHER_RECORD


def inside(value: object, *path: str) -> object:
    """Return what lies at a path of keys, under their names in the API or in the SDK; or None."""
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key, value.get(_SDK_NAMES.get(key)))
    return value


def _post(post: object) -> Post:
    if inside(post, "notFound") is True or inside(post, "blocked") is True:
        raise RefusedError("deleted or blocked")
    handle, seen_at = inside(post, "author", "handle"), inside(post, "indexedAt")
    return _record_post(_uri(post), handle, inside(post, "record"), seen_at)


def _record_post(uri: str, user: object, record: object, seen_at: object) -> Post:
    return make_post(post_tid(uri), user, _text(record), _time(record, seen_at), _urls(record))


def _repost(post: object, by: str, reason: object) -> Post:
    record = inside(post, "record")
    return make_post(
        hashed_tid(f"{by} {_uri(post)}"),
        inside(reason, "by", "handle"),
        _text(record),
        parse_time(inside(reason, "indexedAt")),
        _urls(record),
    )


def _record_repost(did: str, record: object, seen_at: object) -> Post:
    original = _uri(inside(record, "subject"))
    author, _, rest = original.removeprefix("at://").partition("/")
    address = f"https://bsky.app/profile/{author}/post/{rest.rpartition('/')[2]}"
    return make_post(hashed_tid(f"{did} {original}"), did, "", _time(record, seen_at), [address])


def _time(record: object, seen_at: object) -> datetime:
    """Return when a post was written; when it was seen, if that is earlier or the only time."""
    written_at = inside(record, "createdAt")
    if seen_at is None:
        return parse_time(written_at)
    seen = parse_time(seen_at)
    try:
        return min(parse_time(written_at), seen)
    except RefusedError:
        return seen


def _is_uri(value: object) -> bool:
    return isinstance(value, str) and value.startswith("at://")


def _uri(post: object) -> str:
    uri = inside(post, "uri")
    if not isinstance(uri, str) or not _is_uri(uri):
        raise RefusedError("id is not an at:// URI")
    return uri


def post_tid(uri: str) -> int:
    """Return the number of a post: that of the TID which ends its URI, else a hash of the URI.

    A TID is 13 characters of 5 bits, 63 bits in all: microseconds since 1970 and a clock number
    (https://atproto.com/specs/tid).

    >>> post_tid("at://did:plc:a/app.bsky.feed.post/3lof7sovfok2h") >> 10
    1746408617914000
    """
    key = uri.rpartition("/")[2]
    if len(key) != 13 or key[0] not in _TID_ALPHABET[:16] or not set(key) <= _TID_VALUES.keys():
        return hashed_tid(uri)
    number = 0
    for char in key:
        number = number << 5 | _TID_VALUES[char]
    return number or hashed_tid(uri)


def _text(record: object) -> object:
    """Return the text with each link that it shows shortened written out, as other networks do."""
    text = inside(record, "text")
    if not isinstance(text, str):
        return text
    data = text.encode("utf-8", "replace")
    links = _links(record)
    shown = {span: uri for start, end, uri in links if (span := _shown(data, start, end, uri))}
    for (start, end), uri in sorted(shown.items(), reverse=True):
        data = data[:start] + uri.encode("utf-8", "replace") + data[end:]
    return data.decode("utf-8", "replace")


def _shown(text: bytes, start: int, end: int, uri: str) -> tuple[int, int] | None:
    """Return where a link is shown, which may be elsewhere than it says; None if it is not.

    Some programs count characters instead of bytes.
    """
    if 0 <= start < end <= len(text) and _shortens(text[start:end], uri):
        return start, end
    host = _host(uri).removeprefix("www.").encode("utf-8", "replace")
    if len(text) > _MOST_SEARCHED or b"." not in host:
        return None
    found = re.finditer(rb"(?:https?://)?(?:www\.)?" + re.escape(host) + rb"\S*", text)
    return next((match.span() for match in found if _shortens(match.group(), uri)), None)


def _shortens(shown: bytes, uri: str) -> bool:
    bare = uri.partition("://")[2].removeprefix("www.")
    words = shown.decode("utf-8", "replace").removeprefix("www.").rstrip(".…")
    return bool(words) and bare.startswith(words)


def _links(record: object) -> Iterator[tuple[int, int, str]]:
    """Yield the links in a text as (first byte, byte after the last, URI)."""
    for facet in items(inside(record, "facets")):
        start, end = inside(facet, "index", "byteStart"), inside(facet, "index", "byteEnd")
        for feature in items(inside(facet, "features")):
            uri = inside(feature, "uri")
            if isinstance(start, int) and isinstance(end, int) and isinstance(uri, str) and uri:
                yield start, end, uri


def _urls(record: object) -> list[str]:
    embed = inside(record, "embed")
    cards = (inside(embed, "external", "uri"), inside(embed, "media", "external", "uri"))
    urls = [uri for _, _, uri in sorted(_links(record))]
    return urls + [uri for uri in strings(cards) if uri not in urls and not _is_gif(uri)]


def _is_gif(uri: str) -> bool:
    """Tell whether a card shows a moving picture chosen in the app, which is not a link."""
    return _host(uri) in _GIF_HOSTS


def _host(uri: str) -> str:
    return uri.partition("://")[2].partition("/")[0]
