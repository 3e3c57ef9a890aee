"""`dfpipe cache`: what it shows, and what it removes."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from dfpipe.commands.cache import command
from dfpipe.datastore import connect
from dfpipe.errors import UsageError
from dfpipe.posts.post import Post
from dfpipe.posts.slices import Reading, Window
from dfpipe.posts.storing import store
from tests.support.slices import batches_of

START = datetime(2015, 1, 7, tzinfo=UTC)
DAY = 24 * 3600


def call(*argv: str) -> str:
    result = CliRunner().invoke(command, argv, catch_exceptions=False, env={"COLUMNS": "250"})
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def posts(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/p.db"
    posts = [Post(n, "anna", "storm", START + timedelta(hours=n)) for n in range(1, 5)]
    store(connect(url), posts, now=START)
    window = Window(START, START + timedelta(hours=5), START)
    for text in ("modern", "classic"):
        batches_of(Reading(url, text, frozenset(), f"{tmp_path}/p.db.cache"), window, 2)
    return url


def test_list(posts: str) -> None:
    head, *rows = (
        line.split() for line in call("list", "--store", posts).splitlines() if line.strip()
    )
    assert head == ["folder", "store", "text", "hours", "first", "last", "bytes"]
    shown = [row[1:] for row in rows if len(row) == 7]
    assert sorted(row[1:5] for row in shown) == [
        [text, "4", "2015-01-07T01", "2015-01-07T04"] for text in ("classic", "modern")
    ]
    assert {row[0] for row in shown} == {posts}


def test_list_as_data(posts: str) -> None:
    found = json.loads(call("list", "--store", posts, "--format", "json"))
    assert [(row["store"], row["hours"]) for row in found] == [(posts, 4)] * 2
    head, *rows = call("list", "--store", posts, "--format", "csv", "--limit", "1").splitlines()
    assert head == "folder,store,text,hours,first,last,bytes"
    assert len(rows) == 1
    empty = f"--cache={posts.removeprefix('sqlite:///')}.none"
    assert call("list", empty, "--format", "json") == "[]\n"


def test_prune_and_clear(posts: str, tmp_path: Path) -> None:
    cache = tmp_path / "p.db.cache"
    files = sorted(cache.rglob("*.parquet"))
    left = files[0].with_name(".left.part")
    now = datetime.now(UTC).timestamp()
    for age, file in ((31, files[0]), (29, files[1]), (2, left)):
        file.touch()
        os.utime(file, (now - age * DAY, now - age * DAY))
    files[2].with_name(".under-way.part").touch()
    assert call("prune", "--store", posts).startswith(f"2 files removed from {cache}, ")
    assert not files[0].exists()
    assert call("prune", "--cache", str(cache), "--days=20").startswith("1 file removed")
    assert call("clear", "--cache", str(cache)).startswith("6 files removed")
    assert [file.name for file in cache.rglob("*.*")] == [".under-way.part"]
    assert call("list", "--cache", str(cache)) == f"{cache} is empty\n"


@pytest.mark.parametrize(
    ("argv", "match"),
    [
        ((), "give --cache FOLDER, or --store sqlite:///FILE"),
        (("--store=datastore://p",), "there is no cache without --cache FOLDER"),
        (("--cache=none", "--store=sqlite:///p.db"), "there is no cache without"),
        (("--cache=s3://x",), "--cache must be a folder, gs://BUCKET/FOLDER or none"),
    ],
)
def test_no_cache(argv: tuple[str, ...], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        call("list", *argv)


@pytest.mark.parametrize("days", ["nan", "inf", "1e9", "9" * 5000, "-1"])
def test_days_that_no_time_is_before(days: str, tmp_path: Path) -> None:
    argv = ["prune", f"--cache={tmp_path}", f"--days={days}"]
    result = CliRunner().invoke(command, argv, standalone_mode=False)
    assert isinstance(result.exception, UsageError | click.UsageError)
    assert "days from 0" in str(result.exception) or "0<=x<=36500" in str(result.exception)
