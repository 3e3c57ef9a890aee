"""The feed of rising stories, in Atom (RFC 4287)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree

from dfpipe.warehouse.named_queries import ResultRow
from service.times import rfc3339

ATOM = "http://www.w3.org/2005/Atom"
SHOWN = timedelta(days=7)  # how old an entry may be
# A story that has not risen for so long, and rises again, is news again.
PAUSE = timedelta(days=7)
# To know of each entry that is shown whether it is the first.
HOURS = (SHOWN + PAUSE) // timedelta(hours=1)
MOST_ENTRIES = 100
TITLE = "Rising stories"
# What XML 1.0 cannot hold.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(slots=True)
class Rise:
    """A story from the first run in which it rises, `first`, to the last."""

    first: ResultRow
    last: datetime
    words: list[frozenset[str]] = field(default_factory=list)
    edges: list[tuple[str, str]] = field(default_factory=list)

    def continues_in(self, row: ResultRow) -> bool:
        """Whether a story of a later run is this one: the same leading edge, or half its words."""
        if row["ts"] - self.last >= PAUSE or row["ts"] == self.last:
            return False
        words = frozenset(row["words"].split())
        is_alike = any(2 * len(words & known) >= len(words) for known in self.words)
        return is_alike or (row["w1"], row["w2"]) in self.edges

    def add(self, row: ResultRow) -> None:
        """Add the story of a run."""
        self.last = row["ts"]
        self.words.append(frozenset(row["words"].split()))
        self.edges.append((row["w1"], row["w2"]))


def rises(rows: Iterable[ResultRow], newest: datetime) -> list[ResultRow]:
    """The stories that began to rise lately, each as in its first run, the newest first.

    `rows` are the answer to `recent_rises` over HOURS before the run `newest`. What this returns of
    a rise stays the same while later runs come: a feed's entry has to.
    """
    found: list[Rise] = []
    for row in rows:
        rise = next((each for each in found if each.continues_in(row)), None)
        if rise is None:
            rise = Rise(row, row["ts"])
            found.append(rise)
        rise.add(row)
    lately = [rise.first for rise in found if newest - rise.first["ts"] < SHOWN]
    return sorted(lately, key=lambda row: (row["ts"], -row["rank"]), reverse=True)[:MOST_ENTRIES]


def atom(stories: Sequence[ResultRow], newest: datetime, site: str, own_address: str) -> bytes:
    """The feed's document; `site` is the address of the service, `own_address` the feed's."""
    ElementTree.register_namespace("", ATOM)
    feed = ElementTree.Element(f"{{{ATOM}}}feed")
    _add(feed, "id", _tag(site, "rising"))
    _add(feed, "title", TITLE)
    _add(feed, "updated", rfc3339(newest))
    _add(_add(feed, "author"), "name", "dfpipe")
    _add(feed, "link", rel="self", type="application/atom+xml", href=own_address)
    _add(feed, "link", rel="alternate", type="text/html", href=f"{site}/")
    for story in stories:
        _add_entry(feed, story, site)
    return bytes(ElementTree.tostring(feed, encoding="utf-8", xml_declaration=True))


def _add_entry(feed: ElementTree.Element, story: ResultRow, site: str) -> None:
    ts = rfc3339(story["ts"])
    edge = {"w1": story["w1"], "w2": story["w2"], "ts": ts}
    entry = _add(feed, "entry")
    _add(entry, "id", _tag(site, f"rising?{urlencode(edge)}"))
    _add(entry, "title", f"{story['words']} {how_much(story)}")
    _add(entry, "published", ts)
    _add(entry, "updated", ts)
    _add(entry, "link", rel="alternate", type="text/html", href=f"{site}{story_path(edge)}")
    text = (
        f"{story['posts']:,} posts by {story['users']:,} people ({story['percent']:.2f} % of all "
        f"posts); {story['recent']:,} in the recent part of the window, {story['before']:,} before."
    )
    _add(entry, "summary", f"{text} First link: {story['url']}" if story["url"] else text)


def how_much(story: ResultRow) -> str:
    """By how much a story's share of the posts has risen.

    >>> how_much({"before": 3, "times": 7.04}), how_much({"before": 0, "times": None})
    ('×7.0', '(new)')
    """
    return f"×{story['times']:.1f}" if story["before"] else "(new)"


def story_path(edge: Mapping[str, str]) -> str:
    """The address of a story's page."""
    return f"/timeline/story?{urlencode(edge)}"


def _tag(site: str, name: str) -> str:
    """An id that stays the same wherever the pages move on their host (RFC 4151)."""
    return f"tag:{urlsplit(site).hostname},2015:{name}"


def _add(
    parent: ElementTree.Element, name: str, text: str = "", **attributes: str
) -> ElementTree.Element:
    found = ElementTree.SubElement(
        parent, f"{{{ATOM}}}{name}", {k: _NOT_XML.sub("", v) for k, v in attributes.items()}
    )
    found.text = _NOT_XML.sub("", text) or None
    return found
