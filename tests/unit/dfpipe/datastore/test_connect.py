"""From URLs to clients, and what is said when that fails."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from google.api_core.exceptions import DeadlineExceeded
from google.cloud.datastore import Client, Entity

from dfpipe.datastore import StoreError, check, connect
from dfpipe.datastore.embedded import database
from dfpipe.errors import UsageError


def put(client: object, number: int) -> None:
    client.put(Entity(client.key("Kind", number)))  # type: ignore[attr-defined]  # either client


def test_relative_and_absolute_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    connect("sqlite:///relative%20name.db?namespace=n").close()
    assert (tmp_path / "relative name.db").exists()
    client = connect(f"sqlite:///{tmp_path}/relative name.db?namespace=n")
    assert client.namespace == "n"
    assert client.key("Kind", 1).namespace == "n"


def test_a_google_client_for_a_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASTORE_EMULATOR_HOST", "localhost:1")
    client = connect("datastore://project?namespace=n&database=d")
    assert isinstance(client, Client)
    assert (client.project, client.namespace, client.database) == ("project", "n", "d")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://host/db", "'mysql://host/db' is not the URL of a store; expected sqlite:///FILE"),
        ("posts.db", "'posts.db' is not the URL of a store"),
        ("", "'' is not the URL of a store"),
        ("sqlite://", "'sqlite://' does not name a file; expected sqlite:///FILE"),
        ("sqlite:///", "does not name a file"),
        ("sqlite://posts.db", "does not name a file"),
        ("datastore://", "'datastore://' does not name a project"),
        ("datastore://project/kind", "does not name a project"),
        (
            "sqlite:///p.db?names=x",
            "unknown option 'names' in 'sqlite:///p.db\\?names=x'; expected namesp",
        ),
        (
            "sqlite://[",
            "'sqlite://\\[' is not the URL of a store \\(Invalid IPv6 URL\\); expected sq",
        ),
        ("datastore://p?x=1", "unknown option 'x' .*; expected database, namespace"),
    ],
)
def test_other_urls_are_refused(url: str, message: str) -> None:
    for refuse in (connect, check):
        with pytest.raises(UsageError, match=message):
            refuse(url)


def test_a_check_makes_nothing(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/new.db", "datastore://project"):
        check(url)
    with pytest.raises(
        StoreError, match=r"^.*none/new.db cannot be created: check that its folder"
    ):
        check(f"sqlite:///{tmp_path}/none/new.db")
    assert not list(tmp_path.iterdir())
    (tmp_path / "notes.txt").write_text("no store")
    with pytest.raises(StoreError, match=r"notes.txt"):
        check(f"sqlite:///{tmp_path}/notes.txt")


def test_the_name_of_a_file_may_have_any_character(tmp_path: Path) -> None:
    connect(f"sqlite:///{tmp_path}/posts#1.db").close()
    assert (tmp_path / "posts#1.db").exists()


def test_a_store_that_must_exist(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    for options in ({"create": False}, {"read_only": True}):
        with pytest.raises(StoreError, match=f"{path} does not exist: check the path"):
            connect(f"sqlite:///{path}", **options)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_no_store(tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("no database " * 100)
    with pytest.raises(StoreError, match=r"text.db: this is not an SQLite database"):
        connect(f"sqlite:///{text}")
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE t (x)")
    with pytest.raises(StoreError, match="other.db is a database of another program"):
        connect(f"sqlite:///{other}")
    empty = tmp_path / "empty.db"
    empty.touch()
    with pytest.raises(StoreError, match="empty.db holds no tables"):
        connect(f"sqlite:///{empty}", create=False)
    with pytest.raises(StoreError, match="is a folder"):
        connect(f"sqlite:///{tmp_path}")
    with pytest.raises(StoreError, match="cannot be opened or created"):
        connect(f"sqlite:///{tmp_path}/none/store.db")


def test_a_damaged_store(tmp_path: Path) -> None:
    client = connect(f"sqlite:///{tmp_path}/s.db")
    for number in range(1, 400):
        put(client, number)
    client.close()
    raw = bytearray((tmp_path / "s.db").read_bytes())
    raw[8192:] = b"\xa5" * (len(raw) - 8192)
    (tmp_path / "s.db").write_bytes(raw)
    with pytest.raises(StoreError, match="the store is damaged: restore it from a backup"):
        connect(f"sqlite:///{tmp_path}/s.db")


def test_reading_only(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    put(connect(url), 1)
    client = connect(url, read_only=True)
    assert client.get(client.key("Kind", 1)) is not None
    with pytest.raises(StoreError, match="s.db was opened for reading only: connect without"):
        put(client, 2)


def test_a_store_that_stays_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "PATIENCE", 0.05)
    client = connect(f"sqlite:///{tmp_path}/s.db")
    other = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DeadlineExceeded, match="stayed locked .* another process is writing"):
        put(client, 1)
    other.execute("ROLLBACK")
    put(client, 1)


def test_other_errors_of_sqlite_are_translated(tmp_path: Path) -> None:
    client = connect(f"sqlite:///{tmp_path}/s.db")
    other = sqlite3.connect(f"file:{tmp_path}/s.db?mode=ro", uri=True)
    with (
        pytest.raises(StoreError, match=r"s.db: it cannot be written to: check its permissions"),
        client.database.translated(),
    ):
        other.execute("DELETE FROM entity")
    with (
        pytest.raises(StoreError, match=r"s.db: no such table: absent"),
        client.database.translated(),
    ):
        other.execute("SELECT * FROM absent")


def test_missing_credentials(tmp_path: Path) -> None:
    program = (
        "from dfpipe.datastore import *\n"
        "try: connect('datastore://p')\nexcept StoreError as error: print(error)"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NO_GCE_CHECK": "true"}
    command = [sys.executable, "-c", program]
    run = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout.startswith("no credentials for datastore://p: run `gcloud auth")
    assert run.stdout.count("\n") == 1


def test_the_module_imports_no_client_before_it_is_needed() -> None:
    late = "{'grpc', 'google.cloud.datastore'}"
    program = f"import sys, dfpipe.datastore; print(bool({late} & {{*sys.modules}}))"
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"
