"""What the pages show: lines of cards, the contrast, and the picture of a chain."""

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfpipe.warehouse import named_queries
from launcher.jobs import JobState
from launcher.views import graph, talk
from launcher.views.executions import (
    BAR,
    BARS_HEIGHT,
    LEAST_BAR,
    LOOKS,
    MOST_BARS,
    ExecutionView,
    JobView,
    bars,
    duration,
    look,
    picture,
)
from launcher.views.next_start import NextStart, next_start, read_entry
from service.cron_yaml import CronEntry

NOW = datetime(2026, 1, 7, 12, tzinfo=UTC)


def test_every_card_is_a_named_query_with_its_parameters() -> None:
    for name in talk.KINDS:
        asked = talk.question(name, talk.DEFAULT_SPAN)
        query = named_queries.load(asked[0])
        assert query.bind({**asked[1], "ts": NOW})
        assert ("since" in asked[1]) == any(p.name == "since" for p in query.parameters)


def urls(*found: str) -> talk.Card:
    rows = [{"rank": rank, "url": url, "count": 100 // rank} for rank, url in enumerate(found, 1)]
    return talk.card(("top_urls", {}), rows)


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "//e.example", "", " https://e.example"]
)
def test_only_the_web_is_linked_to(url: str) -> None:
    (line,) = urls(url).lines
    assert (line.url, line.text) == ("", url)
    assert urls("HTTPS://e.example").lines[0].url == "HTTPS://e.example"


def test_a_card_shows_the_first_lines_and_counts_all() -> None:
    card = urls(*(f"https://e.example/{n}" for n in range(40)))
    assert (len(card.lines), card.total) == (talk.SHOWN, 40)
    assert [line.share for line in card.lines[:4]] == [100, 50, 33, 25]
    assert urls().lines == ()


def test_one_post_is_one() -> None:
    assert [line.note for line in urls(*("https://e.example/",) * 60).lines[:1]] == ["posts"]
    assert talk._posts(1) == "1 post"


def pair(rank: int, w1: str, w2: str) -> dict[str, Any]:
    return {"rank": rank, "w1": w1, "w2": w2, "log_weight": 90 / rank}


def test_interesting_words_that_are_not_popular() -> None:
    words = [{"word": f"w{n}", "rank": n} for n in range(1, 60)]
    pairs = [pair(1, "w1", "w40"), pair(2, "rare", "w40"), pair(3, "w2", "w25")]
    card = talk.interesting_not_popular(words, pairs)
    assert [(*line.words, line.value) for line in card.lines] == [
        ("w40", "rank 40"),
        ("rare", "unranked"),
    ]
    assert [line.share for line in card.lines] == [100, 50]
    assert talk.interesting_not_popular(words, []).lines == ()


NAMES = [f"s{n}" for n in range(8)]
CHAINS = st.fixed_dictionaries(
    {name: st.lists(st.sampled_from([*NAMES[:n], "gone"]), unique=True) if n else st.just([])
     for n, name in enumerate(NAMES)}
)  # fmt: skip


@given(CHAINS)
def test_a_step_stands_right_of_what_it_needs_and_on_nothing_else(
    needs: dict[str, list[str]],
) -> None:
    drawn = graph.draw(needs)
    boxes = {box.name: box for box in drawn.boxes}
    assert boxes.keys() == needs.keys()
    assert len({(box.x, box.y) for box in drawn.boxes}) == len(needs)
    edges = [(n, name) for name in needs for n in needs[name] if n in needs]
    assert len(drawn.paths) == len(edges)
    for before, after in edges:
        assert boxes[before].x + graph.WIDTH < boxes[after].x
    for box in drawn.boxes:
        assert 0 < box.x <= drawn.width - graph.WIDTH - graph.EDGE
        assert 0 < box.y <= drawn.height - graph.HEIGHT - graph.EDGE
    by_column: dict[int, list[int]] = {}
    for box in drawn.boxes:
        by_column.setdefault(box.x, []).append(box.y)
    for ys in map(sorted, by_column.values()):
        assert all(b - a >= graph.HEIGHT for a, b in itertools.pairwise(ys))


