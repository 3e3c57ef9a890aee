"""Stories as the pages show them: figures, drawings, examples, and stories of two runs."""

import doctest
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfpipe.times import microseconds
from launcher.views import charts, figures, posts, stories
from launcher.views.charts import bars, chart, ticks
from launcher.views.figures import Figures
from launcher.views.posts import MOST_TEXT, address_of, example, readable
from launcher.views.stories import compared, story_view

NOW = datetime(2026, 1, 7, 12, tzinfo=UTC)
DAY = timedelta(days=1)
FIGURES = Figures(1000, 250, NOW - 4 * DAY, NOW, NOW - DAY)


@pytest.mark.parametrize("module", [charts, figures, posts, stories], ids=lambda m: m.__name__)
def test_doctests(module: Any) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


def row(words: str, count: int = 40, **changes: Any) -> dict[str, Any]:
    """A row of run_findings."""
    w1, w2 = sorted(words.split()[:2])
    fixed = {"rank": 1, "w1": w1, "w2": w2, "text": words, "count": count, "users": 9}
    rise = {"recent": 10, "before": 30, "value": 0.0, "p_value": 1.0}
    return {**fixed, **rise, "first_seen": NOW, "last_seen": NOW, **changes}


def test_a_rise_is_shown_only_if_it_is_not_by_chance() -> None:
    sure = {"value": 50.0, "p_value": 0.001}
    assert FIGURES.rise(row("a b")) is None
    assert FIGURES.rise(row("a b", value=50.0, p_value=0.01)) is None
    assert FIGURES.rise(row("a b", value=-50.0, p_value=0.001)) is None
    found = FIGURES.rise(row("a b", recent=70, before=30, **sure))
    assert found
    assert found.text == "×7"
    assert found.note == "70 posts in the last 24 h, 30 before"
    new = FIGURES.rise(row("a b", before=0, **sure))
    assert new
    assert new.text == "from 0"


def test_figures_of_a_run_of_an_old_version() -> None:
    old = {"tweets": 5, "recent": None, "recent_start": None}
    found = Figures.of({**old, "window_start": NOW - DAY, "window_end": NOW})
    assert (found.recent, found.recent_at, found.times(0, 5)) == (0, 1.0, None)


def test_a_run_without_a_timeline_has_no_chart() -> None:
    assert chart(None, None, FIGURES) is None
    assert chart([], [], FIGURES) is None
    found = chart([microseconds(FIGURES.start), microseconds(NOW - DAY)], [3, 9], FIGURES)
    assert found
    assert (found.recent, found.peak) == (75.0, "9 posts an hour")
    assert found.label == "Posts over time, at most 9 posts an hour, on 2026-01-06 at 12:00 UTC"


@given(st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1)), st.integers(1, 400))
def test_midnights_are_in_their_window_and_not_too_many(start: datetime, hours: int) -> None:
    start = start.replace(tzinfo=UTC)
    found = list(ticks(start, start + timedelta(hours=hours)))
    assert len(found) <= charts.MOST_TICKS + 1
    assert all(0 <= tick.place <= 100 for tick in found)
    assert found or hours < 24


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 9)), max_size=40, unique=True))
def test_bars_of_runs_do_not_overlap_and_fit(runs: list[tuple[int, int]]) -> None:
    found = bars([(NOW + timedelta(hours=h), n) for h, n in sorted(runs)])
    assert len(found) == len(runs)
    ends = [bar.place + bar.width for bar in found]
    assert all(end <= bar.place for end, bar in zip(ends, found[1:], strict=False))
    assert not ends or ends[-1] <= 100
    assert all(0 < bar.height <= 100 for bar in found)


def test_a_story_is_compared_with_the_most_similar_one() -> None:
    found = [story_view(row(words), FIGURES) for words in ("a b c d", "x y", "q r s t")]
    earlier = [row("a z y x", 5), row("b c d e", 7), row("y x more words", 9), row("q n o p", 3)]
    assert [story.earlier for story in compared(found, earlier)] == [7, 9, None]
    assert [story.earlier for story in compared(found, [])] == [None, None, None]
    # The same leading pair is enough, whatever the other words.
    (same,) = compared([found[0]], [row("b c d e", 7), row("a b 1 2 3 4 5 6", 4)])
    assert same.earlier == 4


@given(st.text(max_size=2 * MOST_TEXT))
def test_a_text_becomes_one_line_that_can_be_sent(text: str) -> None:
    found = readable(text + "\ud83d")
    assert len(found) <= MOST_TEXT
    assert found.encode()
    assert not {"\n", "\x00", "\x1b"} & set(found)


def test_a_post_that_is_gone_or_damaged_has_no_text() -> None:
    for values in (None, (None, None, None), ("anna", 7, NOW)):
        assert example(1, 2, values).text is None
    assert example(1, 2, (7, "text", "then")).user == ""


@pytest.mark.parametrize("minutes", [0, -5, 5, 60])
def test_an_address_needs_the_time_of_the_post(minutes: int) -> None:
    time = NOW + timedelta(minutes=minutes)
    x = (int(NOW.timestamp() * 1000) - posts.X_EPOCH_MS) << posts.X_BITS
    bluesky = int(NOW.timestamp() * 1_000_000) << posts.BLUESKY_BITS
    near = math.fabs(minutes) < 10
    assert bool(address_of(x, "anna", time)) == near
    assert bool(address_of(bluesky, "anna.example", time)) == near
    assert address_of(bluesky, "anna", time) == ""
    assert address_of(5, "anna.example", time) == ""


def test_an_address_holds_nothing_of_a_user_but_a_name() -> None:
    bluesky = int(NOW.timestamp() * 1_000_000) << posts.BLUESKY_BITS
    found = address_of(bluesky, 'a.b/../"><script>', NOW)
    assert found.startswith("https://bsky.app/profile/a.b%2F..%2F%22%3E%3Cscript%3E/post/")
