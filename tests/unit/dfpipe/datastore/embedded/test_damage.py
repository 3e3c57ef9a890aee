"""A damaged file is an error of one line: never a traceback, never a wrong result."""

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from google.cloud.datastore import Entity

from dfpipe.datastore import StoreError, build_indexes, connect, run_in_transaction
from dfpipe.datastore.embedded import database
from dfpipe.posts.exporting import export_lines
from dfpipe.posts.post import INDEXES, Post, to_entity

START = datetime(2026, 1, 1, tzinfo=UTC)
POSTS = 3000


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "s.db"
    with closing(connect(f"sqlite:///{path}")) as client:
        build_indexes(client, "Tweet", *INDEXES)
        for start in range(0, POSTS, 500):
            client.put_multi([_post(client, n) for n in range(start + 1, start + 501)])
    return path


def _post(client: Any, n: int) -> Entity:
    text = f"post {n} " + "with some words " * 4
    return to_entity(Post(n, "user", text, START + timedelta(seconds=n), ()), client, START)


def exported(path: Path) -> list[bytes]:
    options: dict[str, Any] = {"create": False, "read_only": True, "verify": True}
    with closing(connect(f"sqlite:///{path}", **options)) as client:
        return list(export_lines(client))


def use(path: Path) -> None:
    """Read and write as queues and workflows do, without a check of the whole file."""
    with closing(connect(f"sqlite:///{path}")) as client:
        for n in range(1, POSTS, 7):
            client.get(client.key("Tweet", n))
        list(client.query(kind="Tweet", order=["-created_at"]).fetch(limit=50))

        def change() -> None:
            entity = client.get(client.key("Tweet", 5)) or Entity(client.key("Tweet", 5))
            entity["text"] = "changed"
            client.put(entity)

        run_in_transaction(client, change)


def flip(raw: bytearray, rng: random.Random) -> None:
    raw[rng.randrange(100, len(raw))] ^= 1 << rng.randrange(8)