def test_a_chain_without_steps_and_one_in_a_cycle_are_drawn_all_the_same() -> None:
    assert graph.draw({}).boxes == ()
    assert len(graph.draw({"a": ["b"], "b": ["a"], "c": []}).boxes) == 3


def test_lines_do_not_cross_without_need() -> None:
    needs = {"a": [], "b": [], "c": ["b"], "d": ["a"]}
    y = {box.name: box.y for box in graph.draw(needs).boxes}
    assert (y["a"] < y["b"]) == (y["d"] < y["c"])


def test_every_state_has_a_colour_that_the_style_sheet_knows() -> None:
    for state in JobState:
        assert look(state.value) in ("waiting", *LOOKS.values())
    assert look(JobState.DRAINED.value) != look(JobState.SUCCEEDED.value)
    assert look(JobState.UPDATED.value) != look(JobState.SUCCEEDED.value)
    assert look("of tomorrow") == "waiting"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (60, "1 min 00 s"), (3600, "1 h 00 min"), (-5, "0 s")],
)
def test_how_long_it_took(seconds: float, text: str) -> None:
    assert duration(NOW, NOW + timedelta(seconds=seconds), NOW) == text
    assert duration(NOW - timedelta(seconds=seconds), None, NOW) == text


def test_days_and_what_has_not_begun() -> None:
    assert duration(NOW, NOW + timedelta(hours=75), NOW) == "3 d 03 h"
    assert duration(None, None, NOW) == ""


def test_a_long_name_is_cut_in_its_box_and_told_beside_it() -> None:
    job = JobView(name="a-name-that-is-much-too-long-for-a-box", kind="local", state="running")
    chain = ExecutionView(
        id="r", chain="c", slot=NOW, state="running", may_change=True, jobs=(job,)
    )
    (node,) = picture(chain, NOW).nodes
    assert node.text == "a-name-that-is-much-t…"
    assert (node.about, node.job.name) == ("running", job.name)
    assert chain.done == 0


def took(minutes: int | None, ended: bool = True) -> ExecutionView:
    started = None if minutes is None else NOW - timedelta(minutes=minutes)
    return ExecutionView(
        id="r", chain="c", slot=NOW, state="running", may_change=True,
        started=started, ended=NOW if started and ended else None,
    )  # fmt: skip


def test_durations_are_drawn_from_left_to_right() -> None:
    drawn = bars([took(50, ended=False), took(None), took(20), took(10), took(0)], NOW)
    assert [bar.height for bar in drawn] == [LEAST_BAR, BARS_HEIGHT / 2, BARS_HEIGHT, BARS_HEIGHT]
    assert [bar.x for bar in drawn] == [0, BAR, 2 * BAR, 3 * BAR]
    assert bars([took(50, ended=False)], NOW)[0].height == BARS_HEIGHT
    assert bars([took(0)], NOW)[0].height == LEAST_BAR
    assert bars([], NOW) == ()
    assert len(bars([took(1)] * 100, NOW)) == MOST_BARS


@pytest.mark.parametrize(
    ("schedule", "last", "at", "is_estimate"),
    [
        ("every 5 hours", NOW - timedelta(hours=2), NOW + timedelta(hours=3), True),
        ("every 5 hours", NOW - timedelta(hours=6), None, True),
        ("every 5 hours", None, None, True),
        ("every 1 minutes synchronized", None, NOW + timedelta(minutes=1), False),
        ("every day 11:00", NOW, NOW + timedelta(hours=23), False),
    ],
    ids=["interval", "long ago", "never", "synchronized", "daily"],
)
def test_when_the_chain_starts_next(
    schedule: str, last: datetime | None, at: datetime | None, is_estimate: bool
) -> None:
    entry = CronEntry(url="/launchpipeline", schedule=schedule)
    found = next_start(entry, last, NOW)
    assert found == (NextStart(at, schedule, is_estimate) if at else None)


def test_a_cron_yaml_without_the_url_says_nothing(tmp_path: Path) -> None:
    file = tmp_path / "cron.yaml"
    assert read_entry(str(file), "/a") is None
    file.write_text("cron:\n- url: /b\n  schedule: every 5 hours\n")
    assert read_entry(str(file), "/a") is None
    assert read_entry(str(file), "/b")
