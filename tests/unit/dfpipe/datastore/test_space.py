"""Backups of a store in use, and the space that a store takes."""

import multiprocessing
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from google.cloud.datastore import Entity

from dfpipe.cli import dfpipe
from dfpipe.datastore import StoreError, connect, count, give_space_back
from dfpipe.datastore.backup import backup
from dfpipe.errors import UsageError

BATCH = 50
spawn = multiprocessing.get_context("spawn")


def batch_of(client: Any, number: int) -> list[Entity]:
    entities = []
    for n in range(BATCH):
        entity = Entity(client.key("Kind", number * BATCH + n + 1), exclude_from_indexes=("text",))
        entity["text"] = "x" * 2000
        entities.append(entity)
    return entities


def write_batches(url: str, started: Any, enough: Any) -> None:
    client = connect(url)
    for number in range(100_000):
        client.put_multi(batch_of(client, number))
        started.set()
        if enough.is_set():
            return


def test_a_backup_of_a_store_that_is_written_to(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    started, enough = spawn.Event(), spawn.Event()
    writer = spawn.Process(target=write_batches, args=(url, started, enough))
    writer.start()
    assert started.wait(60)
    sizes = []
    for name in ("one.db", "two.db"):
        result = CliRunner().invoke(
            dfpipe, ["backup", "--store", url, "--output", str(tmp_path / name)]
        )
        assert result.output.endswith(f"bytes written to {tmp_path}/{name}\n")
        with closing(connect(f"sqlite:///{tmp_path}/{name}", create=False)) as copy:
            sizes.append(count(copy, copy.query(kind="Kind")))
    enough.set()
    writer.join(60)
    assert all(size and size % BATCH == 0 for size in sizes)
    assert sizes == sorted(sizes)
    assert {path.name for path in tmp_path.iterdir()} == {"s.db", "one.db", "two.db"}


def test_backups_that_are_refused(tmp_path: Path) -> None:
    connect(f"sqlite:///{tmp_path}/s.db").close()
    with pytest.raises(UsageError, match=r"^datastore://p is not a file: use `gcloud fire"):
        backup("datastore://p", tmp_path / "copy.db")
    with pytest.raises(UsageError, match=r"s.db exists: name a new file$"):
        backup(f"sqlite:///{tmp_path}/s.db", tmp_path / "s.db")
    with pytest.raises(StoreError, match="none.db does not exist: check the path"):
        backup(f"sqlite:///{tmp_path}/none.db", tmp_path / "copy.db")
    with pytest.raises(
        StoreError, match=r"/none/copy.db cannot be written: No such file or directory"
    ):
        backup(f"sqlite:///{tmp_path}/s.db", tmp_path / "none" / "copy.db")


def test_a_damaged_store_is_not_backed_up(tmp_path: Path) -> None:
    with closing(connect(f"sqlite:///{tmp_path}/s.db")) as client:
        client.put_multi(batch_of(client, 0))
    raw = bytearray((tmp_path / "s.db").read_bytes())
    raw[raw.index(b"xxx")] ^= 1
    (tmp_path / "s.db").write_bytes(raw)
    with pytest.raises(StoreError, match=r"/s.db: the store is damaged: restore it"):
        backup(f"sqlite:///{tmp_path}/s.db", tmp_path / "copy.db")
    assert [path.name for path in tmp_path.iterdir()] == ["s.db"]


def test_the_file_shrinks_after_a_purge(tmp_path: Path) -> None:
    client = connect(f"sqlite:///{tmp_path}/s.db")
    for number in range(20):
        client.put_multi(batch_of(client, number))
    give_space_back(client)
    before = (tmp_path / "s.db").stat().st_size
    for number in range(1, 20):
        client.delete_multi([entity.key for entity in batch_of(client, number)])
    give_space_back(client)
    assert (tmp_path / "s.db").stat().st_size < before / 5
    assert count(client, client.query(kind="Kind")) == BATCH
    client.close()
    with closing(sqlite3.connect(tmp_path / "s.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_the_log_is_cut_after_it_has_grown(tmp_path: Path) -> None:
    client = connect(f"sqlite:///{tmp_path}/s.db")
    with client.database.lend() as connection:  # type: ignore[attr-defined]  # the embedded one
        (limit,) = connection.execute("PRAGMA journal_size_limit").fetchone()
    assert limit == 64_000_000
