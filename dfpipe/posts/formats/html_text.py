"""The text and the links of a post that is written in HTML."""

import re
from collections.abc import Iterable, Mapping, Set

from lxml import etree

from dfpipe.posts.formats.result import RefusedError

MOST_DEPTH = 100  # of nested tags; Mastodon itself writes four or five
_BLOCKS = {"p", "blockquote", "ul", "ol", "li", "pre", "h1", "h2", "h3", "h4", "h5", "h6", "div"}
_UNSEEN = {"script", "style", "template"}
# The address of a quoted post, for readers that do not show it.
_QUOTE = "quote-inline"
_NO_LINKS = {"mention", "hashtag", "tag"}


def html_text(content: str, named: Set[str] = frozenset()) -> tuple[str, list[str]]:
    """Return the text of HTML and its links in their order, without mentions and hashtags.

    Mentions and hashtags are links of the classes `mention`, `hashtag` and `tag`, and links whose
    address or shown text is in `named`, casefolded. Paragraphs and line breaks become newlines. A
    link's text is whole, also where it is shown shortened. Raises RefusedError for HTML that is
    nested more than MOST_DEPTH deep.

    >>> html_text('<p>See <a href="http://a.b/c"><span class="invisible">http://</span>a.b/c</a>')
    ('See http://a.b/c', ['http://a.b/c'])
    >>> html_text('<a href="http://a.b/@mio">@mio</a>', {"@mio"})
    ('@mio', [])
    """
    reader = _Reader(named)
    parser = etree.HTMLParser(target=reader)
    parser.feed(content)
    parser.close()
    return "".join(reader.parts).strip(), reader.urls


def with_parts(text: str, warning: object, options: Iterable[str], emoji: Iterable[str]) -> str:
    """Return the text of a post with all that its readers see.

    A content warning is its first line, the options of its poll are its last ones. Emoji codes such
    as ":blobcat:" become spaces, since pictures are seen in their places.
    """
    lines = [warning] if isinstance(warning, str) and warning else []
    text = "\n".join((*lines, text, *options))
    codes = "|".join(map(re.escape, emoji))
    return re.sub(codes, " ", text).strip() if codes else text


class _Reader:
    """What lxml's parser calls for each tag and text: no tree is built, so time is linear."""

    def __init__(self, named: Set[str]) -> None:
        self.parts: list[str] = []
        self.urls: list[str] = []
        self._named = named
        self._depth = 0
        self._unseen_from = MOST_DEPTH + 1
        self._link = ""
        self._link_begins = 0  # its first part

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Take an opening tag with its attributes. Raises RefusedError."""
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise RefusedError("the HTML is nested too deeply")
        labels = f"{attributes.get('class', '')} {attributes.get('rel', '')}".split()
        if tag in _UNSEEN or _QUOTE in labels:
            self._unseen_from = min(self._unseen_from, self._depth)
        elif tag == "br":
            self._show("\n")
        elif tag == "a":
            self._link = attributes.get("href", "") if _NO_LINKS.isdisjoint(labels) else ""
            self._link_begins = len(self.parts)

    def end(self, tag: str) -> None:
        """Take a closing tag, or the end of what the tag is in."""
        if tag == "a":
            self._end_link()
        if tag in _BLOCKS:
            self._show("\n")
        if self._depth == self._unseen_from:
            self._unseen_from = MOST_DEPTH + 1
        self._depth -= 1

    def data(self, text: str) -> None:
        """Take text between tags; its entities are resolved already."""
        self._show(text)

    def close(self) -> None:
        """Do nothing: lxml requires the method."""

    def _show(self, text: str) -> None:
        if self._depth < self._unseen_from:
            self.parts.append(text)

    def _end_link(self) -> None:
        shown = "".join(self.parts[self._link_begins :]).strip()
        is_named = not self._named.isdisjoint((self._link.casefold(), shown.casefold()))
        if self._link and not is_named and self._depth < self._unseen_from:
            self.urls.append(self._link)
        self._link = ""
