"""The project's own JSON lines: tid, user, text, created_at, urls, and edited_at of an edit."""

from collections.abc import Iterator
from datetime import UTC, datetime

import orjson

from dfpipe.posts.formats.result import (
    Json,
    Result,
    attempt,
    items,
    make_post,
    parse_tid,
    parse_time,
    strings,
)
from dfpipe.posts.post import Post


def is_record(document: Json) -> bool:
    """Tell whether a document is a record of this project: nothing else has a `tid`."""
    return "tid" in document


def results(record: Json) -> Iterator[Result]:
    """Yield the post of a record; `urls` may be missing, null or one string."""
    yield attempt(_post, record)


def _post(record: Json) -> Post:
    return make_post(
        parse_tid(record.get("tid")),
        record.get("user"),
        record.get("text"),
        parse_time(record.get("created_at")),
        _urls(record.get("urls")),
        record.get("edited_at"),
    )


def _urls(value: object) -> list[str]:
    return strings([value] if isinstance(value, str) else items(value))


def post_line(post: Post) -> bytes:
    """Return a post as one line."""
    return to_line(post.tid, post.user, post.text, post.created_at, list(post.urls), post.edited_at)


def to_line(
    tid: int | None,
    user: object,
    text: object,
    created_at: object,
    urls: object,
    edited_at: object = None,
) -> bytes:
    """Return a record as one line; times in RFC 3339 with Z, to the microsecond if need be.

    A value of another type than a post's becomes null: what is stored may be anything. A post that
    was never edited has no `edited_at`.
    """
    record: dict[str, object] = {
        "tid": tid,
        "user": user if isinstance(user, str) else None,
        "text": text if isinstance(text, str) else None,
        "created_at": _rfc3339(created_at) if isinstance(created_at, datetime) else None,
        "urls": _urls(urls),
    }
    if isinstance(edited_at, datetime):
        record["edited_at"] = _rfc3339(edited_at)
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


def _rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
