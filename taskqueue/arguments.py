"""The arguments of tasks and calls: checks them and converts them to their stored form."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit
from wsgiref.headers import Headers

from taskqueue import limits
from taskqueue.errors import (
    InvalidDispatchDeadlineError,
    InvalidEtaError,
    InvalidQueueNameError,
    InvalidTagError,
    InvalidTaskError,
    InvalidTaskNameError,
    InvalidUrlError,
)
from taskqueue.storage.record import to_usec

_TASK_NAME = re.compile(rf"[a-zA-Z0-9_-]{{1,{limits.MAX_TASK_NAME_LENGTH}}}")
_QUEUE_NAME = re.compile(rf"[a-zA-Z0-9-]{{1,{limits.MAX_QUEUE_NAME_LENGTH}}}")
_MAX_ETA_USEC = limits.MAX_ETA // limits.MICROSECOND


class _DefaultVersion:
    def __repr__(self) -> str:
        return "<DefaultApplicationVersion>"


# As `target`: the application itself, whatever the queue's own target is.
DEFAULT_APP_VERSION = _DefaultVersion()

# What HTTP can send; anything else would break the request, with it the dispatcher's own headers.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")

# The framing of a request and the hop-by-hop headers (RFC 9110, 7.6.1) are the sender's alone.
_FRAMING = {
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
_PLATFORM = ("x-appengine-", "x-google-")


def checked_queue_name(name: str) -> str:
    """The name of a queue; raises InvalidQueueNameError."""
    if not isinstance(name, str) or not _QUEUE_NAME.fullmatch(name):
        raise InvalidQueueNameError(
            f"the queue's name is {name!r}: give 1 to {limits.MAX_QUEUE_NAME_LENGTH} letters, "
            "digits and hyphens"
        )
    return name


def checked_name(name: str | None) -> str | None:
    """The name of a task, None for an empty one; raises InvalidTaskNameError."""
    if name is None or name == "":
        return None
    if not isinstance(name, str) or not _TASK_NAME.fullmatch(name):
        raise InvalidTaskNameError(
            f"the task's name is {name!r}: give 1 to {limits.MAX_TASK_NAME_LENGTH} letters, "
            "digits, hyphens and underscores"
        )
    return name


def checked_url(url: str) -> tuple[str, str]:
    """The path and the query of a relative URL."""
    if not url:
        return "", ""
    parts = _split(url)
    if not parts or parts.scheme or parts.netloc or parts.fragment or parts.path[:1] != "/":
        raise InvalidUrlError(
            f"the URL is {url!r}: give a path that begins with /, without host and fragment"
        )
    if len(url) > limits.MAX_URL_LENGTH:
        raise InvalidUrlError(
            f"the URL has {len(url)} characters, at most {limits.MAX_URL_LENGTH} are allowed"
        )
    return parts.path, parts.query


def _split(url: object) -> SplitResult | None:
    """The parts of a URL, or None."""
    try:
        return urlsplit(url) if isinstance(url, str) and url.encode() else None
    except ValueError:
        return None


def checked_target(target: object) -> Any:
    """The name of a service, DEFAULT_APP_VERSION or None; raises InvalidTaskError."""
    if target is None or target is DEFAULT_APP_VERSION or isinstance(target, str):
        return target
    raise InvalidTaskError(
        f"the target is {target!r}: give the name of a service, or DEFAULT_APP_VERSION"
    )


def checked_tag(tag: str | bytes | None) -> str | None:
    """A tag as text, None for an empty one; raises InvalidTagError."""
    if tag is None:
        return None
    if not isinstance(tag, str | bytes):
        raise TypeError(f"the tag is {tag!r}: give a string or bytes")
    raw = utf8(tag) if isinstance(tag, str) else tag
    if len(raw) > limits.MAX_TAG_LENGTH:
        raise InvalidTagError(
            f"the tag has {len(raw)} bytes, at most {limits.MAX_TAG_LENGTH} are allowed"
        )
    try:
        return raw.decode() or None
    except UnicodeDecodeError as error:
        raise InvalidTagError(f"the tag {raw!r} is not UTF-8") from error


def utf8(text: str) -> bytes:
    """A text as UTF-8; raises InvalidTaskError for half a surrogate pair."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidTaskError(f"the text {text[:40]!r} cannot be written as UTF-8") from error


