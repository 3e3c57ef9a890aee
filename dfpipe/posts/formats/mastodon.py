"""Statuses of Mastodon's API, one by one or in lists; their content is HTML."""

from collections.abc import Iterator, Mapping
from typing import Any

from lxml import etree

from dfpipe.posts.formats.result import (
    RefusedError,
    Result,
    attempt,
    hashed_tid,
    inside,
    make_post,
    parse_tid,
    parse_time,
)
from dfpipe.posts.post import Post

MOST_DEPTH = 100  # of nested tags; Mastodon itself writes four or five
_BLOCKS = {"p", "blockquote", "ul", "ol", "li", "pre", "h1", "h2", "h3", "h4", "h5", "h6", "div"}
_UNSEEN = {"script", "style", "template"}
_NO_LINKS = {"mention", "hashtag", "tag"}


def is_status(document: dict[str, Any]) -> bool:
    """Tell whether a document is a status."""
    return "content" in document and "account" in document


def results(status: dict[str, Any]) -> Iterator[Result]:
    """Yield the post of a status.

    A boost is a post of its own, by the one who boosted, at that time, with the text and the links
    of its original. A content warning is the first line of the text.
    """
    yield attempt(_post, status)


def _post(status: dict[str, Any]) -> Post:
    original = status.get("reblog") or status
    content = inside(original, "content")
    if not isinstance(content, str):
        raise RefusedError("text is missing")
    text, urls = html_text(content)
    warning = inside(original, "spoiler_text")
    if isinstance(warning, str) and warning:
        text = f"{warning}\n{text}"
    return make_post(
        _tid(status),
        inside(status, "account", "acct"),
        text,
        parse_time(status.get("created_at")),
        urls,
        inside(original, "edited_at"),
    )


def _tid(status: dict[str, Any]) -> int:
    """Return the status's own number, or a hash of its URI on a server whose ids are none."""
    value, uri = status.get("id"), status.get("uri")
    if isinstance(value, str) and not value.isdecimal() and isinstance(uri, str) and uri:
        return hashed_tid(uri)
    return parse_tid(value)


def html_text(content: str) -> tuple[str, list[str]]:
    """Return the text of HTML and its links in their order, without mentions and hashtags.

    Paragraphs and line breaks become newlines. A link's text is whole, also where it is shown
    shortened. Raises RefusedError for HTML that is nested more than MOST_DEPTH deep.

    >>> html_text('<p>See <a href="http://a.b/c"><span class="invisible">http://</span>a.b/c</a>')
    ('See http://a.b/c', ['http://a.b/c'])
    """
    reader = _Reader()
    parser = etree.HTMLParser(target=reader)
    parser.feed(content)
    parser.close()
    return "".join(reader.parts).strip(), reader.urls


class _Reader:
    """What lxml's parser calls for each tag and text: no tree is built, so time is linear."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.urls: list[str] = []
        self._depth = 0
        self._unseen = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """A tag is opened."""
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise RefusedError("the HTML is nested too deeply")
        self._unseen += tag in _UNSEEN
        if tag == "br":
            self.parts.append("\n")
        elif tag == "a" and _is_link(attributes):
            self.urls.append(attributes["href"])

    def end(self, tag: str) -> None:
        """A tag is closed, if only by the end of what it is in."""
        self._depth -= 1
        self._unseen -= tag in _UNSEEN
        if tag in _BLOCKS:
            self.parts.append("\n")

    def data(self, text: str) -> None:
        """Text, with its entities resolved."""
        if not self._unseen:
            self.parts.append(text)

    def close(self) -> None:
        """The end."""


def _is_link(attributes: Mapping[str, str]) -> bool:
    labels = f"{attributes.get('class', '')} {attributes.get('rel', '')}".split()
    return bool(attributes.get("href")) and _NO_LINKS.isdisjoint(labels)
