"""A warehouse in a DuckDB file, which only one process at a time can open for writing."""

import os
import re
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from dfpipe.errors import DfpipeError, NoResultsError, UsageError
from dfpipe.warehouse import named_queries
from dfpipe.warehouse.named_queries import Result
from dfpipe.warehouse.schema import columns_to_add, not_a_table, unreadable
from dfpipe.warehouse.tables import (
    TABLES,
    Column,
    Row,
    Run,
    Table,
    TableRows,
    in_writing_order,
)

DUCKDB_TYPES = {
    "TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
    "INT64": "BIGINT",
    "STRING": "VARCHAR",
    "FLOAT64": "DOUBLE",
}
GOOGLESQL_TYPES = {ours: googles for googles, ours in DUCKDB_TYPES.items()}
# How long to wait for another process to close the file, in seconds: while a user waits, and at the
# end of a run, when hours of work may be lost.
SHORT_PATIENCE, LONG_PATIENCE, PAUSE = 5.0, 60.0, 0.05
STALE = 3600.0  # seconds; creating the file takes less than one
# DuckDB 2.0.0 may assume that a sum is as small as its parts: then it fails, or answers wrongly.
WRONG_OPTIMIZER = "statistics_propagation"
# The lock on the file does not separate the connections of one process.
_one_at_a_time = threading.RLock()


def from_url(url: str) -> "DuckDBWarehouse":
    """Return the warehouse of `duckdb:///FILE`. Raises UsageError for another form."""
    path = url.removeprefix("duckdb:///")
    if path in (url, ""):
        raise UsageError(
            f"the warehouse {url!r} does not name a file: give duckdb:///FILE, or "
            "duckdb:////FOLDER/FILE for an absolute path"
        )
    return DuckDBWarehouse(Path(path))


