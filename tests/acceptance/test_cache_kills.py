"""Runs that are killed leave a cache that changes no result, however far they came."""

import os
import random
import signal
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dfpipe.datastore import connect
from dfpipe.posts.post import Post
from dfpipe.posts.storing import store
from tests.support.command import DFPIPE, dfpipe, environment
from tests.support.engines import Row, tables
from tests.support.processes import wait_until

START = datetime(2015, 1, 7, tzinfo=UTC)
POSTS = 20_000
HOURS = 90
KILLS = 3
SECONDS = 300


@pytest.fixture(scope="module")
def posts(tmp_path_factory: pytest.TempPathFactory) -> str:
    chance = random.Random(3)
    url = f"sqlite:///{tmp_path_factory.mktemp('store')}/p.db"
    made = (
        Post(
            n,
            f"user{n % 50}",
            " ".join(f"word{chance.randrange(3_000)}" for _ in range(9)),
            START + timedelta(hours=HOURS) * n / POSTS,
        )
        for n in range(1, POSTS)
    )
    store(connect(url), made, now=START)
    return url


def run(posts: str, folder: Path, name: str, cache: str) -> list[str]:
    sink = f"--sink=duckdb:///{folder}/{name}.duckdb"
    until = f"--until={(START + timedelta(hours=HOURS)).isoformat()}"
    return ["run", f"--store={posts}", sink, until, f"--cache={cache}"]


def result(folder: Path, name: str) -> dict[str, list[Row]]:
    return tables(f"duckdb:///{folder}/{name}.duckdb")


def test_killed_runs(posts: str, tmp_path: Path) -> None:
    assert dfpipe(*run(posts, tmp_path, "plain", "none")).returncode == 0
    cache = tmp_path / "cache"

    def slices() -> int:
        return len([*cache.glob("*/*.parquet")])

    for n in range(KILLS):
        before = slices()
        process = subprocess.Popen(
            [*DFPIPE, *run(posts, tmp_path, f"killed{n}", str(cache))],
            env=environment(),
            process_group=0,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for_slices(process, slices, before + 3)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert slices() > 0
    whole = dfpipe(*run(posts, tmp_path, "whole", str(cache)))
    assert whole.returncode == 0, whole.stderr
    assert result(tmp_path, "whole") == result(tmp_path, "plain")
    # The slices of killed runs were of use.
    assert figures(tmp_path, "whole")["posts_cached"] > 0


def wait_for_slices(
    process: "subprocess.Popen[bytes]", slices: Callable[[], int], wanted: int
) -> None:
    wait_until(lambda: slices() >= wanted or process.poll() is not None, SECONDS)


def test_two_runs_at_once(posts: str, tmp_path: Path) -> None:
    assert dfpipe(*run(posts, tmp_path, "plain", "none")).returncode == 0
    names = ["one", "other"]
    processes = [
        subprocess.Popen(
            [*DFPIPE, *run(posts, tmp_path, name, f"{tmp_path}/cache")], env=environment()
        )
        for name in names
    ]
    assert [process.wait(SECONDS) for process in processes] == [0, 0]
    for name in names:
        assert result(tmp_path, name) == result(tmp_path, "plain")
    hours = [file.name[:13] for file in (tmp_path / "cache").glob("*/*")]
    assert len(hours) == len(set(hours)) == HOURS


def figures(folder: Path, name: str) -> dict[str, Any]:
    with duckdb.connect(f"{folder}/{name}.duckdb", read_only=True) as connection:
        found = connection.execute("SELECT * FROM runs")
        columns = [column[0] for column in found.description]
        (row,) = found.fetchall()
    return dict(zip(columns, row, strict=True))
