"""Which columns of a table hold posts, and the posts in its rows.

Tables of posts have no format: data sets of many makers name their columns as they like. A column
is known by the usual names, in any spelling ("Tweet ID" is `tweet_id`), or is named by the user.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isnan

import orjson

from dfpipe.errors import UsageError
from dfpipe.posts.formats.result import (
    RefusedError,
    UnknownFormatError,
    hashed_tid,
    make_post,
    parse_tid,
    parse_time,
    snowflake_time,
)
from dfpipe.posts.formats.x_posts import WITHHELD, post_links
from dfpipe.posts.post import Post

FIELDS = ("tid", "user", "text", "created_at", "urls")

# The usual names, the better ones first, without what is neither a letter, a digit nor a dot.
_USUAL = {
    "tid": "tid tweetid tweetidstr idstr id statusid postid ids",
    "user": "user.username user.screenname author.username username screenname userscreenname "
    "user author handle fromuser authorname name authorid userid",
    "text": "notetweet.text rawcontent fulltext tweettext text tweet tweets content tweetcontent "
    "body message",
    "created_at": "createdat tweetcreatedat tweettime tweetcreated publishdate publishedat "
    "postedat created createddate datetime timestamp date tweetdate postdate time",
    "urls": "notetweet.entities.urls entities.urls expandedurls outlinks urls links",
    "withheld": "withheld.scope withheld.copyright",
}
# What these hold where the text is a notice, as X's v2 API has it.
_WITHHELD = ("user", "true")
_SEPARATOR = re.compile(r"[\s,]+(?=https?://)", re.IGNORECASE)
_LINK = re.compile(r"https?://[^\s'\"\[\]]+", re.IGNORECASE)
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_ZONES = {"UTC": "+0000", "GMT": "+0000", "PST": "-0800", "PDT": "-0700"}

Row = Sequence[object]


class UnknownColumnsError(UnknownFormatError):
    """A table in which no columns are known that would make a post."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The places of the columns that hold each field, the better ones first; none if empty.

    `withheld` are those that say whether X withholds a post.
    """

    tid: tuple[int, ...] = ()
    user: tuple[int, ...] = ()
    text: tuple[int, ...] = ()
    created_at: tuple[int, ...] = ()
    urls: tuple[int, ...] = ()
    withheld: tuple[int, ...] = ()


def parse_columns(text: str) -> dict[str, str]:
    """Return the columns that a user names by what they hold. Raises UsageError.

    >>> parse_columns("text=Tweet,tid=")
    {'text': 'Tweet', 'tid': ''}
    """
    named = {}
    for part in text.split(","):
        field, equals, name = (side.strip() for side in part.partition("="))
        if not equals or field not in FIELDS:
            raise UsageError(
                f"--columns has {part.strip()!r}: give FIELD=COLUMN, separated by commas, where "
                f"FIELD is {', '.join(FIELDS[:-1])} or {FIELDS[-1]}; FIELD= is for no column"
            )
        named[field] = name
    return named


def known_columns(header: Sequence[str], named: Mapping[str, str]) -> Columns:
    """Return the columns of a table's header that hold posts.

    `named` has the column of some fields; an empty name means that no column holds the field.
    Raises UnknownColumnsError where there is no text, or neither a time nor an id.

    >>> known_columns(["Tweet ID", "Date", "Tweet"], {})
    Columns(tid=(0,), user=(), text=(2,), created_at=(1,), urls=(), withheld=())
    """
    places = {
        field: _named_place(header, named[field]) if field in named else _usual(header, field)
        for field in FIELDS
    }
    columns = Columns(**places, withheld=_usual(header, "withheld"))
    if not columns.text or not (columns.created_at or columns.tid):
        raise UnknownColumnsError(
            f"a table with the columns {', '.join(map(repr, header[:20]))}: name those that hold "
            "posts, as in --columns text=COLUMN,created_at=COLUMN,tid=COLUMN,user=COLUMN"
        )
    return columns


def _named_place(header: Sequence[str], name: str) -> tuple[int, ...]:
    if not name:
        return ()
    if name not in header:
        raise UnknownColumnsError(
            f"a table without the column {name!r} of --columns: its columns are "
            f"{', '.join(map(repr, header[:20]))}"
        )
    return (header.index(name),)


def _usual(header: Sequence[str], field: str) -> tuple[int, ...]:
    plain = [re.sub(r"[^a-z0-9.]", "", name.lower()) for name in header]
    return tuple(plain.index(name) for name in _USUAL[field].split() if name in plain)


def row_post(row: Row, columns: Columns) -> Post:
    """Return the post of a row. Raises RefusedError.

    A time without a zone is UTC. Without a readable time it is the time in the id, if that is one
    of X's. Without an id it is a hash of user, time and text.
    """
    if any(str(row[place]).lower() in _WITHHELD for place in columns.withheld):
        raise RefusedError(WITHHELD)
    user, text = _first(row, columns.user), _first(row, columns.text)
    given_id = _first(row, columns.tid)
    tid = None if given_id is None else parse_tid(given_id)
    created_at = _time(_first(row, columns.created_at), tid)
    user = str(user) if isinstance(user, int) else user
    if tid is None:
        tid = hashed_tid(f"{user} {created_at.isoformat()} {text}")
    urls = post_links({"urls": _links(_first(row, columns.urls))}, text, tid)
    return make_post(tid, user, text, created_at, urls)


def _first(row: Row, places: Sequence[int]) -> object:
    """Return the first value that is there."""
    values = (row[place] for place in places)
    return next((value for value in values if _is_there(value)), None)


def _is_there(value: object) -> bool:
    is_nan = isinstance(value, float) and isnan(value)  # as pandas has it
    return not is_nan and value not in (None, "")


def _time(value: object, tid: int | None) -> datetime:
    try:
        return table_time(value)
    except RefusedError:
        if tid is None:
            raise
        try:
            return snowflake_time(tid)
        except RefusedError:
            pass  # report the column, not the id
        raise


def table_time(value: object) -> datetime:
    """Return the time in a cell, in UTC; one without a zone is taken for UTC. Raises RefusedError.

    >>> table_time("2020-07-25 12:27:21"), table_time("Mon Apr 06 22:19:45 PDT 2009")
    (datetime.datetime(2020, 7, 25, 12, 27, 21, tzinfo=datetime.timezone.utc), \
datetime.datetime(2009, 4, 7, 5, 19, 45, tzinfo=datetime.timezone.utc))
    """
    if isinstance(value, datetime):
        value = (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    if not isinstance(value, str):
        return parse_time(value)
    text = value.strip()
    text = " ".join(_ZONES.get(word, word) for word in text.split())
    if _DAY.fullmatch(text):
        text += "T00:00"
    try:
        return parse_time(text)
    except RefusedError:
        return parse_time(f"{text}Z")


def _links(value: object) -> list[object]:
    """Return the links in a cell as entities: a list, one written as JSON, or addresses in text."""
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            parts = _SEPARATOR.split(str(value))
            value = [link for part in parts for link in _LINK.findall(part)]
    links = value if isinstance(value, list) else []
    return [{"url": link} if isinstance(link, str) else link for link in links]
