"""Which format a parsed JSON document is in, told by its content."""

from collections.abc import Callable, Iterator
from typing import Any

from dfpipe.posts.formats import bluesky, mastodon, own, v2, v11
from dfpipe.posts.formats.result import UNKNOWN, Result, inside, shielded

Reader = Callable[[dict[str, Any]], Iterator[Result]]


def results(document: object, nesting: int = 2) -> Iterator[Result]:
    """Yield what a document gives: one record, a list of them, or a page of any known API.

    What is in no known format gives UNKNOWN, an empty page nothing. Lists and wrappers are opened
    `nesting` deep: a list of wrapped records is 2.
    """
    found = _records(document) if nesting else None
    if found is not None:
        for record in found:
            yield from results(record, nesting - 1)
    elif isinstance(document, dict) and (reader := _reader(document)):
        yield from shielded(reader(document))
    else:
        yield UNKNOWN


def _records(document: object) -> list[object] | None:
    """Return the records that a document merely holds together; None if it is one itself."""
    if isinstance(document, list):
        return document
    if isinstance(document, dict):
        if isinstance(document.get("tweet"), dict):
            return [document["tweet"]]
        for key in ("statuses", "feed", "posts"):
            if isinstance(document.get(key), list):
                return list(document[key])
    return None


def _reader(document: dict[str, Any]) -> Reader | None:
    keys = document.keys()
    if "tid" in keys:
        return own.results
    if "delete" in keys or not v11.NOTICES.isdisjoint(keys):
        return v11.results
    if "data" in keys or _is_empty_page(document):
        return v2.results
    if "content" in keys and "account" in keys:
        return mastodon.results
    if "post" in keys or str(document.get("uri")).startswith("at://"):
        return bluesky.results
    if v2.is_tweet(document):
        return v2.tweet_results
    if {"id", "id_str"} & keys and {"text", "full_text"} & keys:
        return v11.results
    return None


def _is_empty_page(document: dict[str, Any]) -> bool:
    if inside(document, "meta", "result_count") is not None:
        return True
    return isinstance(document.get("errors"), list) and "id" not in document