class DuckDBWarehouse:
    """The result tables in one file, open only as long as needed, so that others can write."""

    def __init__(self, path: Path, sleep: Callable[[float], None] = time.sleep) -> None:
        self.path = path
        self._sleep = sleep

    def prepare(self) -> None:
        """Create the file and what its tables lack, and check that they can be written."""
        with self._writing(SHORT_PATIENCE):
            pass

    def replace_run(self, run: Run, rows: TableRows) -> None:
        """Replace all rows of `run.ts` in one transaction."""
        tables = in_writing_order(run, rows)
        with self._writing(LONG_PATIENCE) as connection:
            connection.begin()
            for table, given in tables:
                connection.execute(f"DELETE FROM {table.name} WHERE ts = ?", [run.ts])  # noqa: S608 - a name of ours
                _insert(connection, table, given)
            connection.commit()

    def query(self, name: str, **params: object) -> Result:
        """Answer a named query without creating anything."""
        values = named_queries.load(name).bind(params)
        if not os.path.exists(self.path):
            raise NoResultsError(
                f"there is no warehouse {self.path}: write a run to it with "
                f"`dfpipe run --sink duckdb:///{self.path}`, or correct the name"
            )
        with self._open(SHORT_PATIENCE, read_only=True) as connection:
            try:
                cursor = connection.execute(named_queries.sql(name, "duckdb"), values)
            except (duckdb.CatalogException, duckdb.BinderException) as error:
                url = f"duckdb:///{self.path}"
                raise unreadable(str(self.path), url, _columns(connection)) or error from error
            return Result.of((column[0] for column in cursor.description), cursor.fetchall())

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Keep the file open for several queries; opening it takes longer than most of them."""
        if not os.path.exists(self.path):
            yield  # the query reports it
            return
        with self._open(SHORT_PATIENCE, read_only=True):
            yield

    @contextmanager
    def _writing(self, patience: float) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the file for writing, with all tables in it."""
        if not os.path.exists(self.path):
            self._create()
        with self._open(patience, read_only=False) as connection:
            self._make_tables(connection)
            yield connection

    def _make_tables(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Add missing tables and columns. Raises DfpipeError for tables that do not fit."""
        views = connection.execute("SELECT view_name FROM duckdb_views()").fetchall()
        found = _columns(connection)
        for table in TABLES:
            if (table.name,) in views:
                raise not_a_table(str(self.path), table, "view")
            if table.name not in found:
                connection.execute(_create_sql(table))
                continue
            for name, column in columns_to_add(str(self.path), table, found[table.name]).items():
                kind = DUCKDB_TYPES[column.kind]
                connection.execute(f"ALTER TABLE {table.name} ADD COLUMN {name} {kind}")

    def _create(self) -> None:
        """Create the file under another name first: DuckDB cannot open an incomplete one."""
        folder = self.path.absolute().parent
        if not folder.is_dir():
            raise DfpipeError(
                f"the folder {folder} of the warehouse does not exist: create it first"
            )
        prefix = f".{self.path.name}."
        _remove_stale(folder, prefix)
        try:
            with TemporaryDirectory(prefix=prefix, dir=folder) as temporary:
                made = Path(temporary, "new.duckdb")
                duckdb.connect(made).close()
                os.link(made, self.path)
        except FileExistsError:
            pass  # another process was faster
        except (OSError, duckdb.Error) as error:
            raise DfpipeError(f"cannot create {self.path}: {error}") from error

    @contextmanager
    def _open(self, patience: float, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        with _one_at_a_time:
            try:
                with self._connect(patience, read_only) as connection:
                    connection.execute("SET TimeZone = 'UTC'")
                    connection.execute(f"SET disabled_optimizers = '{WRONG_OPTIMIZER}'")
                    yield connection
            except duckdb.Error as error:
                raise DfpipeError(f"{self.path}: {_first_line(error)}") from error

    def _connect(self, patience: float, read_only: bool) -> duckdb.DuckDBPyConnection:
        """Connect, waiting up to `patience` seconds for other processes to close the file."""
        self._check_is_database()
        for _ in range(round(patience / PAUSE)):
            try:
                # From the root: ":memory:" and "md:results" would not be files.
                return duckdb.connect(self.path.absolute(), read_only=read_only)
            except duckdb.IOException as error:
                holder = _holder(error)
                if holder is None:
                    raise DfpipeError(
                        f"cannot open {self.path}, give another --sink: {_first_line(error)}"
                    ) from error
            self._sleep(PAUSE)
        raise DfpipeError(
            f"{self.path} is open in {holder}, waited {patience:g} s: end that process, then retry"
        )

    def _check_is_database(self) -> None:
        """Refuse a file that DuckDB would open as something else.

        It opens JSON, CSV and Parquet as views in memory, where all that is written is lost, and
        loads an extension for SQLite.
        """
        try:
            with self.path.open("rb") as file:
                magic = file.read(12)[8:]
        except OSError as error:
            raise DfpipeError(
                f"cannot open {self.path}, give another --sink: {error.strerror}"
            ) from error
        if magic != b"DUCK":
            raise DfpipeError(
                f"cannot open {self.path}, give another --sink: it is not a DuckDB database"
            )


def _columns(connection: duckdb.DuckDBPyConnection) -> Mapping[str, dict[str, Column]]:
    """Return the columns of each table, with the GoogleSQL names of their types."""
    found: dict[str, dict[str, Column]] = defaultdict(dict)
    rows = connection.execute(
        "SELECT table_name, column_name, data_type, is_nullable FROM duckdb_columns() "
        "WHERE schema_name = 'main' AND NOT internal"
    ).fetchall()
    for table, name, kind, nullable in rows:
        found[table][name] = Column(GOOGLESQL_TYPES.get(kind, kind), nullable)
    return found


def _create_sql(table: Table) -> str:
    columns = ", ".join(
        f"{name} {DUCKDB_TYPES[column.kind]}{'' if column.nullable else ' NOT NULL'}"
        for name, column in table.columns.items()
    )
    return f"CREATE TABLE {table.name} ({columns})"


def _insert(connection: duckdb.DuckDBPyConnection, table: Table, rows: Sequence[Row]) -> None:
    """Insert all rows with one statement, column by column."""
    names = ", ".join(table.columns)
    kinds = [DUCKDB_TYPES[column.kind] for column in table.columns.values()]
    lists = ", ".join(f"unnest(?::{kind}[])" for kind in kinds)
    connection.execute(
        f"INSERT INTO {table.name} ({names}) SELECT {lists}",
        table.transpose(rows),
    )


def _holder(error: duckdb.Error) -> str | None:
    """Return who has locked the file; None for another error."""
    found = re.search(r"Conflicting lock is held in (.*?\(PID \d+\))", str(error))
    return found[1] if found else "another process" if "set lock" in str(error) else None


def _first_line(error: duckdb.Error) -> str:
    return str(error).splitlines()[0]


def _remove_stale(folder: Path, prefix: str) -> None:
    """Remove the temporary folders of processes that were killed while they created the file."""
    for each in folder.glob(f"{prefix}*/"):
        with suppress(OSError):  # another process was faster
            if time.time() - each.stat().st_mtime > STALE:
                shutil.rmtree(each)
