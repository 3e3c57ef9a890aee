"""Timelines as drawings: what a template needs for an SVG without scripts or styles."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from dfpipe.analysis.parts import PARTS, columns
from dfpipe.report.drawing import outline
from dfpipe.times import microseconds
from launcher.views.figures import HOUR, Figures

WIDTH, HEIGHT = 960, 160  # of the drawing, which a page stretches to its own width
MOST_TICKS = 8
LEAST_BARS = 24  # for which there is room
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Tick:
    """A midnight in UTC: where it is, in percent of the width, and what it is called."""

    place: float
    name: str


@dataclass(frozen=True, slots=True)
class Chart:
    """The posts of a window over time.

    `recent` is where the recent part begins, in percent of the width. `label` describes the drawing
    for those who do not see it.
    """

    path: str
    recent: float
    ticks: tuple[Tick, ...]
    peak: str
    label: str


def chart(
    parts: Sequence[int] | None, counts: Sequence[int] | None, figures: Figures
) -> Chart | None:
    """Draw a window; None if its run recorded no parts, as runs of old versions."""
    if not parts or not counts:
        return None
    return drawn(by_part(parts, counts, figures), figures)


def drawn(every: Sequence[int], figures: Figures) -> Chart:
    """Draw the posts of each part of a window."""
    hours = (figures.end - figures.start).total_seconds() / HOUR / PARTS
    highest = max(every)
    rate = round(highest / hours)
    peak = f"{rate:,} post{'' if rate == 1 else 's'} an hour"
    at = figures.start + every.index(highest) * (figures.end - figures.start) / PARTS
    return Chart(
        path=outline(every, WIDTH, HEIGHT),
        recent=round(100 * figures.recent_at, 2),
        ticks=tuple(ticks(figures.start, figures.end)),
        peak=peak,
        label=f"Posts over time, at most {peak}, on {at.astimezone(UTC):%Y-%m-%d at %H:%M} UTC",
    )


def ticks(start: datetime, end: datetime) -> Iterator[Tick]:
    """Yield midnights of a window, not too many; the name of the last one needs some space.

    >>> [t.name for t in ticks(datetime(2026, 1, 3, 10, tzinfo=UTC), datetime(2026, 1, 5, 10, tzinfo=UTC))]
    ['Sun 4 Jan', 'Mon 5 Jan']
    """  # noqa: E501
    days = -(-(end - start) // DAY)
    step = -(-days // MOST_TICKS)
    day = start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for number in range(days + 1):
        moment = day + number * DAY
        place = 100 * ((moment - start) / (end - start))
        if 0 <= place <= 100 and number % step == 0:
            yield Tick(round(place, 2), f"{moment:%a} {moment.day} {moment:%b}")


def by_part(parts: Sequence[int], counts: Sequence[int], figures: Figures) -> list[int]:
    """Return the posts of each part of a window, given where parts begin in microseconds."""
    return columns(parts, counts, microseconds(figures.start), microseconds(figures.end))


@dataclass(frozen=True, slots=True)
class Bar:
    """A run among others: its place from the left and its height, both in percent."""

    ts: datetime
    posts: int
    place: float
    width: float
    height: float


def bars(runs: Sequence[tuple[datetime, int]]) -> list[Bar]:
    """Draw runs, oldest first, as bars of their posts; some space is left between days."""
    if not runs:
        return []
    gaps = [0, *(int(a[0].date() != b[0].date()) for a, b in pairwise(runs))]
    # A few runs do not fill the width.
    unit = 100 / max(len(runs) + 0.5 * sum(gaps), LEAST_BARS)
    most = max(posts for _, posts in runs) or 1
    found, place = [], 0.0
    for gap, (ts, posts) in zip(gaps, runs, strict=True):
        place += 0.5 * gap * unit
        height = max(100 * posts / most, 6.0)
        found.append(Bar(ts, posts, round(place, 2), round(0.65 * unit, 2), round(height, 1)))
        place += unit
    return found
