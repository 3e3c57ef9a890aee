"""What a store offers: the part of `google.cloud.datastore.Client` that this project uses.

Google's client and the embedded one both meet `Store`; code that stores something names no other
type. Keys, entities and filters are Google's own classes with either client.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from google.cloud.datastore import Entity, Key
    from google.cloud.datastore.query import PropertyFilter


class Results(Protocol):
    """What a query finds, read a page at a time while it is iterated over."""

    next_page_token: bytes | None
    """Once all results are read: the cursor behind the last one. May be None if none follow."""

    def __iter__(self) -> Iterator[Entity]:
        """Iterate over the entities in the order of the query; possible once."""


class Query(Protocol):
    """A query over the entities of one kind."""

    projection: Sequence[str]
    """The names of the properties that are read; empty for all."""

    def add_filter(self, *, filter: PropertyFilter) -> Any:  # noqa: A002  # Google's name for it
        """Keep only what also passes this filter.

        Inequalities may stand on one property, which must then be the first of the order. What
        else Datastore refuses raises InvalidArgument when the query is fetched.
        """

    def keys_only(self) -> None:
        """Read keys alone: the entities then have no properties, and cost less."""

    def fetch(
        self, *, limit: int | None = None, start_cursor: bytes | str | None = None
    ) -> Results:
        """Run the query: in the current transaction of the thread if there is one.

        `limit` is the most entities to give; `start_cursor` is where an earlier query of the same
        form ended. Raises FailedPrecondition where a composite index is missing, and
        InvalidArgument for a cursor of something else.
        """


class Batch(Protocol):
    """Puts and deletes that are committed together: all of them, or none.

    A context manager that begins the batch, makes it the thread's current one, and commits at the
    end of the block; if the block raises, nothing is written.
    """

    def put(self, entity: Entity) -> None:
        """Store the entity when the batch commits."""

    def delete(self, key: Key) -> None:
        """Delete what the key names when the batch commits; nothing happens if it is missing."""

    def begin(self) -> None:
        """Start the batch; entering the context does it."""

    def commit(self) -> None:
        """Write everything; leaving the context does it.

        Raises InvalidArgument for more than 10 MiB.
        """

    def rollback(self) -> None:
        """Drop everything."""

    def __enter__(self) -> Self:
        """Begin, and become the current batch of this thread."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Commit, or roll back where the block raised."""


class Transaction(Batch, Protocol):
    """A batch whose reads count too: serialisable.

    Reads see the store as it was when the transaction began, without its own writes. The commit
    raises google.api_core.exceptions.Aborted, with nothing written, where something that was read
    has changed since: use `run_in_transaction`, which tries again.
    """


class Count(Protocol):
    """A count aggregation; `dfpipe.datastore.count` is the short way to it."""

    def count(self, alias: str | None = None) -> Self:
        """Ask for the number of entities, under that name."""

    def fetch(self) -> Iterable[Sequence[Any]]:
        """Run it: one list, which has one result with `alias` and `value`."""


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
        """Delete what the key names; nothing happens if it is missing."""

    def delete_multi(self, keys: Sequence[Key]) -> None:
        """Delete what the keys name in one commit."""

    def query(
        self, *, kind: str, order: Sequence[str] = (), projection: Sequence[str] = ()
    ) -> Query:
        """Make a query; `order` names properties, descending ones with a `-` in front.

        Without an order the entities come by the property that has an inequality, then by key.
        With a projection they have only those properties and are read from one index, which
        Datastore bills as one read: `fetch_projection` is the short way to them. Times are then
        integers, microseconds since 1970. Entities that lack one of the properties are left out.
        """

    def aggregation_query(self, query: Query) -> Count:
        """Make an aggregation over what the query finds."""

    def batch(self) -> Batch:
        """Make a batch."""

    def transaction(self, *, read_only: bool = False) -> Transaction:
        """Make a transaction; one that only reads costs no conflict check."""

    def close(self) -> None:
        """Close the connections that are not in use."""
