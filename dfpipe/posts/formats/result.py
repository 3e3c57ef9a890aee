"""What a record of an archive gives, and the checks that every format shares."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from dfpipe.errors import DfpipeError
from dfpipe.posts.post import Post

MAX_TID = 2**63 - 1
# Datastore's limits: an indexed string, and an entity of 1 MiB with room for its other properties.
MAX_USER_BYTES = 1_500
MAX_CONTENT_BYTES = 1_000_000
# Beyond these years a time is a mistake; between them it can be moved without leaving the calendar.
FIRST_YEAR, LAST_YEAR = 1970, 2261

Json = dict[str, Any]  # an object of an archive, as JSON has it

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_SECONDS = 10**8  # in 1973
_FIRST_MILLISECONDS = 10**11  # in seconds it is the year 5138, in milliseconds 1973
_NUMBER = re.compile(r"\d{9,13}(?:\.\d+)?", re.ASCII)
_SNOWFLAKE_EPOCH_MS = 1_288_834_974_657
# Smaller ids may be of the time when they were consecutive numbers, without a time in them.
_FIRST_SNOWFLAKE = 2**40
_MONTHS = {
    month: f"{number:02}"
    for number, month in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1
    )
}


@dataclass(frozen=True, slots=True)
class Deletion:
    """A notice that the post with this id was deleted, or replaced by an edited one."""

    tid: int


@dataclass(frozen=True, slots=True)
class Skip:
    """A record without a post. There are few different reasons, so that they can be counted."""

    reason: str


Result = Post | Deletion | Skip

UNKNOWN = Skip("in no known format")


class ArchiveError(DfpipeError):
    """A file cannot be read as an archive of posts, or not to its end."""


class UnknownFormatError(ArchiveError):
    """A file that is whole, but holds nothing in a known format."""


class RefusedError(Exception):
    """A record cannot become a post; the message is the reason of its `Skip`."""


def attempt(make: Callable[..., Result], *arguments: object) -> Result:
    """Call `make`; return its result, or a Skip if it refuses the record or fails."""
    try:
        return make(*arguments)
    except RefusedError as refusal:
        return Skip(str(refusal))
    except Exception as error:  # whatever a library raises for one record is that record's fault
        return _failure(error)


def shielded(found: Iterable[Result]) -> Iterator[Result]:
    """Yield the results of one record. An error ends them and becomes a Skip."""
    try:
        yield from found
    except Exception as error:  # the same: the records after it are read
        yield _failure(error)


def _failure(error: Exception) -> Skip:
    return Skip(f"cannot be read: {type(error).__name__}")


def inside(value: object, *path: str) -> object:
    """Return the value at a path of keys in nested JSON objects; None if there is none."""
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def items(value: object) -> list[object]:
    """Return a JSON array as it is, and anything else as the empty list."""
    return value if isinstance(value, list) else []


def strings(values: Iterable[object]) -> list[str]:
    """Return the values that are strings and not empty."""
    return [value for value in values if isinstance(value, str) and value]


def make_post(
    tid: int,
    user: object,
    text: object,
    created_at: datetime,
    urls: Iterable[str] = (),
    edited_at: object = None,
) -> Post:
    """Return a post that every store accepts; a missing user becomes the empty string.

    `edited_at` is a time as `parse_time` takes it, or None.

    Raises RefusedError where a value is of the wrong type or beyond Datastore's limits.
    """
    if text is None:
        raise RefusedError("text is missing")
    if not isinstance(text, str):
        raise RefusedError("text is not a string")
    if user is None:
        user = ""
    if not isinstance(user, str):
        raise RefusedError("user is not a string")
    urls = tuple(urls)
    version = None if edited_at is None else parse_time(edited_at, "edited_at")
    if _size(user) > MAX_USER_BYTES:
        raise RefusedError(f"user is over {MAX_USER_BYTES:,} bytes")
    if _size(text) + sum(map(_size, urls)) > MAX_CONTENT_BYTES:
        raise RefusedError(f"text and urls are over {MAX_CONTENT_BYTES:,} bytes")
    return Post(tid, user, text, created_at, urls, version)


def _size(text: str) -> int:
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise RefusedError("half a surrogate pair, which is not a character") from error


def parse_tid(*candidates: object) -> int:
    """Return the first candidate that is there as a post's id, from 1 to 2**63 - 1.

    A string of digits or an integer; never a float, which cannot hold the ids. Raises RefusedError.
    """
    value = next((candidate for candidate in candidates if candidate is not None), None)
    if value is None:
        raise RefusedError("id is missing")
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise RefusedError("id is not an integer")
    if not 0 < value <= MAX_TID:
        raise RefusedError("id is not between 1 and 2**63 - 1")
    return value


def hashed_tid(name: str) -> int:
    """Return the stable id of a post that has a name, but no number: 63 bits of its SHA-256."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return max(1, int.from_bytes(digest[:8], "big") >> 1)


def parse_time(value: object, name: str = "created_at") -> datetime:
    """Return a time in UTC, given RFC 3339, a form of v1.1 tweets, or a number since 1970.

    The forms are "Wed Jul 03 06:29:00 +0000 2019" and "2012-01-01 06:42:47 +0000". A number counts
    seconds, or milliseconds from 10**11 on, and may be a string; MongoDB's {"$date": ...} may hold
    any of these. A time without its offset is refused, as are years outside 1970 to 2261 and
    numbers below 10**8.
    Raises RefusedError.
    """
    if value is None:
        raise RefusedError(f"{name} is missing")
    try:
        time = _time(_undated(value))
        time = time.astimezone(UTC) if time.tzinfo else time
    except (ValueError, OverflowError, TypeError) as error:
        raise RefusedError(f"{name} is not a time") from error
    if time.tzinfo is None:
        raise RefusedError(f"{name} has no time zone")
    if not FIRST_YEAR <= time.year <= LAST_YEAR:
        raise RefusedError(f"{name} is not between {FIRST_YEAR} and {LAST_YEAR}")
    return time


def _undated(value: object) -> object:
    if not isinstance(value, dict) or "$date" not in value:
        return value
    date = value["$date"]
    number = inside(date, "$numberLong")
    if number is not None and not _NUMBER.fullmatch(str(number)):
        raise ValueError(number)
    return date if number is None else int(str(number))


def _time(value: object) -> datetime:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, str):
        return datetime.fromisoformat(_iso(value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(value)
    if value < _FIRST_SECONDS:
        raise ValueError(value)
    if value < _FIRST_MILLISECONDS:
        return _EPOCH + timedelta(seconds=value)
    return _EPOCH + timedelta(milliseconds=value)


def _iso(value: str) -> str:
    if not value[:1].isalpha():
        return value.replace(" +", "+").replace(" -", "-")
    words = value.split()
    if len(words) != 6 or words[1] not in _MONTHS:
        raise ValueError(value)
    _, month, day, clock, offset, year = words
    return f"{year}-{_MONTHS[month]}-{day}T{clock}{offset}"


def snowflake_time(tid: int) -> datetime:
    """Return the time that a tweet's id carries, in milliseconds above its lowest 22 bits.

    Raises RefusedError for the small ids of before 2010-11-04, which carry none.
    """
    if tid < _FIRST_SNOWFLAKE:
        raise RefusedError("created_at is missing")
    return _EPOCH + timedelta(milliseconds=(tid >> 22) + _SNOWFLAKE_EPOCH_MS)
