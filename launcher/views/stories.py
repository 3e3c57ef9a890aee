"""The stories of a run, as rows of its page and as a page of their own."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import urlsplit

from dfpipe.report.drawing import Svg, sparkline
from dfpipe.warehouse.named_queries import ResultRow
from launcher.views.charts import by_part
from launcher.views.figures import Figures, Rise
from launcher.views.posts import Example

# How the stories of a page are ordered.
SORTS = {"size": "Largest", "rise": "Rising"}


@dataclass(frozen=True, slots=True)
class StoryView:
    """A story. `w1` and `w2` name it in its run; `score` says how surely it rises.

    `earlier` are the posts of the story like it in the run that this one is compared with, None
    where there is none. `counts` are its posts in the parts of the window, whose recent part begins
    at `recent_at`, from 0 to 1. `example` is looked up in the store.
    """

    rank: int
    w1: str
    w2: str
    words: tuple[str, ...]
    posts: int
    users: int
    percent: float
    recent: int
    before: int
    score: float
    rise: Rise | None
    first_seen: datetime
    last_seen: datetime
    counts: tuple[int, ...] = ()
    recent_at: float = 1.0
    url: str = ""
    host: str = ""
    tid: int = 0
    earlier: int | None = None
    example: Example | None = None

    @property
    def spark(self) -> Svg | None:
        """The timeline as a small drawing."""
        if not self.counts:
            return None
        label = f"Posts over time, {self.recent:,} of {self.posts:,} recent"
        return sparkline(self.counts, label, recent=self.recent_at)


def story_view(row: ResultRow, figures: Figures) -> StoryView:
    """Return the story of a row of item `story`, of any of the queries of findings."""
    url = web_address(row.get("url") or "")
    return StoryView(
        rank=row["rank"],
        w1=row["w1"],
        w2=row["w2"],
        words=tuple(row["text"].split()),
        posts=row["count"],
        users=row["users"],
        percent=figures.percent(row["count"]),
        recent=row["recent"],
        before=row["before"],
        score=row["value"],
        rise=figures.rise(row),
        first_seen=row["first_seen"],
        last_seen=row["last_seen"],
        counts=tuple(by_part(row["parts"], row["counts"], figures)) if row.get("parts") else (),
        recent_at=figures.recent_at,
        url=url,
        host=host_of(url),
        tid=row.get("tid") or 0,
    )


def compared(stories: Iterable[StoryView], earlier: Sequence[ResultRow]) -> list[StoryView]:
    """Return stories with the posts of the most similar story of another run."""
    others = [({row["w1"], row["w2"]}, {*row["text"].split()}, row["count"]) for row in earlier]
    return [replace(story, earlier=_most_similar(story, others)) for story in stories]


def _most_similar(story: StoryView, others: Sequence[tuple[set[str], set[str], int]]) -> int | None:
    """Return the posts of the story with the same edge, or the most words, at least half."""
    own, best = {*story.words}, (0, 0)
    for edge, words, posts in others:
        shared = len(own) + 1 if edge == {story.w1, story.w2} else len(own & words)
        if 2 * shared >= len(own):
            best = max(best, (shared, posts))
    return best[1] if best[0] else None


def ordered(stories: Sequence[StoryView], sort: str) -> list[StoryView]:
    """Return stories by their size, or by how surely they rise."""
    if sort == "rise":
        return sorted(stories, key=lambda story: (-story.score, story.rank))
    return list(stories)


def web_address(url: str) -> str:
    """Return a URL if it leads to the web, whatever a table contains; otherwise nothing."""
    return url if url.lower().startswith(("http://", "https://")) else ""


def host_of(url: str) -> str:
    """Return the host of a URL, without www.

    >>> host_of("https://www.a.example:80/x"), host_of("https://[")
    ('a.example', '')
    """
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.")
    except ValueError:
        return ""
