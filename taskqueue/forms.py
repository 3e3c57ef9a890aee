"""Headers and parameters as they are given to a task."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from wsgiref.headers import Headers

from taskqueue.errors import InvalidTaskError

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


def is_reserved(name: str) -> bool:
    """Whether a header is the sender's to set, so that a task's own one is dropped.

    WSGI servers take an underscore for a hyphen, and so does this.
    """
    plain = name.lower().replace("_", "-")
    return plain in _FRAMING or plain.startswith(_PLATFORM)


def mapping(what: str, given: Any) -> Mapping[Any, Any]:
    """What is a dictionary, or nothing; raises InvalidTaskError for anything else."""
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
                    f"{name!r}: {text!r} is no header: give a name of letters, digits and hyphens, "
                    "and a text of one line of Latin letters"
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
