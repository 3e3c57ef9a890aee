"""The types of a store: the part of `google.cloud.datastore.Client` that this project uses.

Google's client and the embedded one both implement `Store`, and other packages use no other type.
Keys, entities and filters are Google's classes with either client.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from google.cloud.datastore import Entity, Key
    from google.cloud.datastore.query import PropertyFilter


class Results(Protocol):
    """The results of a query, read a page at a time."""

    next_page_token: bytes | None
    """Once all results are read: the cursor behind the last one. May be None if none follow."""

    def __iter__(self) -> Iterator[Entity]:
        """Iterate over the entities in the order of the query; possible once."""


class Query(Protocol):
    """A query over the entities of one kind."""

    projection: Sequence[str]
    """The names of the properties that are read; empty for all."""

    def add_filter(self, *, filter: PropertyFilter) -> object:  # noqa: A002  # Google's name for it
        """Keep only what also passes this filter.

        Only one property can have inequalities, and it must come first in the order. `fetch`
        raises InvalidArgument for a query that Datastore refuses.
        """

    def keys_only(self) -> None:
        """Read keys alone: the entities then have no properties, and cost less."""

    def fetch(
        self, *, limit: int | None = None, start_cursor: bytes | str | None = None
    ) -> Results:
        """Run the query, in the current transaction of the thread if there is one.

        Returns at most `limit` entities. `start_cursor` is the `next_page_token` of an earlier run
        of the same query. Raises FailedPrecondition if a composite index is missing, and
        InvalidArgument for a cursor that is not one.
        """


class Batch(Protocol):
    """Puts and deletes that are committed together: all of them, or none.

    A context manager that begins the batch, makes it the thread's current one, and commits at the
    end of the block; if the block raises, nothing is written.
    """

    def put(self, entity: Entity) -> None:
        """Store the entity when the batch commits."""

    def delete(self, key: Key) -> None:
        """Delete the entity when the batch commits; a missing one is not an error."""

    def begin(self) -> None:
        """Start the batch; entering the context does it."""

    def commit(self) -> None:
        """Write everything; leaving the context does it.

        Raises InvalidArgument for more than 10 MiB.
        """

    def rollback(self) -> None:
        """Forget the puts and deletes; nothing is written."""

    def __enter__(self) -> Self:
        """Begin, and become the current batch of this thread."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Commit, or roll back if the block raised."""


class Transaction(Batch, Protocol):
    """A batch whose reads count too: serializable.

    Reads see the store as it was when the transaction began, without its own writes. The commit
    writes nothing and raises google.api_core.exceptions.Aborted if something that was read has
    changed since. `run_in_transaction` then tries again.
    """


class Count(Protocol):
    """A count aggregation; `dfpipe.datastore.count` wraps it."""

    def count(self, alias: str | None = None) -> Self:
        """Ask for the number of entities, under that name."""

    def fetch(self) -> Iterable[Sequence[Any]]:
        """Run it: one list, with one result that has `alias` and `value`."""


class Store(Protocol):
    """A client of one store; safe to use from several threads.

    Reads and writes join the thread's current batch or transaction: writes are then committed with
    it, reads see the state at the transaction's beginning.
    """

    @property
    def project(self) -> str:
        """The project of every key; `local` in an embedded store."""

    @property
    def namespace(self) -> str | None:
        """The namespace of keys and queries that name no other."""

    @property
    def current_batch(self) -> Batch | None:
        """The innermost batch or transaction that this thread has entered."""

    @property
    def current_transaction(self) -> Transaction | None:
        """The same if it is a transaction, else None."""

    def key(self, kind: str, id_or_name: str | int, /) -> Key:
        """Make a key in this project and namespace."""

    def get(self, key: Key) -> Entity | None:
        """Read one entity; None if it does not exist."""

    def get_multi(self, keys: Sequence[Key]) -> list[Entity]:
        """Read those entities that exist, at most 1,000 at once, in any order."""

    def put(self, entity: Entity) -> None:
        """Store one entity, replacing the one with the same key."""

    def put_multi(self, entities: Sequence[Entity]) -> None:
        """Store entities in one commit, all or none; 500 at once suit Google's limits."""

    def delete(self, key: Key) -> None:
        """Delete one entity; a missing one is not an error."""

    def delete_multi(self, keys: Sequence[Key]) -> None:
        """Delete entities in one commit; missing ones are not an error."""

    def query(
        self, *, kind: str, order: Sequence[str] = (), projection: Sequence[str] = ()
    ) -> Query:
        """Make a query; `order` names properties, descending ones with a `-` in front.

        Without an order the entities come by the property that has an inequality, then by key.
        With a projection they have only those properties and are read from one index, which
        Datastore bills as one read. Times are then integers: microseconds since 1970. Entities that
        lack one of the properties are left out. `fetch_projection` reads such a query.
        """

    def aggregation_query(self, query: Query) -> Count:
        """Make an aggregation over the results of a query."""

    def batch(self) -> Batch:
        """Make a batch, whose puts and deletes are committed together."""

    def transaction(self, *, read_only: bool = False) -> Transaction:
        """Make a transaction; a read-only one needs no check for conflicts."""

    def close(self) -> None:
        """Close the connections that are not in use."""
