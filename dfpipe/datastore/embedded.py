"""The embedded client: the methods of Google's Datastore client over an SQLite file."""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from google.api_core.exceptions import InvalidArgument
from google.cloud.datastore.entity import Entity
from google.cloud.datastore.key import Key

from dfpipe.datastore import catalog as catalogs
from dfpipe.datastore.batch import Batch, Transaction
from dfpipe.datastore.catalog import Catalog, Writer
from dfpipe.datastore.database import Database
from dfpipe.datastore.encoding import is_partial, root_id
from dfpipe.datastore.errors import StoreError
from dfpipe.datastore.indexes import Index
from dfpipe.datastore.keys import place_of, root_key
from dfpipe.datastore.planner import Scan, require
from dfpipe.datastore.query import Counting, Query
from dfpipe.datastore.reading import entity_of, value_reader
from dfpipe.datastore.records import indexed, indexed_places
from dfpipe.datastore.scanning import Source, built_in_indexes
from dfpipe.datastore.writing import Known, Stored, Write, apply, stored_rows, take_ids

PROJECT = "local"
MOST_KEYS = 1000  # in one lookup


class Client:
    """A client of one store, for any number of threads; a process forked off may go on with it.

    `retry`, `timeout` and `eventual` are taken, as Google's client takes them, and mean nothing
    here. Each thread has its own current batch or transaction.
    """

    def __init__(
        self,
        path: Path,
        namespace: str | None = None,
        *,
        create: bool = True,
        read_only: bool = False,
        indexes: Sequence[Index] = (),
    ) -> None:
        self.project = PROJECT
        self.namespace = namespace
        self.database = Database(path, create=create, read_only=read_only)
        self._catalog = Catalog()
        self._stack = threading.local()
        with self.database.translated(), self.database.lend() as connection:
            self._catalog = catalogs.load(connection)
        if not read_only:
            self._declare(indexes)

    def key(self, *path: Any, **options: Any) -> Key:
        """A key in this client's project and, unless another is given, namespace."""
        if len(path) == 2 and not options and type(path[0]) is str and type(path[1]) is str:
            return root_key(*path, self.project, self.namespace)
        options.setdefault("namespace", self.namespace)
        return Key(*path, project=self.project, **options)

    def query(self, **options: Any) -> Query:
        """A query in this client's namespace, unless another is given."""
        return Query(self, **options)

    def aggregation_query(self, query: Any, **_: Any) -> Counting:
        """An aggregation over the query: `count` alone."""
        return Counting(self, query)

    def batch(self) -> Batch:
        """A batch of writes."""
        return Batch(self)

    def transaction(self, *, read_only: bool = False, **_: Any) -> Transaction:
        """A transaction."""
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

    def _push_batch(self, batch: Batch) -> None:
        self._batches().append(batch)

    def _pop_batch(self) -> Batch:
        return self._batches().pop()

    def get(self, key: Key, **options: Any) -> Entity | None:
        """The entity of that key; None where there is none."""
        found = self.get_multi([key], **options)
        return found[0] if found else None

    def get_multi(
        self,
        keys: Sequence[Key],
        missing: list[Entity] | None = None,
        deferred: list[Key] | None = None,
        transaction: Transaction | None = None,
        **_: Any,
    ) -> list[Entity]:
        """The entities of those keys that exist; `missing` is filled with empty ones of the others.

        `deferred` stays empty: nothing is ever put off.
        """
        if missing or deferred:
            name = "missing" if missing else "deferred"
            raise ValueError(f"{name} must be None or an empty list")
        stored, catalog = self._look_up(keys, transaction)
        if missing is not None:
            missing += [Entity(key) for key, row in zip(keys, stored, strict=True) if row is None]
        return [
            entity_of(key, row[1], row[2], catalog)
            for key, row in zip(keys, stored, strict=True)
            if row is not None
        ]

    def get_values(self, keys: Sequence[Key], names: tuple[str, ...]) -> list[Any]:
        """The named properties of what each key names; None where there is no entity."""
        stored, catalog = self._look_up(keys, None)
        values = value_reader(names, catalog)
        return [None if row is None else values(row[1], row[2]) for row in stored]

    def _look_up(
        self, keys: Sequence[Key], transaction: Transaction | None
    ) -> tuple[list[Stored | None], Catalog]:
        """What is stored of each key, and the catalog that it was stored by."""
        if any(key.project != self.project for key in keys):
            raise ValueError("Keys do not match project")
        if len(keys) > MOST_KEYS:
            raise InvalidArgument(f"A lookup may have at most {MOST_KEYS} keys, not {len(keys)}.")
        places = [self._whole_place(key) for key in keys]
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
        return [groups[namespace, kind][path] for namespace, kind, path in places], catalog

    def _whole_place(self, key: Key) -> tuple[str, str, bytes]:
        """Namespace, kind and path of a complete key."""
        kind, path, whole = place_of(key, self.project)
        if not whole:
            raise InvalidArgument("Key path element must not be incomplete.")
        return key.namespace or "", kind, path

    def put(self, entity: Entity, **_: Any) -> None:
        """Store an entity, replacing the one of the same key."""
        self.put_multi([entity])

    def put_multi(self, entities: Sequence[Entity], **_: Any) -> None:
        """Store entities in one commit, or as part of the current batch or transaction."""
        if isinstance(entities, Entity):
            raise ValueError("Pass a sequence of entities")
        with self._joined() as batch:
            batch.put_multi(entities)

    def delete(self, key: Key | Entity, **_: Any) -> None:
        """Delete what a key names, if it exists."""
        self.delete_multi([key])

    def delete_multi(self, keys: Sequence[Key | Entity], **_: Any) -> None:
        """Delete what keys name in one commit, or as part of the current batch or transaction."""
        with self._joined() as batch:
            batch.delete_multi(key.key if isinstance(key, Entity) else key for key in keys)

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

    def allocate_ids(self, incomplete_key: Key, num_ids: int, **_: Any) -> list[Key]:
        """Complete a partial key in as many ways, with ids that are given only once."""
        if not is_partial(incomplete_key):
            raise ValueError(("Key is not partial.", incomplete_key))
        self._refuse_if_read_only()
        with self._writing() as connection:
            ids = take_ids(connection, num_ids)
        return [incomplete_key.completed_key(number) for number in ids]

    def close(self) -> None:
        """Close the connections that nobody is using."""
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
        """How to read: in the transaction given or current, else in the newest state.

        Either way all of it, the catalog included, is of one moment.
        """
        transaction = transaction or self.current_transaction
        with self.database.translated():
            if transaction is not None:
                yield transaction.read, transaction.catalog
                return
            with self.database.lend() as connection:
                connection.execute("BEGIN")
                catalog = self.catalog_of(connection)
                yield lambda sql, values: connection.execute(sql, values).fetchall(), catalog

    @contextmanager
    def source(self, query: Query, scans: tuple[Scan, ...]) -> Iterator[Source | None]:
        """Where a query's scans read; None where there is no entity of its kind.

        Raises FailedPrecondition where a composite index is missing.
        """
        self._build_needed(query, scans)
        with self._reading(None) as (read, catalog):
            require(scans, catalog.composites.get(query.kind, ()))
            kind = _kind_number(query.namespace or "", query.kind, read, catalog)
            yield None if kind is None else Source(read, kind, catalog)

    def _build_needed(self, query: Query, scans: tuple[Scan, ...]) -> None:
        """Build the built-in indexes that a query is the first to read.

        Datastore keeps one for every property. Here most would never be read, and cost each write.
        A client for reading only may build them, too: what is stored does not change by that.
        """
        with self._reading(None) as (_, catalog):
            kind = catalog.kinds.get((query.namespace or "", query.kind))
        if kind is None:
            return
        missing = [i for i in built_in_indexes(scans) if catalog.find(kind, i) is None]
        if not missing:
            return
        with self._declaring() as (connection, writer):
            for index in missing:
                if writer.catalog.find(kind, index) is None:
                    _build(connection, writer, kind, writer.index(kind, index))
        if self.current_transaction is not None:
            self.current_transaction.renew()

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
        """Write all of it; entities with partial keys have whole ones afterwards."""
        self._refuse_if_read_only()
        partial = [write for write in writes if not write.whole]
        with self._writing(connection, begin) as writing:
            writer = Writer(writing, self.catalog_of(writing))
            apply(writing, writer, writes, known or {})
            catalog = writer.finish()
        if catalog.generation > self._catalog.generation:
            self._catalog = catalog
        for write in partial:
            assert write.entity is not None
            write.entity.key = write.entity.key.completed_key(root_id(write.path))

    def _refuse_if_read_only(self) -> None:
        if self.database.read_only:
            raise StoreError(
                f"{self.database.path} was opened for reading only: connect without read_only"
            )

    def _declare(self, indexes: Sequence[Index]) -> None:
        """Build the composite indexes that the store does not have yet."""
        if all(index in self._catalog.composites.get(index.kind, ()) for index in indexes):
            return
        with self._declaring() as (connection, writer):
            for index in indexes:
                for kind, number in writer.declare(index):
                    _build(connection, writer, kind, number)

    @contextmanager
    def _declaring(self) -> Iterator[tuple[sqlite3.Connection, Writer]]:
        with self._writing() as connection:
            writer = Writer(connection, self.catalog_of(connection))
            yield connection, writer
            catalog = writer.finish()
        self._catalog = catalog


def _kind_number(namespace: str, kind: str, read: Any, catalog: Catalog) -> int | None:
    number = catalog.kinds.get((namespace, kind))
    if number is None:
        # A transaction must notice when the kind comes into being.
        read("SELECT count(*) FROM kind WHERE namespace = ? AND name = ?", (namespace, kind))
    return number


def _build(
    connection: sqlite3.Connection, writer: Writer, kind: int, found: catalogs.IndexNumber
) -> None:
    shapes = writer.catalog.shapes_by_number.items()
    places = {number: indexed_places(shape, found.properties) for number, shape in shapes}
    rows = connection.execute("SELECT path, shape, data FROM entity WHERE kind = ?", (kind,))
    entries = (
        entry
        for path, shape, data in rows
        for entry in writer.entries_in(found, path, indexed(places[shape], data))
    )
    connection.executemany("INSERT INTO entry VALUES (?, ?, ?)", entries)
