"""Which format a document or a file is in, told by what only that format has.

A format of JSON is a `JsonFormat` of its objects; one that is not JSON is a `FileFormat`. To add
one, write a module and an entry here. No two formats may claim the same object or file.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from dfpipe.posts.formats import (
    activitypub,
    bluesky,
    car,
    csv_table,
    mastodon,
    own,
    parquet,
    scraped,
    v2,
    v11,
)
from dfpipe.posts.formats.result import UNKNOWN, Json, Result, shielded

HEAD_BYTES = 2**16  # of a file, from which its format is recognised


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """A format of JSON objects. `claims` says whether an object is in it, `results` reads one."""

    name: str
    claims: Callable[[Json], bool]
    results: Callable[[Json], Iterator[Result]]


@dataclass(frozen=True, slots=True)
class FileFormat:
    """A format of whole files that are not JSON.

    `claims` is given the first HEAD_BYTES of a file, or all if it is shorter. `results` is given
    the file, as a stream that may not be seekable, and the names of columns by the fields that a
    user says they hold. It yields each result with its place, such as "3". It raises ArchiveError
    for a file that cannot be read, or not to its end, with what the file seems to be.
    """

    name: str
    claims: Callable[[bytes], bool]
    results: Callable[[BinaryIO, Mapping[str, str]], Iterator[tuple[str, Result]]]


JSON_FORMATS = (
    JsonFormat("dfpipe", own.is_record, own.results),
    JsonFormat("notice of X v1.1", v11.is_notice, v11.results),
    JsonFormat("page of X v2", v2.is_page, v2.results),
    JsonFormat("includes of X v2", v2.is_includes, v2.includes_results),
    JsonFormat("Mastodon status", mastodon.is_status, mastodon.results),
    JsonFormat("outbox", activitypub.is_collection, activitypub.collection_results),
    JsonFormat("activity", activitypub.is_activity, activitypub.activity_results),
    JsonFormat("post of an activity", activitypub.is_object, activitypub.object_results),
    JsonFormat("Bluesky post", bluesky.is_item, bluesky.results),
    JsonFormat("Bluesky thread", bluesky.is_thread, bluesky.thread_results),
    JsonFormat("line of Bluesky's Jetstream", bluesky.is_event, bluesky.event_results),
    JsonFormat("tweet of snscrape", scraped.is_snscrape, scraped.snscrape_results),
    JsonFormat("tweet of twint", scraped.is_twint, scraped.twint_results),
    JsonFormat("tweet of X v2", v2.is_tweet, v2.tweet_results),
    JsonFormat("tweet of X v1.1", v11.is_tweet, v11.results),
)
FILE_FORMATS = (
    FileFormat("Bluesky repository", car.is_car, car.results),
    FileFormat("Parquet table", parquet.is_parquet, parquet.results),
    FileFormat("CSV table", csv_table.is_csv, csv_table.results),
)


def results(document: object, nesting: int = 2) -> Iterator[Result]:
    """Yield what a document gives: one record, a list of them, or a page of any known API.

    What is in no known format gives UNKNOWN, an empty page nothing. Lists and wrappers are opened
    `nesting` deep: a list of wrapped records is 2.
    """
    found = records_in(document) if nesting else None
    if found is not None:
        for record in found:
            yield from results(record, nesting - 1)
    elif isinstance(document, dict) and (known := json_format(document)):
        yield from shielded(known.results(document))
    else:
        yield UNKNOWN


def json_format(document: Json) -> JsonFormat | None:
    """Return the format of a JSON object, or None."""
    return next((known for known in JSON_FORMATS if known.claims(document)), None)


def file_format(head: bytes) -> FileFormat | None:
    """Return the format of a file that begins so, or None where it may be JSON."""
    return next((known for known in FILE_FORMATS if known.claims(head)), None)


def records_in(document: object) -> list[object] | None:
    """Return the records that a document merely holds together; None if it is one itself."""
    if isinstance(document, list):
        return document
    if isinstance(document, dict):
        if isinstance(document.get("tweet"), dict):
            return [document["tweet"]]
        for key in ("statuses", "feed", "posts", "records"):
            if isinstance(document.get(key), list):
                return list(document[key])
    return None
