"""The SQLite file of an embedded store: opening it, and its connections."""

import os
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgpack
from google.api_core.exceptions import DeadlineExceeded

from dfpipe.datastore.errors import DamageError, StoreError, UnwritableError

# Without this, sqlite3 searches for an adapter for each value of type bytes, which is slow.
sqlite3.register_adapter(bytes, bytes)

# Marks the file as ours, for `file` and for a check when it is opened.
APPLICATION_ID = 0x64667064
PATIENCE = 60.0  # seconds that a commit waits for others' commits
MAKING = 1.0  # seconds that another process may need to make the tables

SCHEMA = """
CREATE TABLE meta (generation INTEGER NOT NULL);
INSERT INTO meta VALUES (0);
CREATE TABLE kind (id INTEGER PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL,
    UNIQUE (namespace, name));
CREATE TABLE shape (id INTEGER PRIMARY KEY, names TEXT NOT NULL, excluded TEXT NOT NULL,
    UNIQUE (names, excluded));
CREATE TABLE idx (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, definition TEXT NOT NULL,
    repeated INTEGER NOT NULL, UNIQUE (kind, definition));
CREATE TABLE entity (kind INTEGER NOT NULL, path BLOB NOT NULL, shape INTEGER NOT NULL,
    data BLOB NOT NULL, checksum INTEGER, PRIMARY KEY (kind, path)) WITHOUT ROWID;
CREATE TABLE entry (idx INTEGER NOT NULL, value BLOB NOT NULL, path BLOB NOT NULL,
    PRIMARY KEY (idx, value, path)) WITHOUT ROWID;
"""
# Stands in for the table of entities of an earlier version that cannot be upgraded.
WITHOUT_CHECKSUMS = """
PRAGMA temp_store = MEMORY;
CREATE TEMP VIEW entity AS SELECT kind, path, shape, data, NULL AS checksum FROM main.entity;
"""


