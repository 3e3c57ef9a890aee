"""Functions over either client: fast reads, and what only an embedded store needs."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dfpipe.datastore.protocol import Query, Store

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from google.cloud.datastore import Key


def count(client: Store, query: Query) -> int:
    """How many entities the query finds; Datastore bills one read for each 1,000 of them.

    Google's emulator has no aggregations (501). There the keys are read and counted, and the query
    is a keys-only one afterwards.
    """
    from google.api_core.exceptions import MethodNotImplemented  # it brings in gRPC, 0.3 s

    try:
        (results,) = client.aggregation_query(query).count(alias="n").fetch()
    except MethodNotImplemented:
        query.keys_only()
        return sum(1 for _ in query.fetch())
    return int(results[0].value)


def fetch_values(query: Query, *names: str) -> Iterator[tuple[Any, ...]]:
    """Some properties of each entity that the query finds, in order; None for a missing one.

    With the embedded client this is more than twice as fast as reading entities.
    """
    if hasattr(query, "fetch_values"):
        yield from query.fetch_values(names)
    else:
        for entity in query.fetch():
            yield tuple(entity.get(name) for name in names)


def fetch_keys(query: Query, limit: int | None = None) -> Iterator[object]:
    """The keys of the entities that the query finds, in order."""
    if hasattr(query, "fetch_keys"):
        yield from query.fetch_keys(limit)
    else:
        query.keys_only()
        for entity in query.fetch(limit=limit):
            yield entity.key


def fetch_projection(query: Query) -> Iterator[tuple[object, ...]]:
    """Run a projection query: for each entity its id or name, then the projected values.

    The rows come in the order of the query. Times are integers: microseconds since 1970. Datastore
    bills the whole query as one read; an embedded store reads one index and no entity.
    """
    if hasattr(query, "fetch_projection"):
        yield from query.fetch_projection()
    else:
        for entity in query.fetch():
            yield entity.key.id_or_name, *(entity[name] for name in query.projection)


def fetch_numbers(query: Query) -> "npt.NDArray[np.int64]":
    """Run a projection query of numbers and times; return a row of its id and values per entity.

    Entities with a name instead of an id, or with a null, are left out. Rows come in the order of
    the query. With the embedded client this is four times as fast as `fetch_projection`.
    """
    if hasattr(query, "fetch_numbers"):
        numbers: npt.NDArray[np.int64] = query.fetch_numbers()
        return numbers
    from numpy import array  # services that store tasks do without it

    rows = [row for row in fetch_projection(query) if all(type(value) is int for value in row)]
    return array(rows, "int64").reshape(-1, 1 + len(query.projection))


def get_values(client: Store, keys: Sequence["Key"], *names: str) -> list[tuple[Any, ...] | None]:
    """Some properties of the entity of each key, in order; None if there is no entity.

    Joins the current transaction. A property that an entity does not have is None.
    """
    if hasattr(client, "get_values"):
        found: list[tuple[object, ...] | None] = client.get_values(keys, names)
        return found
    entities = {entity.key: entity for entity in client.get_multi(keys)}
    stored = [entities.get(key) for key in keys]
    return [e if e is None else tuple(e.get(name) for name in names) for e in stored]


def build_indexes(client: Store, kind: str, *indexes: tuple[str, ...]) -> None:
    """Build indexes of a kind now instead of with the first query that needs them.

    An index is a tuple of property names. Datastore builds its own.
    """
    if hasattr(client, "build_indexes"):
        client.build_indexes(kind, indexes)


def give_space_back(client: Store) -> None:
    """Shrink the file of an embedded store after deletions."""
    if hasattr(client, "build_indexes"):  # Google's client has a `database` too
        client.database.give_space_back()  # type: ignore[attr-defined]  # of the embedded client
