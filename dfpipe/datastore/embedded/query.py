"""Queries of the embedded client, with the methods of Google's."""

import base64
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

import msgpack
from google.api_core.exceptions import InvalidArgument
from google.cloud.datastore.aggregation import AggregationResult
from google.cloud.datastore.query import PropertyFilter

from dfpipe.datastore.embedded.encoding import decode_columns, decode_last, decode_numbers
from dfpipe.datastore.embedded.keys import key_of
from dfpipe.datastore.embedded.planner import KEY, Scan, plan
from dfpipe.datastore.embedded.reading import (
    check_order,
    empty_entity,
    entities_of,
    values_of,
)
from dfpipe.datastore.embedded.records import check_rows
from dfpipe.datastore.embedded.scanning import Position, Source, count, may_repeat, read_page

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PAGE = 1000  # entities read at a time,
PAGE_BYTES = 16_000_000  # or fewer where they are large: they may have 1 MB each
KEYS_ONLY = (KEY,)
FIRST_PAGE = 100  # while that is not known

# Makes the results from the rows of one page.
Make = Callable[[Source, list[object]], list[object]]


class Reader(Protocol):
    """What a query needs from its client."""

    project: str
    namespace: str | None

    def source(self, kind: str, scan: Scan) -> AbstractContextManager[Source | None]:
        """The snapshot for a scan of a kind; None if the kind has no entities."""


class Query:
    """A query over the entities of one kind, in the client's namespace."""

    def __init__(
        self, client: Reader, kind: str, order: Sequence[str], projection: Sequence[str]
    ) -> None:
        self.client = client
        self.kind = kind
        self.order = list(order)
        self.projection: Sequence[str] = projection
        self.filters: list[PropertyFilter] = []

    def add_filter(self, *, filter: PropertyFilter) -> "Query":  # noqa: A002  # Google's name
        """Keep only what also passes this filter."""
        self.filters.append(filter)
        return self

    def keys_only(self) -> None:
        """Read only the keys of the entities, not their properties."""
        self.projection = KEYS_ONLY

    def fetch(
        self, *, limit: int | None = None, start_cursor: bytes | str | None = None
    ) -> "Results":
        """Run the query; results are read a page at a time."""
        if not self.projection:
            return Results(self, self._entities, False, limit, start_cursor)
        make = self._empty_entities if self.projection == KEYS_ONLY else self._projected
        return Results(self, make, True, limit, start_cursor)

    def fetch_values(self, names: tuple[str, ...]) -> "Results":
        """Run the query; return tuples of some properties, which is faster than entities."""

        def values(source: Source, rows: list[Any]) -> list[Any]:
            shapes, packed = [row[2] for row in rows], [row[3] for row in rows]
            return values_of(shapes, packed, names, source.catalog)

        return Results(self, values, False)

    def fetch_keys(self, limit: int | None = None) -> "Results":
        """Run the query; return keys, which is faster than entities."""
        return Results(self, self._keys, True, limit)

    def fetch_projection(self) -> "Results":
        """Run the query; return tuples of id or name and the projected values."""

        def projected(_: Source, rows: list[Any]) -> list[object]:
            kind = self.kind
            return [(decode_last(path, kind), *decode_numbers(value)) for value, path in rows]

        return Results(self, projected, True)

    def fetch_numbers(self) -> "npt.NDArray[np.int64]":
        """Run the query; return an array with a row of id and projected values per entity."""
        pages = Results(self, lambda _, rows: rows, True).pages()
        return decode_columns(pages, self.kind, len(self.projection))

    def _keys(self, _: Source, rows: list[Any]) -> list[object]:
        project, namespace, kind = self.client.project, self.client.namespace, self.kind
        return [key_of(row[1], project, namespace, kind) for row in rows]

    def _empty_entities(self, source: Source, rows: list[object]) -> list[Any]:
        return [empty_entity(key) for key in self._keys(source, rows)]

    def _projected(self, source: Source, rows: list[Any]) -> list[object]:
        entities = self._empty_entities(source, rows)
        for entity, row in zip(entities, rows, strict=True):
            entity.update(zip(self.projection, decode_numbers(row[0]), strict=True))
        return entities

    def _entities(self, source: Source, rows: list[Any]) -> list[object]:
        shapes, packed = [row[2] for row in rows], [row[3] for row in rows]
        return entities_of(self._keys(source, rows), shapes, packed, source.catalog)

    def scan(self) -> Scan:
        """The scan that answers the query; raises what `plan` raises."""
        projected = () if self.projection == KEYS_ONLY else tuple(self.projection)
        return plan(self.kind, self.filters, self.order, projected)


class Results:
    """The results of a query, in order; iterate over them once.

    After that `next_page_token` is the cursor to continue from, None if nothing follows.
    """

    def __init__(
        self,
        query: Query,
        make: Make,
        keys_only: bool,
        limit: int | None = None,
        start_cursor: bytes | str | None = None,
    ) -> None:
        self.next_page_token: bytes | None = None
        self._query = query
        self._scan = query.scan()
        self._make = make
        self._keys_only = keys_only
        self._left = limit
        self._place = _position(start_cursor) if start_cursor else None
        self._seen: set[bytes] = set()

    def __iter__(self) -> Iterator[object]:
        for page in self.pages():
            yield from page

    def pages(self) -> Iterator[list[Any]]:
        """Give the results a page at a time."""
        size, done = FIRST_PAGE, self._scan.is_empty
        while not done and self._left != 0:
            wanted = size if self._left is None else min(size, self._left)
            with self._query.client.source(self._query.kind, self._scan) as source:
                rows = self._read(source, wanted) if source else []
                found = self._make(source, self._once(source, rows)) if source else []
            done = len(rows) < wanted
            if self._left is not None:
                self._left -= len(found)
            bytes_read = 1 if self._keys_only else sum(len(row[3]) for row in rows)
            size = max(1, min(PAGE, PAGE_BYTES * len(rows) // max(1, bytes_read)))
            yield found
        self.next_page_token = None if done or not self._place else _token(self._place)

    def _read(self, source: Source, size: int) -> list[Any]:
        """The rows of the next page."""
        rows = read_page(source, self._scan, self._place, size, self._keys_only)
        check_order(rows, self._scan.descending)
        if not self._keys_only:
            check_rows(rows)
        if rows:
            self._place = Position(rows[-1][0], rows[-1][1])
        return rows

    def _once(self, source: Source, rows: list[Any]) -> list[object]:
        """Drop the rows of entities that were already found by another value."""
        if not may_repeat(source, self._scan):
            return rows
        first = {row[1]: row for row in reversed(rows) if row[1] not in self._seen}
        self._seen.update(first)
        return [row for row in rows if first.get(row[1]) is row]


def _token(place: Position) -> bytes:
    return base64.urlsafe_b64encode(msgpack.packb(place))


def _position(token: bytes | str) -> Position:
    try:
        value, path = msgpack.unpackb(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise InvalidArgument(f"not a cursor of this store: {token!r}") from error
    return Position(value, path)


class Counting:
    """The aggregation query of the embedded client; it only counts."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._aliases: list[str] = []

    def count(self, alias: str | None = None) -> "Counting":
        """Ask for the number of entities, under that name."""
        self._aliases.append(alias or f"property_{len(self._aliases) + 1}")
        return self

    def fetch(self) -> list[list[AggregationResult]]:
        """Run it: one list with a result for each count."""
        scan = self._query.scan()
        number = 0
        if not scan.is_empty:
            with self._query.client.source(self._query.kind, scan) as source:
                number = count(source, scan) if source else 0
        return [[AggregationResult(alias, number) for alias in self._aliases]]