class Database:
    """A pool of connections to one file, safe for threads and forks.

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
                    f"{path} does not exist: check the path, or import posts into it first"
                )
        elif path.is_dir():
            raise StoreError(f"{path} is a folder: name the file of an SQLite store in it")
        # Without a log beside the file, and no right to create one, the file does not change.
        self._immutable = not os.access(path.parent, os.W_OK) and not _log_of(path).exists()
        self._has_no_log = _size(path) > 0 and not _size(_log_of(path))
        self._lacks_checksums = False
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        with self.translated(), self.lend() as connection:
            self._prepare(connection)

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._idle: list[sqlite3.Connection] = []
        # Threads of one process wait here in turn; SQLite's own waiting is by polling.
        self.writing = threading.Lock()

    @contextmanager
    def lend(self) -> Iterator[sqlite3.Connection]:
        """A connection for this block alone."""
        connection = self.take()
        try:
            yield connection
        finally:
            self.give_back(connection)

    def take(self) -> sqlite3.Connection:
        """Take a connection out of the pool, until `give_back`."""
        if self._pid != os.getpid():
            # A connection must not be used, nor closed, in a child of the process that opened it.
            _inherited.append(self._idle)
            self._reset()
        try:
            return self._idle.pop()
        except IndexError:
            return self._open()

    def give_back(self, connection: sqlite3.Connection) -> None:
        """Roll back what the connection has left open, and return it to the pool."""
        if connection.in_transaction:
            connection.rollback()
        if self._copy is not None:
            connection.close()  # it may be one of the original
        elif self._pid == os.getpid():
            self._idle.append(connection)

    def close(self) -> None:
        """Close the connections that no thread uses."""
        while self._idle:
            self._idle.pop().close()

    def _open(self) -> sqlite3.Connection:
        mode = "ro&immutable=1" if self._immutable else "rw" if self.read_only else "rwc"
        connection = sqlite3.connect(
            f"{self._file.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=PATIENCE,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=512,
        )
        connection.executescript(
            "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -32000;"
            "PRAGMA mmap_size = 8000000000;"
            # Pages that many commits change are copied from the log to the file once: 32 MB. A
            # long reader lets the log grow further; afterwards it is cut to 64 MB.
            "PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 64000000;"
        )
        if self._lacks_checksums:
            connection.executescript(WITHOUT_CHECKSUMS)
        return connection

    @property
    def _file(self) -> Path:
        return self.path if self._copy is None else Path(self._copy.name, self.path.name)

    @property
    def is_unwritable(self) -> bool:
        """Whether it replaces a file without write access; nobody would find a write to it."""
        return self._copy is not None or self._lacks_checksums

    def move_to_copy(self) -> None:
        """Read a temporary copy from now on: it can get the indexes that the file cannot."""
        folder = tempfile.TemporaryDirectory(prefix="dfpipe-")
        copy = Path(folder.name, self.path.name)
        self.copy_to(copy, copy)
        self.close()
        self._copy, self._immutable, self._lacks_checksums = folder, False, False
        with self.translated(copy), self.lend() as connection:
            self._prepare(connection)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Create the tables unless they exist."""
        started = time.monotonic()
        while not self._is_ours(connection):
            # Another process may be making the tables at this moment.
            if not self._create or (self._has_no_log and time.monotonic() > started + MAKING):
                raise StoreError(
                    f"{self.path} holds no tables: if it is a copy of a store that was in use, "
                    "make the copy with `dfpipe backup`; if it is left over, delete it"
                )
            if self._has_no_log:
                time.sleep(0.01)
                continue
            try:
                self._make(connection)
            except sqlite3.OperationalError as error:
                # Turning on the write-ahead log does not wait for a process that is just doing so.
                if not _is_busy(error) or time.monotonic() > started + PATIENCE:
                    raise
                time.sleep(0.01)
        columns = connection.execute("SELECT name FROM pragma_table_info('entity')").fetchall()
        if ("checksum",) in columns:
            return
        try:
            self._add_checksums(connection)
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_READONLY:
                raise
            connection.executescript(WITHOUT_CHECKSUMS)
            self._lacks_checksums = True

    def _is_ours(self, connection: sqlite3.Connection) -> bool:
        """Whether the tables exist; raises StoreError for another program's database."""
        # In this order: another process may be creating tables and mark, in one transaction.
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        if application_id == APPLICATION_ID:
            return True
        if tables:
            raise StoreError(f"{self.path} is a database of another program: choose another file")
        return False

    def _make(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA page_size = 8192")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        # Another process may have been quicker.
        if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            for statement in SCHEMA.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")

    def _add_checksums(self, connection: sqlite3.Connection) -> None:
        """Upgrade the tables of an earlier version; its rows stay without checksums."""
        connection.execute("BEGIN IMMEDIATE")
        columns = connection.execute("SELECT name FROM pragma_table_info('entity')").fetchall()
        if ("checksum",) not in columns:
            connection.execute("ALTER TABLE entity ADD COLUMN checksum INTEGER")
        connection.execute("COMMIT")

    def verify(self) -> None:
        """Read the whole file and raise StoreError if its structure is damaged."""
        with self.translated(), self.lend() as connection:
            (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if found != "ok":
                raise DamageError(found)

    def give_space_back(self) -> None:
        """Cut the pages that deletions have left empty from the file, 8 MB at a time.

        A file that an older version made keeps them for what is stored later.
        """
        with self.translated(), self.lend() as connection:
            left, before = _free_pages(connection), -1
            while left not in (0, before):
                connection.execute("PRAGMA incremental_vacuum(1000)").fetchall()
                left, before = _free_pages(connection), left
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def copy_to(self, path: Path, target: Path) -> None:
        """Copy the store, as it is at this moment, to a new file; others can keep writing.

        Errors name `target`, which the file is to become.
        """
        with (
            self.lend() as connection,
            self.translated(target),
            closing(sqlite3.connect(path)) as copy,
        ):
            connection.backup(copy)

    @contextmanager
    def translated(self, file: Path | None = None) -> Iterator[None]:
        """Turn errors of SQLite, and of rows that cannot be decoded, into ours and Datastore's.

        They name the file, or this store's if none is given.
        """
        path = file or self.path
        try:
            yield
        except sqlite3.Error as error:
            if _is_busy(error):
                raise DeadlineExceeded(
                    f"{path} stayed locked for {PATIENCE:.0f} seconds: "
                    "another process is writing to it"
                ) from error
            kind = UnwritableError if _code(error) == sqlite3.SQLITE_READONLY else StoreError
            raise kind(f"{path}: {_explained(path, error)}") from error
        except _SENSELESS as error:
            raise StoreError(f"{path}: {_DAMAGED}") from error


def _free_pages(connection: sqlite3.Connection) -> int:
    number: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
    return number


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _code(error: sqlite3.Error) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code


def _is_busy(error: sqlite3.Error) -> bool:
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


_inherited: list[list[sqlite3.Connection]] = []

# What decoding a damaged row can raise.
_SENSELESS = (DamageError, LookupError, ValueError, TypeError, msgpack.UnpackException)
_DAMAGED = "the store is damaged: restore it from a backup"
UNWRITABLE = "it cannot be written to: check its permissions and its folder's"
_FULL = "the disk is full: make room and try again"
_EXPLANATIONS = {
    sqlite3.SQLITE_NOTADB: "this is not an SQLite database: choose another file",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_CONSTRAINT: _DAMAGED,  # a row that is there was not found
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened or created: check that its folder exists and "
    "that you may write there",
    sqlite3.SQLITE_READONLY: UNWRITABLE,
    sqlite3.SQLITE_FULL: _FULL,
}


def _explained(path: Path, error: sqlite3.Error) -> str:
    # SQLite reports a full disk as an I/O error when it extends the index of the log.
    if _code(error) == sqlite3.SQLITE_IOERR and shutil.disk_usage(path.parent).free < 1 << 20:
        return _FULL
    if _code(error) == 0 and isinstance(error, sqlite3.OperationalError):
        return _DAMAGED  # Python's own: a text that is not UTF-8
    return _EXPLANATIONS.get(_code(error), str(error))
