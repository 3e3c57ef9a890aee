"""The SQLite file of an embedded store: opening it, and its connections."""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from google.api_core.exceptions import DeadlineExceeded

from dfpipe.datastore.errors import StoreError

Row = tuple[object, ...]

# Without an adapter of its own, each value of type bytes is asked for one, in vain and slowly.
sqlite3.register_adapter(bytes, bytes)

# Marks the file as ours, for `file` and for a check when it is opened.
APPLICATION_ID = 0x64667064
PATIENCE = 60.0  # seconds that a commit waits for others' commits

SCHEMA = """
CREATE TABLE meta (generation INTEGER NOT NULL, next_id INTEGER NOT NULL);
INSERT INTO meta VALUES (0, 4503599627370496);
CREATE TABLE kind (id INTEGER PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL,
    UNIQUE (namespace, name));
CREATE TABLE shape (id INTEGER PRIMARY KEY, names TEXT NOT NULL, excluded TEXT NOT NULL,
    UNIQUE (names, excluded));
CREATE TABLE composite (kind TEXT NOT NULL, definition TEXT NOT NULL,
    PRIMARY KEY (kind, definition));
CREATE TABLE idx (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, definition TEXT NOT NULL,
    repeated INTEGER NOT NULL, UNIQUE (kind, definition));
CREATE TABLE entity (kind INTEGER NOT NULL, path BLOB NOT NULL, shape INTEGER NOT NULL,
    data BLOB NOT NULL, PRIMARY KEY (kind, path)) WITHOUT ROWID;
CREATE TABLE entry (idx INTEGER NOT NULL, value BLOB NOT NULL, path BLOB NOT NULL,
    PRIMARY KEY (idx, value, path)) WITHOUT ROWID;
"""


class Database:
    """The connections to one file, lent to one user at a time; safe for threads and forks.

    Write-ahead log, synchronous=NORMAL: a commit survives the death of any process; a loss of
    power may undo the last commits, whole, and never damages the file.
    """

    def __init__(self, path: Path, *, create: bool, read_only: bool) -> None:
        self.path = path
        self.read_only = read_only
        self._create = create and not read_only
        self._reset()
        if not path.exists():
            if not self._create:
                raise StoreError(
                    f"there is no store at {path}: check the path, or import posts into it first"
                )
        elif path.is_dir():
            raise StoreError(f"{path} is a folder: name the file of an SQLite store in it")
        with self.translated(), self.lend() as connection:
            self._prepare(connection)

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._idle: list[sqlite3.Connection] = []
        # Threads of one process wait here in turn; SQLite's own waiting is by polling.
        self.writing = threading.Lock()

    @contextmanager
    def lend(self) -> Iterator[sqlite3.Connection]:
        """A connection that nobody else uses meanwhile."""
        connection = self.take()
        try:
            yield connection
        finally:
            self.give_back(connection)

    def take(self) -> sqlite3.Connection:
        """Lend a connection until `give_back`."""
        if self._pid != os.getpid():
            # A connection must not be used, nor closed, in a child of the process that opened it.
            _inherited.append(self._idle)
            self._reset()
        try:
            return self._idle.pop()
        except IndexError:
            return self._open()

    def give_back(self, connection: sqlite3.Connection) -> None:
        """End what the connection still has open, and keep it for the next user."""
        if connection.in_transaction:
            connection.rollback()
        if self._pid == os.getpid():
            self._idle.append(connection)

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    def _open(self) -> sqlite3.Connection:
        mode = "rw" if self.read_only else "rwc"
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=PATIENCE,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=512,
        )
        connection.executescript(
            "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -32000;"
            # Pages that many commits change are copied from the log to the file once: 32 MB.
            "PRAGMA mmap_size = 8000000000; PRAGMA wal_autocheckpoint = 4000;"
        )
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Make the tables unless they are there."""
        deadline = time.monotonic() + PATIENCE
        while not self._is_ours(connection):
            try:
                self._make(connection)
            except sqlite3.OperationalError as error:
                # Turning on the write-ahead log does not wait for others who are just doing so.
                if not _is_busy(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def _is_ours(self, connection: sqlite3.Connection) -> bool:
        """Whether the tables are there; raises StoreError for another program's database."""
        # In this order: another process may be making tables and mark, which it does at once.
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        if application_id == APPLICATION_ID:
            return True
        if tables or not self._create:
            raise StoreError(f"{self.path} is a database of something else: choose another file")
        return False

    def _make(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA page_size = 8192")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        # Another process may have been quicker.
        if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            for statement in SCHEMA.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn SQLite's errors into ours and Datastore's."""
        try:
            yield
        except sqlite3.Error as error:
            if _is_busy(error):
                raise DeadlineExceeded(
                    f"{self.path} stayed locked for {PATIENCE:.0f} seconds: "
                    "another process is writing to it"
                ) from error
            raise StoreError(f"{self.path}: {_explained(_code(error), str(error))}") from error


def _code(error: sqlite3.Error) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code


def _is_busy(error: sqlite3.Error) -> bool:
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


_inherited: list[list[sqlite3.Connection]] = []

_EXPLANATIONS = {
    sqlite3.SQLITE_NOTADB: "this is not an SQLite database: choose another file",
    sqlite3.SQLITE_CORRUPT: "the database is damaged: restore it from a copy",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened or made: check that its folder exists and that "
    "you may write there",
    sqlite3.SQLITE_READONLY: "may not be written to: check its permissions and its folder's",
    sqlite3.SQLITE_FULL: "the disk is full: make room and try again",
}


def _explained(code: int, message: str) -> str:
    return _EXPLANATIONS.get(code, message)
