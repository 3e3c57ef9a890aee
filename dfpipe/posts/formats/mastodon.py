"""Statuses of Mastodon's API, one by one or in lists; their content is HTML."""

from collections.abc import Iterator

from dfpipe.posts.formats.html_text import html_text, with_parts
from dfpipe.posts.formats.result import (
    Json,
    RefusedError,
    Result,
    attempt,
    hashed_tid,
    inside,
    items,
    make_post,
    parse_tid,
    parse_time,
    strings,
)
from dfpipe.posts.post import Post


def is_status(document: Json) -> bool:
    """Tell whether a document is a status."""
    return "content" in document and "account" in document


def results(status: Json) -> Iterator[Result]:
    """Yield the post of a status.

    A boost is a separate post by the account that boosted, at that time, with the text and the
    links of its original.
    """
    yield attempt(_post, status)


def _post(status: Json) -> Post:
    original = status.get("reblog") or status
    content = inside(original, "content")
    if not isinstance(content, str):
        raise RefusedError("text is missing")
    text, urls = html_text(content, _named(original))
    options = strings(_each(original, "title", "poll", "options"))
    emoji = [f":{code}:" for code in strings(_each(original, "shortcode", "emojis"))]
    return make_post(
        _tid(status),
        inside(status, "account", "acct"),
        with_parts(text, inside(original, "spoiler_text"), options, emoji),
        parse_time(status.get("created_at")),
        urls,
        inside(original, "edited_at"),
    )


def _each(status: object, key: str, *path: str) -> list[object]:
    return [inside(item, key) for item in items(inside(status, *path))]


def _named(status: object) -> set[str]:
    """Return the addresses and the names of the people and hashtags of a status, casefolded."""
    links = [_each(status, "url", kind) for kind in ("mentions", "tags")]
    people = [_each(status, key, "mentions") for key in ("username", "acct")]
    return {
        *(url.casefold() for urls in links for url in strings(urls)),
        *(f"@{name.casefold()}" for names in people for name in strings(names)),
        *(f"#{name.casefold()}" for name in strings(_each(status, "name", "tags"))),
    }


def _tid(status: Json) -> int:
    """Return the status's own number, or a hash of its URI on a server whose ids are none."""
    value, uri = status.get("id"), status.get("uri")
    if isinstance(value, str) and not value.isdecimal() and isinstance(uri, str) and uri:
        return hashed_tid(uri)
    return parse_tid(value)