def overwrite_page(raw: bytearray, rng: random.Random) -> None:
    at = rng.randrange(1, len(raw) // 8192) * 8192
    raw[at : at + 8192] = rng.randbytes(8192)


def swap_pages(raw: bytearray, rng: random.Random) -> None:
    one, other = (rng.randrange(1, len(raw) // 8192) * 8192 for _ in range(2))
    page = raw[one : one + 8192]
    raw[one : one + 8192] = raw[other : other + 8192]
    raw[other : other + 8192] = page


def truncate(raw: bytearray, rng: random.Random) -> None:
    del raw[rng.randrange(1, len(raw)) :]


def zero(raw: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(raw) - 4096)
    raw[at : at + 4096] = bytes(4096)


@pytest.mark.parametrize("damage", [flip, overwrite_page, swap_pages, truncate, zero])
def test_a_damaged_file_gives_no_wrong_result(
    whole: Path, tmp_path: Path, damage: Callable[[bytearray, random.Random], None]
) -> None:
    expected = exported(whole)
    assert len(expected) == POSTS
    told: list[str] = []
    for seed in range(25):
        raw = bytearray(whole.read_bytes())
        damage(raw, random.Random(seed))
        path = tmp_path / f"{seed}.db"
        path.write_bytes(raw)
        try:
            assert exported(path) == expected
        except StoreError as error:
            told.append(str(error))
        try:
            use(path)
        except StoreError as error:
            told.append(str(error))
    assert told
    assert not any("\n" in message for message in told)


def change(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(sql)
        connection.commit()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE entity SET data = data || x'00' WHERE path = (SELECT max(path) FROM entity)",
        "UPDATE entity SET shape = 99 WHERE path = (SELECT max(path) FROM entity)",
        "DELETE FROM entity WHERE path = (SELECT max(path) FROM entity)",
        "UPDATE shape SET names = '[1'",
        "UPDATE idx SET definition = '{}' WHERE id = 1",
    ],
)
@pytest.mark.parametrize("old", [False, True], ids=["checksums", "none"])
def test_rows_that_make_no_sense(whole: Path, tmp_path: Path, sql: str, old: bool) -> None:
    path = tmp_path / "s.db"
    shutil.copy(whole, path)
    if old:
        change(path, "ALTER TABLE entity DROP COLUMN checksum")
    change(path, sql)
    with pytest.raises(StoreError, match=r"s.db: the store is damaged: restore it from a backup$"):
        exported(path)


def test_no_index_is_built_from_a_damaged_entity(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with closing(connect(f"sqlite:///{path}")) as client:  # no index yet, as after collecting
        client.put_multi([_post(client, n) for n in range(1, 21)])
    with closing(sqlite3.connect(path)) as connection:
        (data,) = connection.execute("SELECT max(data) FROM entity").fetchone()
        moved = bytearray(data)
        moved[data.index(b"\xd6\xff") + 2] ^= 0x10  # created_at, eight years later
        connection.execute("UPDATE entity SET data = ? WHERE data = ?", (bytes(moved), data))
        connection.commit()
    with (
        closing(connect(f"sqlite:///{path}", create=False, read_only=True)) as client,
        pytest.raises(StoreError, match=r"s.db: the store is damaged: restore it from a backup$"),
    ):
        list(export_lines(client, START, START + timedelta(days=1)))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM idx").fetchone() == (0,)


def test_a_store_of_an_older_version_is_read_and_gets_checksums(
    whole: Path, tmp_path: Path
) -> None:
    path = tmp_path / "s.db"
    shutil.copy(whole, path)
    change(path, "ALTER TABLE entity DROP COLUMN checksum")
    assert exported(path) == exported(whole)
    with closing(connect(f"sqlite:///{path}")) as client:
        client.put(_post(client, POSTS + 1))
    with closing(sqlite3.connect(path)) as connection:
        sql = "SELECT count(*), count(checksum) FROM entity"
        assert connection.execute(sql).fetchone() == (POSTS + 1, 1)


@pytest.mark.parametrize("create", [True, False])
def test_a_copy_of_a_file_in_use_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, create: bool
) -> None:
    """Its data is still in the log, which was not copied."""
    monkeypatch.setattr(database, "MAKING", 0.01)
    client = connect(f"sqlite:///{tmp_path}/s.db")
    client.put(_post(client, 1))
    copy = tmp_path / "copy.db"
    shutil.copy(tmp_path / "s.db", copy)
    before = copy.read_bytes()
    with pytest.raises(StoreError, match=r"copy.db holds no tables: .* with `dfpipe backup`; if"):
        connect(f"sqlite:///{copy}", create=create)
    assert copy.read_bytes() == before
    assert len(list(client.query(kind="Tweet").fetch())) == 1


def test_a_folder_that_cannot_be_written_to(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.db"
    shutil.copy(whole, path)
    monkeypatch.setattr(database.os, "access", lambda *_: False)
    assert exported(path) == exported(whole)
    with closing(connect(f"sqlite:///{path}")) as client:
        with pytest.raises(StoreError, match="it cannot be written to: check its permissions"):
            client.put(_post(client, POSTS + 1))
        assert [entry.name for entry in tmp_path.iterdir()] == ["s.db"]


def test_a_full_disk(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
    client = connect(f"sqlite:///{whole}")
    for free, message in ((0, "the disk is full: make room and try again"), (1 << 30, "disk I/O")):
        usage = SimpleNamespace(free=free)
        monkeypatch.setattr(database.shutil, "disk_usage", lambda _, usage=usage: usage)
        with pytest.raises(StoreError, match=message), client.database.translated():
            raise error


@pytest.mark.parametrize("left_out", ["index", "checksums", "both"])
@pytest.mark.parametrize("read_only", [False, True], ids=["plain", "read_only"])
def test_a_read_only_place_without_what_newer_versions_write(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left_out: str, read_only: bool
) -> None:
    path = tmp_path / "s.db"
    shutil.copy(whole, path)
    if left_out != "index":
        change(path, "ALTER TABLE entity DROP COLUMN checksum")
    if left_out != "checksums":
        change(path, "DELETE FROM idx")
        change(path, "DELETE FROM entry")
    before = path.read_bytes()
    monkeypatch.setattr(database.os, "access", lambda *_: False)
    with closing(connect(f"sqlite:///{path}", create=False, read_only=read_only)) as client:
        lines = list(export_lines(client, START, START + timedelta(days=1)))
        again = run_in_transaction(
            client, lambda: list(client.query(kind="Tweet", order=["created_at"]).fetch(limit=7))
        )
        assert client.get(client.key("Tweet", 1)) == again[0]
        with pytest.raises(StoreError, match=r"s.db(: it cannot be written| was opened for read)"):
            client.put(_post(client, 1))
    assert lines == exported(whole)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["s.db"]


def test_a_transaction_begun_before_the_move_is_tried_again(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.db"
    shutil.copy(whole, path)
    change(path, "DELETE FROM idx")
    change(path, "DELETE FROM entry")
    monkeypatch.setattr(database.os, "access", lambda *_: False)
    with closing(connect(f"sqlite:///{path}", create=False)) as client:
        query = client.query(kind="Tweet", order=["-created_at"])
        found = run_in_transaction(client, lambda: list(query.fetch(limit=2)))
    assert [entity.key.id for entity in found] == [POSTS, POSTS - 1]
