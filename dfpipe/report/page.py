"""A run as one HTML file: no scripts, nothing loaded from elsewhere, readable in an e-mail."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from jinja2 import Environment, PackageLoader, StrictUndefined

from dfpipe.analysis.level import LEVEL
from dfpipe.analysis.parts import columns
from dfpipe.errors import NoResultsError
from dfpipe.report.drawing import Svg, sparkline
from dfpipe.warehouse import Warehouse
from dfpipe.warehouse.named_queries import ResultRow

STORIES, LINES = 20, 15  # of the file
WIDTH, HEIGHT = 288, 40  # pixels of a story's timeline


@dataclass(frozen=True, slots=True)
class Findings:
    """The run of a report, and the rows of the lists in it."""

    run: ResultRow
    stories: Sequence[ResultRow]
    lists: Mapping[str, Sequence[ResultRow]]


def read(warehouse: Warehouse, ts: datetime | None = None) -> Findings:
    """Read what a report shows of the newest run at or before a time. Raises NoResultsError."""
    with warehouse.reading():
        runs = _rows(warehouse, "latest_runs")
        run = next((run for run in runs if ts is None or run["ts"] <= ts), None)
        if run is None:
            raise NoResultsError(
                "there is no run to report"
                + (f" at or before {ts.isoformat()}: give a later --ts" if ts else "")
            )
        names = ("rising_words", "popular_words", "interesting_pairs", "top_urls")
        lists = {name: _rows(warehouse, name, ts=run["ts"])[:LINES] for name in names}
        return Findings(run, _rows(warehouse, "stories", ts=run["ts"]), lists)


def render(found: Findings, texts: Mapping[int, str]) -> str:
    """Return the file. `texts` are the example posts that could be looked up, by their ids."""
    rising = sorted(filter(rises, found.stories), key=lambda story: -story["score"])
    template = _environment().get_template("report.html")
    return template.render(
        run=found.run,
        stories=found.stories[:STORIES],
        story_count=len(found.stories),
        rising=rising,
        lists=found.lists,
        texts=texts,
    )


def rises(story: ResultRow) -> bool:
    """Whether a story rises by more than chance."""
    return bool(story["score"] > 0 and story["p_value"] < LEVEL)


def badge(story: ResultRow) -> str:
    """By how much a story's share of the posts has risen; empty if it does not rise.

    >>> badge({"score": 9.0, "p_value": 0.001, "before": 4, "times": 6.96})
    '×7.0'
    """
    if not rises(story):
        return ""
    return f"×{story['times']:.1f}" if story["before"] else "new"


def spark(story: ResultRow, run: ResultRow) -> Svg:
    """Draw a story's timeline over the window of its run."""
    start, end = run["window_start"], run["window_end"]
    counts = columns(story["parts"], story["counts"], start, end)
    since = run["recent_start"] or end
    label = f"Posts over time: {story['recent']:,} of {story['posts']:,} are recent"
    recent = (since - start) / (end - start)
    return sparkline(counts, label, recent=recent, width=WIDTH, height=HEIGHT)


def is_web(url: str) -> bool:
    """Whether a URL leads to the web, whatever a table contains."""
    return url.lower().startswith(("http://", "https://"))


def minute(moment: datetime) -> str:
    """Return a time for people, in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("dfpipe.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    made.filters.update(minute=minute, badge=badge)
    made.globals.update(spark=spark, is_web=is_web)
    return made


def _rows(warehouse: Warehouse, query: str, **params: object) -> list[ResultRow]:
    result = warehouse.query(query, **params)
    return [dict(zip(result.columns, row, strict=True)) for row in result.rows]
