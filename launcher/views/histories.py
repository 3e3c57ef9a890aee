"""A story or a word of one run, and what all runs say of it: for pages of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dfpipe.errors import UsageError
from dfpipe.report.drawing import Svg, sparkline
from dfpipe.warehouse.named_queries import Result, ResultRow
from launcher.views import talk
from launcher.views.charts import Chart, chart
from launcher.views.figures import Figures, Rise
from launcher.views.findings import by_item
from launcher.views.stories import StoryView, story_view
from launcher.views.talk import Card
from service.times import rfc3339

DRAWN = 96  # runs in a small drawing
PARTNERS = 15


class UnknownStoryError(UsageError):
    """A run has no story with such a leading pair."""


@dataclass(frozen=True, slots=True)
class StoryPage:
    """A story with its timeline, links and pairs, and the stories like it in other runs.

    `examples` are ids of posts with the number of copies. `others` are rows, newest run first.
    """

    story: StoryView
    figures: Figures
    timeline: Chart | None
    examples: tuple[tuple[int, int], ...]
    urls: tuple[talk.Line, ...]
    pairs: tuple[talk.Line, ...]
    others: tuple[ResultRow, ...]
    drawn: Svg


def story_page(result: Result, run: ResultRow, w1: str, w2: str) -> StoryPage:
    """Return the page of the rows of `story_findings`. Raises UnknownStoryError."""
    rows, figures = by_item(result), Figures.of(run)
    if not rows["story"]:
        raise UnknownStoryError(
            f"the run of {rfc3339(run['ts'])} has no story that begins with {w1} and {w2}: "
            "search for one of the words, or choose another run"
        )
    (own,) = rows["story"]
    pairs = {(row["w1"], row["w2"]): row for row in (*rows["rising_pair"], *rows["pair"])}
    others = tuple(row for row in rows["other"] if row["run"] != run["ts"])
    largest = sorted(pairs.values(), key=lambda row: -row["count"])
    posts = [row["count"] for row in reversed(rows["other"][:DRAWN])]
    return StoryPage(
        story=story_view(own, figures),
        figures=figures,
        timeline=chart(own["parts"], own["counts"], figures),
        examples=tuple((row["tid"], row["count"]) for row in rows["post"]),
        urls=talk.lines(talk.KINDS["top_urls"], [r | {"url": r["text"]} for r in rows["url"]]),
        pairs=talk.lines(talk.STORY_PAIRS, largest[:PARTNERS]),
        others=others,
        drawn=sparkline(posts, f"Its posts in {len(posts)} runs, at most {max(posts):,}"),
    )


@dataclass(frozen=True, slots=True)
class Moment:
    """A run, and what it says of a word or pair: nothing where it has not ranked it."""

    ts: datetime
    rank: int | None = None
    count: int | None = None
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Ranked:
    """What all runs say of something that they rank, newest first, and the run `ts` among them."""

    history: tuple[Moment, ...]
    ts: datetime

    @property
    def now(self) -> Moment:
        """What the run `ts` says."""
        return next(moment for moment in self.history if moment.ts == self.ts)

    @property
    def ranked(self) -> int:
        """How many runs have ranked it."""
        return sum(moment.rank is not None for moment in self.history)

    @property
    def best(self) -> int | None:
        """The best rank in all runs; 1 is the highest."""
        return min((m.rank for m in self.history if m.rank is not None), default=None)


@dataclass(frozen=True, slots=True)
class WordPage(Ranked):
    """A word or a pair: its history, and what one run says of it.

    `query` and `params` name the history as data.
    """

    words: tuple[str, ...]
    rise: Rise | None
    stories: tuple[StoryView, ...]
    partners: Card
    drawn: Svg
    query: str
    params: Mapping[str, str]


def history_of(rows: Sequence[ResultRow], runs: Sequence[ResultRow]) -> tuple[Moment, ...]:
    """Return the history of the rows of item `ranked`, given all runs, newest first."""
    ranked = {r["run"]: Moment(r["run"], r["rank"], r["count"], r["value"]) for r in rows}
    return tuple(ranked.get(run["ts"], Moment(run["ts"])) for run in runs)


def word_page(
    result: Result, run: ResultRow, runs: Sequence[ResultRow], words: Sequence[str]
) -> WordPage:
    """Return the page of the rows of `word_findings`, given all runs, newest first."""
    rows, figures = by_item(result), Figures.of(run)
    history = history_of(rows["ranked"], runs)
    rising = rows["rising_word" if len(words) == 1 else "rising_pair"]
    partners = [
        row | {"log_weight": row["value"]}
        for row in rows["pair"]
        if {row["w1"], row["w2"]} != {*words}
    ]
    values = [round(1000 * (moment.value or 0)) for moment in reversed(history[:DRAWN])]
    is_word = len(words) == 1
    return WordPage(
        words=tuple(words),
        history=history,
        ts=run["ts"],
        rise=next(filter(None, map(figures.rise, rising)), None),
        stories=tuple(story_view(row, figures) for row in rows["story"]),
        partners=talk.card(("interesting_pairs", {}), partners, PARTNERS),
        drawn=sparkline(values, f"Ranked in {len(rows['ranked'])} of {len(runs)} runs"),
        query="word_history" if is_word else "pair_history",
        params=dict(zip(("word",) if is_word else ("w1", "w2"), words, strict=True)),
    )