def checked_dispatch_deadline(usec: int | None) -> int | None:
    """Microseconds that a handler may take; raises InvalidDispatchDeadlineError or TypeError."""
    if usec is None:
        return None
    if not isinstance(usec, int):
        raise TypeError(f"dispatch_deadline_usec is {usec!r}: give whole microseconds")
    low, high = limits.MIN_DISPATCH_DEADLINE, limits.MAX_DISPATCH_DEADLINE
    if not low.total_seconds() <= usec / 1_000_000 <= high.total_seconds():
        raise InvalidDispatchDeadlineError(
            f"dispatch_deadline_usec is {usec}: give microseconds from {low} to {high} hours"
        )
    return usec


def eta_usec(eta: object) -> int:
    """Microseconds since 1970 of a datetime, in UTC if it is naive; raises InvalidTaskError."""
    if not isinstance(eta, datetime):
        raise InvalidTaskError(f"the eta is {eta!r}: give a datetime")
    return to_usec(eta if eta.tzinfo else eta.replace(tzinfo=UTC))


def countdown_usec(eta: Any, countdown: Any) -> int:
    """The microseconds from the adding of a task until it is due; 0 where it has an eta."""
    if eta is not None and countdown is not None:
        raise InvalidTaskError("a task has an eta or a countdown, not both")
    if countdown is None:
        return 0
    try:
        return round(float(countdown) * 1_000_000)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidTaskError(
            f"the countdown is {countdown!r}: give a number of seconds"
        ) from error


def check_eta(usec: int, now: int) -> int:
    """Refuse a time, in microseconds, before 1970 or more than 30 days from now."""
    if usec < 0 or usec - now > _MAX_ETA_USEC:
        raise InvalidEtaError(
            f"the task's time is more than {limits.MAX_ETA.days} days from now, or before 1970"
        )
    return usec


def is_reserved(name: str) -> bool:
    """Whether a header is the sender's to set, so that a task's own one is dropped.

    WSGI servers take an underscore for a hyphen, and so does this.
    """
    plain = name.lower().replace("_", "-")
    return plain in _FRAMING or plain.startswith(_PLATFORM)


def mapping(what: str, given: Any) -> Mapping[Any, Any]:
    """A dictionary, empty for None; raises InvalidTaskError for anything else."""
    if not given:
        return {}
    if not hasattr(given, "items"):
        raise InvalidTaskError(f"{what} is {given!r}: give a dictionary")
    found: Mapping[Any, Any] = given
    return found


def checked_headers(given: Mapping[Any, Any]) -> Headers:
    """Headers, of which one with several values is repeated; raises InvalidTaskError."""
    headers = Headers()
    for name, value in given.items():
        values = [value] if isinstance(value, str | bytes) or not _is_many(value) else value
        for each in values:
            text = each.decode("latin-1") if isinstance(each, bytes) else str(each)
            is_name = isinstance(name, str) and _HEADER_NAME.fullmatch(name)
            if not is_name or not _HEADER_VALUE.fullmatch(text):
                raise InvalidTaskError(
                    f"{name!r}: {text!r} cannot be a header: give a name of letters, digits and "
                    "hyphens, and a text of one line of Latin letters"
                )
            headers.add_header(name, text)
    return headers


def _is_many(value: object) -> bool:
    return hasattr(value, "__iter__")


def encoded(params: Mapping[Any, Any]) -> str:
    """Parameters in the form of a query; one with several values is repeated.

    Raises InvalidTaskError.
    """
    pairs = []
    for name, value in params.items():
        many = _is_many(value) and not isinstance(value, str | bytes)
        pairs += [(name, each) for each in (value if many else [value])]
    try:
        return urlencode(pairs)
    except UnicodeEncodeError as error:
        raise InvalidTaskError("the params have text that cannot be written as UTF-8") from error
