"""The drawings of counts, read back from their SVG."""

import doctest
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from dfpipe.analysis import parts
from dfpipe.analysis.parts import PARTS, columns
from dfpipe.report import drawing
from dfpipe.report.drawing import outline, sparkline

START = datetime(2026, 3, 5, tzinfo=UTC)
WIDTH, HEIGHT = 960, 100


@pytest.mark.parametrize("module", [drawing, parts], ids=["drawing", "parts"])
def test_the_examples_of_the_docstrings(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


def heights(path: str, number: int) -> list[float]:
    """How high a path is over the middle of each column."""
    found, x, level = [0.0] * number, 0.0, float(HEIGHT)
    for letter, value in re.findall(r"([HhVv])(-?[\d.]+)", path):
        if letter in "Vv":
            level = float(value) + (level if letter == "v" else 0)
            continue
        end = float(value) + (x if letter == "h" else 0)
        for column in range(number):
            if x <= (column + 0.5) * WIDTH / number < end:
                found[column] = HEIGHT - level
        x = end
    return found


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=PARTS))
def test_bars_are_as_high_as_their_counts(counts: list[int]) -> None:
    drawn = heights(outline(counts, WIDTH, HEIGHT), len(counts))
    for count, height in zip(counts, drawn, strict=True):
        expected = max(HEIGHT * count / max(counts), 1) if count else 0
        assert height == pytest.approx(expected, abs=0.501)


@given(
    st.dictionaries(st.integers(0, PARTS - 1), st.integers(1, 50)),
    st.integers(1, PARTS),
    st.timedeltas(timedelta(seconds=1), timedelta(days=30)),
)
def test_columns_have_the_posts_of_their_parts(
    posts: dict[int, int], number: int, length: timedelta
) -> None:
    expected = [0] * number
    for part, count in posts.items():
        expected[part * number // PARTS] += count
    begins = [START + part * length / PARTS for part in posts]
    assert columns(begins, list(posts.values()), START, START + length, number) == expected


def test_a_sparkline_is_one_element_that_says_what_it_shows() -> None:
    label = 'storm & "ferry" <script>'
    drawn = sparkline([0, 3, 7], label, recent=0.75)
    svg = etree.fromstring(str(drawn))
    assert (svg.tag, svg.get("role"), svg.get("aria-label")) == ("svg", "img", label)
    shade, bars = svg
    assert (shade.tag, shade.get("x"), shade.get("width")) == ("rect", "2.25", "0.75")
    assert bars.get("d") == outline([0, 3, 7], 3, 16)
    assert "style" not in drawn
    assert drawn.__html__() == drawn


def test_a_sparkline_without_a_recent_part_or_posts() -> None:
    [bars] = etree.fromstring(str(sparkline([0] * PARTS, "nothing")))
    assert bars.get("d") == "M0 16H96V16Z"


def test_a_timeline_of_96_parts_is_short() -> None:
    """A page has some dozens of them, and its weight is limited."""
    assert len(sparkline([n * 37 % 101 for n in range(PARTS)], "busy", recent=0.75)) < 1000
