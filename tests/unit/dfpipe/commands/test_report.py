"""`dfpipe report`: one file, without scripts, whatever posts contain."""

import doctest
import errno
import os
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from lxml import html

from dfpipe import cli
from dfpipe.commands import report
from dfpipe.report import page
from dfpipe.warehouse import connect
from dfpipe.warehouse.tables import (
    STORIES,
    STORY_POSTS,
    STORY_TIMELINE,
    STORY_URLS,
    URLS,
    WORD_COUNTS,
    StoryPart,
    StoryPost,
    StoryRow,
    StoryUrl,
    UrlCount,
    WordCount,
)
from tests.support.analysis import store_posts
from tests.support.command import environment
from tests.support.warehouses import TS, a_run

HOUR = timedelta(hours=1)
HOSTILE = '<script>alert(1)</script>"onload='
POST = {"tid": 7, "user": HOSTILE, "created_at": TS}


@pytest.fixture
def sink(tmp_path: Path) -> str:
    url = f"duckdb:///{tmp_path / 'results.duckdb'}"
    seen = TS - 30 * HOUR, TS - HOUR
    stories = [
        StoryRow(TS, 1, "ferry", "late", f"ferry {HOSTILE}", 4, 3, 1, 3, -1.5, 1.0, 1, *seen),
        StoryRow(TS, 2, "harbour", "storm", "storm harbour", 3, 2, 3, 0, 40.5, 1e-9, 2, *seen),
    ]
    rows = {
        STORIES: stories,
        STORY_POSTS: [StoryPost(TS, 1, 1, 6, 4), StoryPost(TS, 2, 1, 7, 2)],
        STORY_URLS: [StoryUrl(TS, 1, 1, "javascript:alert(2)", 3)],
        STORY_TIMELINE: [StoryPart(TS, 1, TS - HOUR, 4), StoryPart(TS, 2, TS - 2 * HOUR, 3)],
        WORD_COUNTS: [WordCount(TS, 1, "storm", 9, 9.0)],
        URLS: [UrlCount(TS, 1, "https://a.example/?b&c", 3)],
    }
    connect(url).replace_run(a_run(tweets=100, recent_start=TS - 24 * HOUR, recent=20), rows)
    return url


def run(*argv: str) -> str:
    done = CliRunner(env=environment()).invoke(cli.dfpipe, ["report", *argv])
    assert done.exit_code == 0, done.output
    return done.output


def test_the_examples_of_the_docstrings() -> None:
    assert doctest.testmod(page).failed == 0


def test_a_report_is_one_file_without_scripts(sink: str, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    assert run("--sink", sink, "--output", str(file)) == ""
    found = html.fromstring(file.read_bytes())
    assert [each.tag for each in found.iter("script", "link", "img", "iframe", "object")] == []
    names = {name for each in found.iter() for name in each.attrib}
    assert not {"style", "src"} & names
    assert not [name for name in names if name.startswith("on")]
    assert [each.get("href") for each in found.iter("a")] == ["https://a.example/?b&c"]
    assert "url(" not in file.read_text(encoding="utf-8")
    text = " ".join(found.text_content().split())
    assert f"ferry {HOSTILE}" in text
    assert "storm harbour new" in text
    assert "javascript:alert(2)" in text
    assert "100 posts · 2 stories" in text
    assert "storm 9 posts, 9.00 %" in text


def test_timelines_are_drawn_inline(sink: str) -> None:
    found = html.fromstring(run("--sink", sink, "--output", "-"))
    labels = [each.get("aria-label") for each in found.iter("svg")]
    assert labels == [
        "Posts over time: 1 of 4 are recent",
        "Posts over time: 3 of 3 are recent",
    ]


def test_examples_are_looked_up_in_the_store(sink: str, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'posts.db'}"
    store_posts(store, [{**POST, "text": "\x1bIn the\nharbour {{7*7}}"}])
    found = html.fromstring(run("--sink", sink, "--store", store, "--output", "-"))
    [quote] = [each.text_content() for each in found.iter("p") if each.get("class") == "quote"]
    assert quote == f"{HOSTILE}: \\x1bIn the harbour {{{{7*7}}}}"


def test_a_time_without_a_run_leaves_the_file_as_it_was(sink: str, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text("before")
    argv = ["report", "--sink", sink, "--output", str(file), "--ts", "2001-01-01T00:00:00Z"]
    with pytest.raises(SystemExit):
        cli.main(argv)
    assert file.read_text() == "before"


def test_what_cannot_be_written_leaves_the_file_as_it_was(
    sink: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    file = tmp_path / "report.html"
    file.write_text("before")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SystemExit) as end:
        cli.main(["report", "--sink", sink, "--output", str(file)])
    assert end.value.code == 1
    assert f"{file} cannot be written: No space left on device: " in capsys.readouterr().err
    assert file.read_text() == "before"
    assert {each.name for each in tmp_path.iterdir()} == {"report.html", "results.duckdb"}


def test_a_pipe_is_written_to_and_stays(sink: str, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    run("--sink", sink, "--output", str(pipe))
    assert os.read(reader, 20).startswith(b"<!doctype html>")
    os.close(reader)
    assert pipe.is_fifo()


def test_the_help_says_what_it_does() -> None:
    assert report.command.short_help == cli.COMMANDS["report"][1]
