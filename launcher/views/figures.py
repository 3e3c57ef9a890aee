"""What the figures of a run mean beside each other: shares, rises and times in its window."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from dfpipe.analysis.level import LEVEL
from dfpipe.analysis.parts import PARTS
from dfpipe.warehouse.named_queries import ResultRow

HOUR = 3600  # seconds


@dataclass(frozen=True, slots=True)
class Rise:
    """How much a share of the posts has risen: `text` is short, `note` says it in words."""

    text: str
    note: str


@dataclass(frozen=True, slots=True)
class Figures:
    """The posts of a run, the recent ones among them, and its window."""

    posts: int
    recent: int
    start: datetime
    end: datetime
    since: datetime

    @classmethod
    def of(cls, run: ResultRow) -> "Figures":
        """Take the figures of a row of `latest_runs`; runs of old versions have no recent part."""
        since = run["recent_start"] or run["window_end"]
        window = run["window_start"], run["window_end"]
        return cls(run["tweets"], run["recent"] or 0, *window, since)

    @property
    def recent_hours(self) -> str:
        """How long the recent part is, such as "24 h"."""
        return f"{(self.end - self.since).total_seconds() / HOUR:g} h"

    @property
    def recent_at(self) -> float:
        """Where the recent part of the window begins, from 0 to 1."""
        return (self.since - self.start) / (self.end - self.start)

    @property
    def part_milliseconds(self) -> float:
        """How long a part of the window is."""
        return (self.end - self.start) / timedelta(milliseconds=1) / PARTS

    def percent(self, posts: int) -> float:
        """Return how many of 100 posts these are."""
        return 100 * posts / self.posts if self.posts else 0.0

    def times(self, recent: int, before: int) -> float | None:
        """Return how many times as large the recent share is; None if there was none before."""
        if not before or not self.recent:
            return None
        return recent * (self.posts - self.recent) / (before * self.recent)

    def rise(self, row: ResultRow) -> Rise | None:
        """Return the rise of something by its `recent`, `before`, `value` (a score), `p_value`."""
        if row["value"] <= 0 or row["p_value"] >= LEVEL:
            return None
        times = self.times(row["recent"], row["before"])
        note = f"{row['recent']:,} posts in the last {self.recent_hours}, {row['before']:,} before"
        return Rise("from 0" if times is None else f"×{times_text(times)}", note)


def times_text(times: float) -> str:
    """Return a factor for people, with two significant digits at most below 100.

    >>> times_text(7.04), times_text(1.36), times_text(689.008)
    ('7', '1.4', '689')
    """
    return f"{times:,.0f}" if times >= 9.95 else f"{times:.1f}".removesuffix(".0")
