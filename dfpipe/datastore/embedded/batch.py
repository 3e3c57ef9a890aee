"""Batches and transactions of the embedded client, with the methods of Google's."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, Self

from google.api_core.exceptions import Aborted, InvalidArgument
from google.cloud.datastore.entity import Entity
from google.cloud.datastore.key import Key

from dfpipe.datastore.embedded.catalog import Catalog, Stored
from dfpipe.datastore.embedded.database import Database
from dfpipe.datastore.embedded.writing import Known, Write, check_size, deletions, puts

CONTENTION = "too much contention on these datastore entities. please try again."


class Owner(Protocol):
    """What a batch needs from its client."""

    project: str
    database: Database

    def enter(self, batch: "Batch") -> None:
        """Make the batch this thread's current one."""

    def leave(self) -> None:
        """Return to the batch that was current before."""

    def catalog_of(self, connection: sqlite3.Connection) -> Catalog:
        """The catalog in the snapshot of that connection."""

    def commit(
        self,
        writes: Sequence[Write],
        connection: sqlite3.Connection | None = None,
        begin: Callable[[sqlite3.Connection], None] | None = None,
        known: Known | None = None,
    ) -> None:
        """Commit writes, in the transaction of that connection if one is given."""


class Batch:
    """Puts and deletes that are committed together: all of them or none.

    Used as a context manager it commits at the end, or drops everything if the block raises.
    """

    _INITIAL, _IN_PROGRESS, _ABORTED, _FINISHED = range(4)

    def __init__(self, client: Owner) -> None:
        self._client = client
        self._writes: list[Write] = []
        self._status = self._INITIAL

    def put(self, entity: Entity) -> None:
        """Write a copy of the entity, as it is at this moment, when the batch commits.

        Raises ValueError or InvalidArgument for what Datastore would refuse to store.
        """
        self.put_multi([entity])

    def put_multi(self, entities: Iterable[Entity]) -> None:
        """Write several entities when the batch commits."""
        self._must_run("put()")
        self._writes.extend(puts(entities, self._client.project))

    def delete(self, key: Key) -> None:
        """Delete an entity when the batch commits."""
        self.delete_multi([key])

    def delete_multi(self, keys: Iterable[Key]) -> None:
        """Delete several entities when the batch commits."""
        self._must_run("delete()")
        self._writes.extend(deletions(keys, self._client.project))

    def _must_run(self, method: str) -> None:
        if self._status != self._IN_PROGRESS:
            raise ValueError(f"Batch must be in progress to {method}")

    def begin(self) -> None:
        """Start; the context manager does it."""
        if self._status != self._INITIAL:
            raise ValueError("Batch already started previously.")
        self._status = self._IN_PROGRESS

    def commit(self) -> None:
        """Write all puts and deletes in one transaction."""
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

    def rollback(self) -> None:
        """Forget the puts and deletes; nothing is written."""
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
    """A batch whose reads count too: serializable, with optimistic locking.

    Reads see the store as it was when the transaction began, without its own writes. If anything
    that was read has changed since, the commit writes nothing and raises Aborted. This includes
    entities that did not exist and those that a query would find now.
    """

    def __init__(self, client: Owner, read_only: bool = False) -> None:
        super().__init__(client)
        self._read_only = read_only
        self._connection: sqlite3.Connection | None = None
        self._read_anything = False
        self._log: list[tuple[str, tuple[object, ...], list[object]]] = []
        # The rows that were looked up, by kind number and path; None for a missing one.
        self.known: dict[int, dict[bytes, Stored | None]] = {}

    def begin(self) -> None:
        """Start; reads see the store as it is at this moment."""
        super().begin()
        with self._client.database.translated():
            self._connection = self._client.database.take()
            self._take_snapshot(self._connection)

    def _take_snapshot(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN")
        self.catalog = self._client.catalog_of(connection)

    def renew(self) -> None:
        """Switch to the newest snapshot, which has an index that was missing.

        Raises Aborted if anything that was read has changed. A read-only transaction keeps no
        record of its reads, so it raises Aborted if it has read anything.
        """
        if self._connection is None or (self._read_only and self._read_anything):
            raise Aborted(CONTENTION)
        self._connection.execute("ROLLBACK")
        self._take_snapshot(self._connection)
        self._compare(self._connection)

    def _compare(self, connection: sqlite3.Connection) -> None:
        """Raise Aborted if a statement returns other rows than before."""
        for sql, parameters, rows in self._log:
            if connection.execute(sql, parameters).fetchall() != rows:
                raise Aborted(CONTENTION)

    def read(self, sql: str, parameters: tuple[object, ...]) -> list[object]:
        """Run a statement on the snapshot and record its rows."""
        if self._connection is None:
            raise InvalidArgument("The referenced transaction has expired or is no longer valid.")
        rows = self._connection.execute(sql, parameters).fetchall()
        self._read_anything = True
        if not self._read_only:
            self._log.append((sql, parameters, rows))
        return rows

    def put_multi(self, entities: Iterable[Entity]) -> None:
        """Write entities when the transaction commits."""
        self._refuse_if_read_only()
        super().put_multi(entities)

    def delete_multi(self, keys: Iterable[Key]) -> None:
        """Delete entities when the transaction commits."""
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

    def commit(self) -> None:
        """Write everything, unless anything that was read has changed."""
        try:
            super().commit()
        finally:
            self._end()

    def rollback(self) -> None:
        """Forget the puts and deletes; nothing is written."""
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
        """Turn the snapshot into a write transaction, or begin one and compare the reads."""
        try:
            # Succeeds only if nothing has been committed since the snapshot.
            connection.execute("UPDATE meta SET generation = generation WHERE 0")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
        else:
            return
        connection.execute("ROLLBACK")
        connection.execute("BEGIN IMMEDIATE")
        self._compare(connection)
