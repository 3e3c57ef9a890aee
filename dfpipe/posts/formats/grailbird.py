"""The scripts of X's personal archives: each assigns a JSON array to a variable.

Those of posts hold v1.1 tweets, and long posts have their whole text in one of their own.
"""

import html
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from dfpipe.posts.formats.result import (
    RefusedError,
    Skip,
    inside,
    items,
    parse_time,
    strings,
)
from dfpipe.posts.post import Post

POSTS, LONG_TEXTS, ACCOUNT = "posts", "long texts", "account files"

_ASSIGNMENT = re.compile(
    rb"\s*(?:(?:Grailbird\.data|window\.YTD)\.|(?=window\.__THAR_CONFIG)window\.|"
    rb"(?=var (?:tweet_index|payload_details|user_details)\b)var )(\w+)[\w.]*\s*=\s*"
)
_CONTENTS = {
    b"tweet": POSTS,
    b"tweets": POSTS,
    b"community_tweet": POSTS,
    b"note_tweet": LONG_TEXTS,
    b"deleted_tweet": "files of deleted posts",
    b"deleted_tweets": "files of deleted posts",
    b"deleted_note_tweet": "files of deleted posts",
    b"like": "files of likes",
}
_MONTH = re.compile(rb"tweets_\d{4}_\d\d")
# At the end of a cut text: the mark, and the link to the whole.
_CUT = re.compile(r"(?:\s*(?:…|\.\.\.))?\s*(?:https://t\.co/\w*)?\s*\Z")
_SECOND = timedelta(seconds=1)


def is_script(data: bytes) -> bool:
    """Return whether a file that begins with this data is such a script."""
    return _ASSIGNMENT.match(data) is not None


def contents(data: bytes) -> str:
    """Return what a script holds: POSTS, LONG_TEXTS, or files without posts, in the plural.

    >>> contents(b"window.YTD.tweets.part1 = ["), contents(b"window.YTD.ad_impressions.part0 = [")
    ('posts', 'account files')
    """
    found = _ASSIGNMENT.match(data)
    name = found.group(1) if found else b""
    return POSTS if _MONTH.fullmatch(name) else _CONTENTS.get(name, ACCOUNT)


def unwrap(data: bytes) -> bytes:
    """Return the JSON text of a script, and anything else as it is.

    >>> unwrap(b'Grailbird.data.tweets_2011_12 = [ {"id_str": "1"} ]')
    b'[ {"id_str": "1"} ]'
    """
    return _ASSIGNMENT.sub(b"", data, count=1) if is_script(data) else data


@dataclass(frozen=True, slots=True)
class LongText:
    """The whole text of a post that is cut where the other posts are, and its links."""

    created_at: datetime
    text: str
    urls: tuple[str, ...]


def long_texts(document: object) -> Iterator[LongText | Skip]:
    """Yield the long texts in a document: one, or a list of them."""
    for note in document if isinstance(document, list) else [document]:
        try:
            yield _long_text(inside(note, "noteTweet"))
        except RefusedError as refusal:
            yield Skip(str(refusal))


def _long_text(note: object) -> LongText:
    text = inside(note, "core", "text")
    if not isinstance(text, str):
        raise RefusedError("text is missing")
    urls = (inside(url, "expandedUrl") for url in items(inside(note, "core", "urls")))
    return LongText(parse_time(inside(note, "createdAt")), text, tuple(strings(urls)))


class LongTexts:
    """The long texts of an archive. They have ids of their own, so time and beginning tell."""

    def __init__(self) -> None:
        self._by_second: defaultdict[datetime, list[LongText]] = defaultdict(list)

    def add(self, long: LongText) -> None:
        """Keep a long text, for the post of the same second."""
        self._by_second[long.created_at.replace(microsecond=0)].append(long)

    def whole(self, post: Post) -> Post:
        """Return a post with its long text, if it is cut, else as it is."""
        if not self._by_second:
            return post
        second = post.created_at.replace(microsecond=0)
        begin = html.unescape(_CUT.sub("", post.text, count=1))
        for time in (second, second - _SECOND, second + _SECOND):
            for long in self._by_second.get(time, ()):
                text = html.unescape(long.text).rstrip()
                if begin and text.startswith(begin) and len(text) > len(begin):
                    return replace(post, text=long.text, urls=long.urls)
        return post
