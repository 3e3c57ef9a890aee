"""What a run does before it reads."""

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from dfpipe import datastore, progress
from dfpipe.datastore.embedded import database
from tests.support.analysis import END, run, store_posts

POSTS = [
    {"tid": n, "user": "anna", "text": f"storm {n}x", "created_at": END - timedelta(hours=n)}
    for n in range(1, 9)
]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store without the indexes of posts, as earlier versions left it after an import."""
    path = tmp_path / "store" / "p.db"
    path.parent.mkdir()
    store_posts(f"sqlite:///{path}", POSTS)
    return path


def indexes(store: Path) -> int:
    with sqlite3.connect(store) as connection:
        (number,) = connection.execute("SELECT count(*) FROM idx").fetchone()
    return int(number)


def test_a_run_shows_that_it_builds_indexes(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    build = datastore.build_indexes

    def building(*args: object) -> None:
        shown.append(progress.current.stage)
        build(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(datastore, "build_indexes", building)
    assert indexes(store) == 0
    assert run(f"sqlite:///{store}", f"duckdb:///{tmp_path}/r.duckdb").posts == len(POSTS)
    assert shown == ["building indexes"]
    assert indexes(store) == 2


def test_a_store_for_reading_only_needs_no_indexes(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database.os, "access", lambda path, _: path != store.parent)
    sink = f"duckdb:///{tmp_path}/r.duckdb"
    assert run(f"sqlite:///{store}", sink, "--cache=none").posts == len(POSTS)
    assert indexes(store) == 0
