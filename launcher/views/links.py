"""A link of one run, and what all runs say of it: for a page of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from dfpipe.analysis.text import normalise_url
from dfpipe.report.drawing import Svg, sparkline
from dfpipe.warehouse.named_queries import Result, ResultRow
from launcher.views import talk
from launcher.views.figures import Figures
from launcher.views.findings import MOST_NEAR, by_item
from launcher.views.histories import DRAWN, Ranked, history_of
from launcher.views.stories import StoryView, host_of, story_view, web_address


@dataclass(frozen=True, slots=True)
class LinkPage(Ranked):
    """A link: its history, and what one run says of it.

    `address` leads there; it is empty if the link is not one of the web. `near` are ranked links
    like one that the run has not ranked. `words` are those that the run has ranked.
    """

    url: str
    address: str
    host: str
    stories: tuple[StoryView, ...]
    near: tuple[talk.Line, ...]
    words: frozenset[str]
    drawn: Svg


def counted_as(text: str, mode: str) -> str:
    """The form in which runs of a mode count a link; a text that is not a link stays as it is.

    >>> counted_as("A.example/x?utm_source=b", "modern")
    'https://a.example/x'
    """
    given = text if "://" in text else f"https://{text}"
    return given.lower() if mode == "classic" else normalise_url(given) or text


def link_page(result: Result, run: ResultRow, runs: Sequence[ResultRow], url: str) -> LinkPage:
    """Return the page of the rows of `link_findings`, given all runs, newest first."""
    rows, figures = by_item(result), Figures.of(run)
    history = history_of(rows["ranked"], runs)
    counts = [moment.count or 0 for moment in reversed(history[:DRAWN])]
    return LinkPage(
        url=url,
        address=web_address(url),
        host=host_of(url),
        history=history,
        ts=run["ts"],
        stories=tuple(story_view(row, figures) for row in rows["story"]),
        near=() if any(r["run"] == run["ts"] for r in rows["ranked"]) else _near(url, rows["url"]),
        words=frozenset(row["w1"] for row in rows["word"]),
        drawn=sparkline(counts, f"Its posts in {len(counts)} runs, at most {max(counts):,}"),
    )


def _near(url: str, rows: Sequence[ResultRow]) -> tuple[talk.Line, ...]:
    """Ranked links that are spelled alike, then others of the same host."""
    counts = {row["text"]: row["count"] for row in rows}
    host = host_of(url)
    alike = get_close_matches(url, counts, n=MOST_NEAR, cutoff=0.8)
    there = [each for each in counts if host and host_of(each) == host]
    found = list(dict.fromkeys([*alike, *there]))[:MOST_NEAR]
    return talk.lines(talk.KINDS["top_urls"], [{"url": u, "count": counts[u]} for u in found])
