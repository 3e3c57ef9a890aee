"""Statuses of Mastodon's API, one by one or in lists; their content is HTML."""

from collections.abc import Iterator
from typing import Any

from bs4 import BeautifulSoup, Tag

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

_BLOCKS = ("p", "blockquote", "ul", "ol", "li", "pre", "h1", "h2", "h3", "h4", "h5", "h6", "div")
_NO_LINKS = {"mention", "hashtag"}


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
    shortened.

    >>> html_text('<p>See <a href="http://a.b/c"><span class="invisible">http://</span>a.b/c</a>')
    ('See http://a.b/c', ['http://a.b/c'])
    """
    tree = BeautifulSoup(content, "html.parser")
    for tag in tree.find_all("br"):
        tag.replace_with("\n")
    for tag in tree.find_all(_BLOCKS):
        tag.append("\n")
    urls = [str(tag["href"]) for tag in tree.find_all("a", href=True) if _is_link(tag)]
    return tree.get_text().strip(), urls


def _is_link(tag: Tag) -> bool:
    labels = {*tag.get_attribute_list("class"), *tag.get_attribute_list("rel")}
    return _NO_LINKS.isdisjoint(labels) and "tag" not in labels and bool(tag["href"])
