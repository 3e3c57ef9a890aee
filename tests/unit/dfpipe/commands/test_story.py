"""`dfpipe story`, and what a run says of its stories."""

import doctest
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from dfpipe import cli
from dfpipe.commands import run, story, story_text
from dfpipe.warehouse import connect
from dfpipe.warehouse.tables import (
    STORIES,
    STORY_POSTS,
    STORY_TIMELINE,
    STORY_URLS,
    StoryPart,
    StoryPost,
    StoryRow,
    StoryUrl,
)
from tests.support.analysis import store_posts
from tests.support.warehouses import TS, a_run

HOUR = timedelta(hours=1)
POST = {"tid": 7, "user": "an\x1bna", "text": "Storm\nin the harbour", "created_at": TS - HOUR}


@pytest.fixture
def sink(tmp_path: Path) -> str:
    url = f"duckdb:///{tmp_path / 'results.duckdb'}"
    seen = TS - 30 * HOUR, TS - HOUR
    rows = [
        StoryRow(TS, 1, "ferry", "late", "ferry late", 4, 3, 1, 3, -1.5, 1.0, 1, *seen),
        StoryRow(TS, 2, "harbour", "storm", "storm harbour", 3, 2, 3, 0, 40.5, 1e-9, 2, *seen),
    ]
    connect(url).replace_run(
        a_run(tweets=100, recent_start=TS - 24 * HOUR, recent=20),
        {
            STORIES: rows,
            STORY_POSTS: [StoryPost(TS, 1, 1, 6, 4), StoryPost(TS, 2, 1, 7, 2)],
            STORY_URLS: [StoryUrl(TS, 2, 1, "http://a.com/\x1b[2J", 3)],
            STORY_TIMELINE: [StoryPart(TS, 1, TS - HOUR, 4), StoryPart(TS, 2, TS - 96 * HOUR, 3)],
        },
    )
    return url


@pytest.fixture
def source(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'posts.db'}"
    store_posts(url, [POST])
    return url


def told(*argv: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.dfpipe, ["story", *argv])
    message = f"{result.exception}" if result.exception else ""
    return result.exit_code, result.output + message


def test_doctests() -> None:
    assert doctest.testmod(story_text).failed == 0


@pytest.mark.parametrize("edge", [("storm", "harbour"), ("harbour", "storm")])
def test_a_story_is_shown_with_its_posts(sink: str, source: str, edge: tuple[str, str]) -> None:
    assert told(*edge, "--sink", sink, "--store", source) == (
        0,
        "storm harbour\n"
        "3 posts by 2 people (3.00 % of the run's posts), new in the recent part\n"
        "3 recent posts, 0 before; 2 pairs\n"
        "from 2015-01-09 18:00 to 2015-01-10 23:00 UTC\n"
        f"|█{' ' * 95}|\n"
        "Links:\n"
        "  3 × http://a.com/\\x1b[2J\n"
        "Posts:\n"
        "  2 × an\\x1bna: Storm in the harbour\n",
    )


def test_a_post_that_is_gone_is_not_shown(sink: str, source: str) -> None:
    shown = told("ferry", "late", "--sink", sink, "--store", source)[1]
    assert shown.endswith("Posts:\n  4 × post 6 is no longer in the store\n")
    shown = told("ferry", "late", "--sink", sink)[1]
    assert shown.endswith("Posts:\n  4 × post 6 (give --store to see it)\n")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["storm", "late"], "the run has no story with the leading edge late storm: did you mean "),
        (["a", "b"], "the run has no story with the leading edge a b: see `dfpipe query stories`"),
        (
            ["ferry", "late", "--ts", "2014-01-01T00:00:00Z"],
            "the run has no story with the leading",
        ),
        (["ferry", "late", "--ts", "today"], "parameter ts=today: give a time such as"),
    ],
)
def test_a_story_that_is_not_there(sink: str, argv: list[str], message: str) -> None:
    status, output = told(*argv, "--sink", sink)
    assert status == 1
    assert output.startswith(message)


def test_a_warehouse_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DFPIPE_SINK", raising=False)
    assert told("a", "b")[1].startswith("--sink is required: give --sink duckdb:///FILE")


def test_a_run_ends_with_its_stories(sink: str) -> None:
    assert story_text.closing_lines(connect(sink), TS) == [
        "Stories:",
        "  ferry late: 4 posts by 3 people",
        "  storm harbour: 3 posts by 2 people, new in the recent part",
        "Rising:",
        "  storm harbour: 3 posts by 2 people, new in the recent part",
    ]
    assert story_text.closing_lines(connect(sink), TS - 9 * HOUR) == ["No stories."]


@pytest.mark.parametrize(
    ("argv", "terminal", "tells"),
    [((), True, True), (("--quiet",), True, False), ((), False, False)],
)
def test_only_a_terminal_sees_the_stories(
    monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...], terminal: bool, tells: bool
) -> None:
    asked = []

    class Launch:
        def launch(self, *args: object, quiet: bool) -> str:
            assert quiet is bool(argv)
            asked.append(args)
            return "done"

    monkeypatch.setattr(run, "import_launch", Launch)
    monkeypatch.setattr(run, "_is_terminal", lambda: terminal)
    CliRunner().invoke(cli.dfpipe, [*argv, "run", "--store=a"], catch_exceptions=False)
    assert [(args[0], args[-1] is not None) for args in asked] == [(("--store=a",), tells)]


def test_the_help_is_that_of_the_list_of_commands() -> None:
    assert story.command.short_help == cli.COMMANDS["story"][1]
