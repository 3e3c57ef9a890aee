"""A client of the embedded store, and what its transactions and queries work on."""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from google.api_core.exceptions import Aborted, InvalidArgument
from google.cloud.datastore.entity import Entity
from google.cloud.datastore.key import Key

from dfpipe.datastore.embedded import catalog as catalogs
from dfpipe.datastore.embedded.batch import Batch, Transaction
from dfpipe.datastore.embedded.catalog import Catalog, Stored, Writer
from dfpipe.datastore.embedded.database import UNWRITABLE, Database
from dfpipe.datastore.embedded.indexes import Index
from dfpipe.datastore.embedded.keys import make_key, path_of
from dfpipe.datastore.embedded.planner import Scan
from dfpipe.datastore.embedded.query import Counting, Query
from dfpipe.datastore.embedded.reading import entities_of, values_of
from dfpipe.datastore.embedded.scanning import Source
from dfpipe.datastore.embedded.writing import Known, Write, apply, stored_rows
from dfpipe.datastore.errors import StoreError, UnwritableError

PROJECT = "local"
MOST_KEYS = 1000  # in one lookup


class Client:
    """A client of one store, which threads can share and forked processes can keep using.

    Each thread has its own current batch or transaction.
    """

    def __init__(
        self,
        path: Path,
        namespace: str | None = None,
        *,
        create: bool = True,
        read_only: bool = False,
    ) -> None:
        self.project = PROJECT
        self.namespace = namespace
        self.database = Database(path, create=create, read_only=read_only)
        self._catalog = Catalog()
        self._stack = threading.local()
        with self.database.translated(), self.database.lend() as connection:
            self._catalog = catalogs.load(connection)

    def key(self, kind: str, id_or_name: str | int, /) -> Key:
        """Make a key in this client's project and namespace."""
        if type(id_or_name) is str and type(kind) is str:
            return make_key(kind, id_or_name, self.project, self.namespace)
        return Key(kind, id_or_name, project=self.project, namespace=self.namespace)

    def query(
        self, *, kind: str, order: Sequence[str] = (), projection: Sequence[str] = ()
    ) -> Query:
        """Make a query over one kind in this client's namespace."""
        return Query(self, kind, order, projection)

    def aggregation_query(self, query: Any) -> Counting:
        """Make a count of what a query of this client finds."""
        return Counting(query)

    def batch(self) -> Batch:
        """Make a batch, whose puts and deletes are committed together."""
        return Batch(self)

    def transaction(self, *, read_only: bool = False) -> Transaction:
        """Make a transaction, which reads and writes one state of the store."""
        return Transaction(self, read_only)

    @property
    def current_batch(self) -> Batch | None:
        """The innermost batch or transaction that this thread has entered."""
        stack = self._batches()
        return stack[-1] if stack else None

    @property
    def current_transaction(self) -> Transaction | None:
        """The innermost batch that this thread has entered, if it is a transaction."""
        current = self.current_batch
        return current if isinstance(current, Transaction) else None

    def _batches(self) -> list[Batch]:
        if not hasattr(self._stack, "batches"):
            self._stack.batches = []
        batches: list[Batch] = self._stack.batches
        return batches

    def enter(self, batch: Batch) -> None:
        """Make a batch this thread's current one."""
        self._batches().append(batch)

    def leave(self) -> None:
        """Make the batch that was current before this thread's current one again."""
        self._batches().pop()

    def get(self, key: Key, *, transaction: Transaction | None = None) -> Entity | None:
        """Read an entity; None if it does not exist."""
        found = self.get_multi([key], transaction=transaction)
        return found[0] if found else None

    def get_multi(
        self, keys: Sequence[Key], *, transaction: Transaction | None = None
    ) -> list[Entity]:
        """Read the entities that exist, in the order of the keys."""
        with self._look_up(keys, transaction) as (stored, catalog):
            found = [key for key, row in zip(keys, stored, strict=True) if row is not None]
            rows = [row for row in stored if row is not None]
            return entities_of(found, [row[1] for row in rows], [row[2] for row in rows], catalog)

    def get_values(self, keys: Sequence[Key], names: tuple[str, ...]) -> list[object]:
        """Read some properties of each entity; None for an entity that does not exist."""
        with self._look_up(keys, None) as (stored, catalog):
            rows = [row for row in stored if row is not None]
            found = values_of([row[1] for row in rows], [row[2] for row in rows], names, catalog)
            values = iter(found)
            return [None if row is None else next(values) for row in stored]

    @contextmanager
    def _look_up(
        self, keys: Sequence[Key], transaction: Transaction | None
    ) -> Iterator[tuple[list[Stored | None], Catalog]]:
        """The row of each key, None if there is none, and the catalog to read them with."""
        if any(key.project != self.project for key in keys):
            raise ValueError("Keys do not match project")
        if len(keys) > MOST_KEYS:
            raise InvalidArgument(f"A lookup may have at most {MOST_KEYS} keys, not {len(keys)}.")
        places = [
            (key.namespace or "", key.flat_path[0], path_of(key, self.project)) for key in keys
        ]
        groups: dict[tuple[str, str], dict[bytes, Stored | None]] = {}
        for namespace, kind, path in places:
            groups.setdefault((namespace, kind), {})[path] = None
        transaction = transaction or self.current_transaction
        with self._reading(transaction) as (read, catalog):
            for (namespace, kind), found in groups.items():
                number = _kind_number(namespace, kind, read, catalog)
                if number is None:
                    continue
                for row in stored_rows(read, number, list(found)):
                    found[row[0]] = row
                if transaction is not None:
                    transaction.known.setdefault(number, {}).update(found)
            yield [groups[namespace, kind][path] for namespace, kind, path in places], catalog

    def put(self, entity: Entity) -> None:
        """Store an entity, replacing the one with the same key."""
        self.put_multi([entity])

    def put_multi(self, entities: Sequence[Entity]) -> None:
        """Store entities in one commit, or as part of the current batch or transaction."""
        if isinstance(entities, Entity):
            raise ValueError("Pass a sequence of entities")
        with self._joined() as batch:
            batch.put_multi(entities)

    def delete(self, key: Key) -> None:
        """Delete an entity, if it exists."""
        self.delete_multi([key])

    def delete_multi(self, keys: Sequence[Key]) -> None:
        """Delete entities in one commit, or as part of the current batch or transaction."""
        with self._joined() as batch:
            batch.delete_multi(keys)

    @contextmanager
    def _joined(self) -> Iterator[Batch]:
        current = self.current_batch
        if current is not None:
            yield current
            return
        batch = self.batch()
        batch.begin()
        yield batch
        batch.commit()

    def close(self) -> None:
        """Close the connections that are not in use."""
        self.database.close()

    def catalog_of(self, connection: sqlite3.Connection) -> Catalog:
        """The catalog as that connection sees it."""
        if catalogs.generation(connection) == self._catalog.generation:
            return self._catalog
        catalog = catalogs.load(connection)
        if catalog.generation > self._catalog.generation:
            self._catalog = catalog
        return catalog

    @contextmanager
    def _reading(self, transaction: Transaction | None) -> Iterator[tuple[Any, Catalog]]:
        """A function that reads, and the catalog, both of the same snapshot.

        It is the snapshot of the given or current transaction, else the newest one.
        """
        transaction = transaction or self.current_transaction
        with self.database.translated():
            if transaction is not None:
                yield transaction.read, transaction.catalog
                return
            connection = self.database.take()
            try:
                connection.execute("BEGIN")
                catalog = self.catalog_of(connection)
                yield lambda sql, values: connection.execute(sql, values).fetchall(), catalog
            finally:
                self.database.give_back(connection)

    @contextmanager
    def source(self, kind: str, scan: Scan) -> Iterator[Source | None]:
        """The snapshot for a scan of a kind; None if the kind has no entities."""
        while True:
            with self._reading(None) as (read, catalog):
                number = _kind_number(self.namespace or "", kind, read, catalog)
                if number is None:
                    yield None
                    return
                missing = [i for i in scan.indexes() if catalog.find(number, i) is None]
                if not missing:
                    yield Source(read, number, catalog)
                    return
            try:
                self.build_indexes(kind, missing)
            except UnwritableError:
                self.database.move_to_copy()
                if self.current_transaction is not None:
                    raise Aborted("the store has moved to a copy: try again") from None
            if self.current_transaction is not None:
                self.current_transaction.renew()

    def build_indexes(self, kind: str, indexes: Sequence[Index]) -> None:
        """Build indexes of a kind that are missing.

        Datastore keeps an index for every property. Here most would slow down each write and never
        be read, so an index is built when a query first needs it, or by this method. A read-only
        client builds them too, since this does not change what is stored.
        """
        known = self._catalog.kinds.get((self.namespace or "", kind))
        if known is not None and all(self._catalog.find(known, index) for index in indexes):
            return
        with self._writing() as connection:
            writer = Writer(connection, self.catalog_of(connection))
            number = writer.kind(self.namespace or "", kind)
            for index in indexes:
                writer.build(number, index)
            catalog = writer.finish()
        self._catalog = catalog

    @contextmanager
    def _writing(
        self,
        connection: sqlite3.Connection | None = None,
        begin: Callable[[sqlite3.Connection], None] | None = None,
    ) -> Iterator[sqlite3.Connection]:
        """A write transaction, on a connection of its own unless one is given."""
        if connection is None:
            with self.database.lend() as lent, self._writing(lent) as writing:
                yield writing
            return
        with self.database.translated(), self.database.writing:
            try:
                if begin is None:
                    connection.execute("BEGIN IMMEDIATE")
                else:
                    begin(connection)
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def commit(
        self,
        writes: Sequence[Write],
        connection: sqlite3.Connection | None = None,
        begin: Callable[[sqlite3.Connection], None] | None = None,
        known: Known | None = None,
    ) -> None:
        """Write everything in one transaction, or nothing. Raises StoreError."""
        self._refuse_if_read_only()
        with self._writing(connection, begin) as writing:
            writer = Writer(writing, self.catalog_of(writing))
            apply(writing, writer, writes, known or {})
            catalog = writer.finish()
        if catalog.generation > self._catalog.generation:
            self._catalog = catalog

    def _refuse_if_read_only(self) -> None:
        if self.database.read_only:
            raise StoreError(
                f"{self.database.path} was opened for reading only: connect without read_only"
            )
        if self.database.is_unwritable:
            raise UnwritableError(f"{self.database.path}: {UNWRITABLE}")


def _kind_number(namespace: str, kind: str, read: Any, catalog: Catalog) -> int | None:
    number = catalog.kinds.get((namespace, kind))
    if number is None:
        # A transaction must notice when the kind comes into being.
        read("SELECT count(*) FROM kind WHERE namespace = ? AND name = ?", (namespace, kind))
    return number
