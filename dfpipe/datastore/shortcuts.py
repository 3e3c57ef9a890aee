"""Short ways to what a query finds, with either client."""

from collections.abc import Iterator
from typing import Any


def count(client: Any, query: Any) -> int:
    """How many entities the query finds.

    Google's emulator has no aggregations (501); there the keys are read and counted.
    """
    from google.api_core.exceptions import MethodNotImplemented  # it brings in gRPC, 0.3 s

    try:
        (results,) = client.aggregation_query(query).count(alias="n").fetch()
    except MethodNotImplemented:
        query.keys_only()
        return sum(1 for _ in query.fetch())
    return int(results[0].value)


def fetch_values(query: Any, *names: str) -> Iterator[tuple[Any, ...]]:
    """The named properties of each entity that the query finds, in order; None for a missing one.

    With the embedded client this is more than twice as fast as making entities of what is read.
    """
    if hasattr(query, "fetch_values"):
        yield from query.fetch_values(names)
    else:
        for entity in query.fetch():
            yield tuple(entity.get(name) for name in names)
