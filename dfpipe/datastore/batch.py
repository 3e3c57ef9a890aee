"""Batches and transactions of the embedded client, with the methods of Google's."""

import sqlite3
from collections.abc import Iterable
from typing import Any, Self

from google.api_core.exceptions import Aborted, InvalidArgument
from google.cloud.datastore.entity import Entity
from google.cloud.datastore.key import Key

from dfpipe.datastore.writing import Stored, Write, check_size, deletions, puts

CONTENTION = "too much contention on these datastore entities. please try again."


class Batch:
    """Puts and deletes that are committed together: all of them or none.

    As a context manager it commits at the end, and drops everything when the block raises.
    """

    _INITIAL, _IN_PROGRESS, _ABORTED, _FINISHED = range(4)

    def __init__(self, client: Any) -> None:
        self._client = client
        self._writes: list[Write] = []
        self._status = self._INITIAL

    def put(self, entity: Entity) -> None:
        """Remember the entity as it is now.

        Raises ValueError, or InvalidArgument for what Datastore would refuse to store.
        """
        self.put_multi([entity])

    def put_multi(self, entities: Iterable[Entity]) -> None:
        """Remember several entities."""
        self._must_run("put()")
        self._writes.extend(puts(entities, self._client.project))

    def delete(self, key: Key) -> None:
        """Remember to delete what the key names, if it exists."""
        self.delete_multi([key])

    def delete_multi(self, keys: Iterable[Key]) -> None:
        """Remember to delete what several keys name."""
        self._must_run("delete()")
        self._writes.extend(deletions(keys, self._client.project))

    def _must_run(self, method: str) -> None:
        if self._status != self._IN_PROGRESS:
            raise ValueError(f"Batch must be in progress to {method}")

    def begin(self, **_: Any) -> None:
        """Start; the context manager does it."""
        if self._status != self._INITIAL:
            raise ValueError("Batch already started previously.")
        self._status = self._IN_PROGRESS

    def commit(self, **_: Any) -> None:
        """Write everything at once."""
        self._must_run("commit()")
        try:
            check_size(self._writes)
            self._commit()
        finally:
            self._status = self._FINISHED

    def _commit(self) -> None:
        paths = [(write.namespace, write.kind, write.path) for write in self._writes]
        if len(set(paths)) < len(paths):
            raise InvalidArgument(
                "A non-transactional commit may not contain multiple mutations "
                "affecting the same entity."
            )
        if self._writes:
            self._client.commit(self._writes)

    def rollback(self, **_: Any) -> None:
        """Drop everything."""
        self._must_run("rollback()")
        self._status = self._ABORTED

    def __enter__(self) -> Self:
        self.begin()
        self._client.enter(self)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if self._status == self._IN_PROGRESS:
                if error is None:
                    self.commit()
                else:
                    self.rollback()
        finally:
            self._client.leave()


class Transaction(Batch):
    """A batch whose reads count too: serialisable, optimistic.

    Reads see the store as it was when the transaction began, without its own writes. The commit
    raises Aborted, with nothing written, where anything that was read has changed since, what was
    missing and what a query would newly find included.
    """

    def __init__(self, client: Any, read_only: bool = False) -> None:
        super().__init__(client)
        self._read_only = read_only
        self._connection: sqlite3.Connection | None = None
        self._read_anything = False
        self._log: list[tuple[str, tuple[Any, ...], list[Any]]] = []
        # What was looked up: of each kind's number and path, None where nothing is.
        self.known: dict[int, dict[bytes, Stored | None]] = {}

    def begin(self, **_: Any) -> None:
        """Start: from now on reads see the store as it is now."""
        super().begin()
        with self._client.database.translated():
            self._connection = self._client.database.take()
            self._take_snapshot(self._connection)

    def _take_snapshot(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN")
        self.catalog = self._client.catalog_of(connection)

    def renew(self) -> None:
        """Go over to the newest state, in which an index has been built that was missing.

        Raises Aborted where what has been read is no longer so, and in a read-only transaction,
        which keeps no record of it, where anything has been read.
        """
        if self._connection is None or (self._read_only and self._read_anything):
            raise Aborted(CONTENTION)
        self._connection.execute("ROLLBACK")
        self._take_snapshot(self._connection)
        self._compare(self._connection)

    def _compare(self, connection: sqlite3.Connection) -> None:
        """Raise Aborted where a statement gives other rows by now."""
        for sql, parameters, rows in self._log:
            if connection.execute(sql, parameters).fetchall() != rows:
                raise Aborted(CONTENTION)

    def read(self, sql: str, parameters: tuple[Any, ...]) -> list[Any]:
        """Run a reading statement on the snapshot and remember what it gave."""
        if self._connection is None:
            raise InvalidArgument("The referenced transaction has expired or is no longer valid.")
        rows = self._connection.execute(sql, parameters).fetchall()
        self._read_anything = True
        if not self._read_only:
            self._log.append((sql, parameters, rows))
        return rows

    def put_multi(self, entities: Iterable[Entity]) -> None:
        """Remember entities as they are now."""
        self._refuse_if_read_only()
        super().put_multi(entities)

    def delete_multi(self, keys: Iterable[Key]) -> None:
        """Remember to delete what the keys name."""
        self._refuse_if_read_only()
        super().delete_multi(keys)

    def _refuse_if_read_only(self) -> None:
        if self._read_only:
            raise RuntimeError("Transaction is read only")

    def _commit(self) -> None:
        connection = self._connection
        if self._writes and connection is not None:
            self._client.commit(self._writes, connection, self._begin_writing, self.known)
        self._end()

    def commit(self, **_: Any) -> None:
        """Write everything, if what was read still holds."""
        try:
            super().commit()
        finally:
            self._end()

    def rollback(self, **_: Any) -> None:
        """Drop everything."""
        try:
            super().rollback()
        finally:
            self._end()

    def _end(self) -> None:
        connection, self._connection = self._connection, None
        self._log, self.known = [], {}
        if connection is not None:
            self._client.database.give_back(connection)

    def _begin_writing(self, connection: sqlite3.Connection) -> None:
        """Turn the snapshot into a write transaction, or begin one and compare what was read."""
        try:
            # Succeeds only where nobody has committed anything since the snapshot.
            connection.execute("UPDATE meta SET generation = generation WHERE 0")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
        else:
            return
        connection.execute("ROLLBACK")
        connection.execute("BEGIN IMMEDIATE")
        self._compare(connection)
