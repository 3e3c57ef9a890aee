"""Pages of Bluesky's feed API: timelines and author feeds (`feed`), searches (`posts`)."""

from collections.abc import Iterator
from typing import Any

from dfpipe.posts.formats.result import (
    RefusedError,
    Result,
    attempt,
    hashed_tid,
    inside,
    items,
    make_post,
    parse_time,
    strings,
)
from dfpipe.posts.post import Post

_TID_ALPHABET = "234567abcdefghijklmnopqrstuvwxyz"
_TID_VALUES = {char: value for value, char in enumerate(_TID_ALPHABET)}


def is_item(document: dict[str, Any]) -> bool:
    """Tell whether a document is an item of a feed, or a bare post."""
    return "post" in document or str(document.get("uri")).startswith("at://")


def results(item: dict[str, Any]) -> Iterator[Result]:
    """Yield the post of one item of a feed, or of one bare post of a search.

    A repost is a post of its own, by the one who reposted, at that time, with the text and the
    links of its original. The time of a post is the earlier of `createdAt`, which its author
    chooses, and `indexedAt`, when the network first saw it: the order of Bluesky itself.
    """
    post = item.get("post", item)
    reason = item.get("reason")
    by = inside(reason, "by", "did")
    if isinstance(by, str) and str(inside(reason, "$type")).endswith("#reasonRepost"):
        yield attempt(_repost, post, by, reason)
    else:
        yield attempt(_post, post)


def _post(post: object) -> Post:
    record = inside(post, "record")
    created_at = parse_time(inside(record, "createdAt"))
    indexed_at = inside(post, "indexedAt")
    if indexed_at is not None:
        created_at = min(created_at, parse_time(indexed_at))
    return make_post(
        post_tid(_uri(post)),
        inside(post, "author", "handle"),
        _text(record),
        created_at,
        _urls(record),
    )


def _repost(post: object, by: str, reason: object) -> Post:
    record = inside(post, "record")
    return make_post(
        hashed_tid(f"{by} {_uri(post)}"),
        inside(reason, "by", "handle"),
        _text(record),
        parse_time(inside(reason, "indexedAt")),
        _urls(record),
    )


def _uri(post: object) -> str:
    uri = inside(post, "uri")
    if not isinstance(uri, str) or not uri.startswith("at://"):
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
    for start, end, uri in sorted(_links(record), reverse=True):
        if 0 <= start < end <= len(data) and _shortens(data[start:end], uri):
            data = data[:start] + uri.encode("utf-8", "replace") + data[end:]
    return data.decode("utf-8", "replace")


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
    return urls + [uri for uri in strings(cards) if uri not in urls]
