"""Queries of the embedded client: Google's own class with another `fetch`."""

import base64
from collections.abc import Callable, Iterator
from typing import Any

import msgpack
from google.api_core import page_iterator
from google.api_core.exceptions import InvalidArgument
from google.cloud.datastore.aggregation import AggregationResult, CountAggregation
from google.cloud.datastore.query import Query as GoogleQuery

from dfpipe.datastore.keys import key_of
from dfpipe.datastore.planner import Scan, plan
from dfpipe.datastore.reading import empty_entity, entity_of, value_reader
from dfpipe.datastore.scanning import Between, Position, Source, count, may_repeat, read_page

PAGE = 1000  # entities read at a time,
PAGE_BYTES = 16_000_000  # or fewer where they are large: they may have 1 MB each
FIRST_PAGE = 100  # while that is not known
KEYS_ONLY = ["__key__"]


class Query(GoogleQuery):
    """A query over the entities of one kind, without projection and distinct_on."""

    def fetch(
        self,
        client: Any = None,
        limit: int | None = None,
        offset: int = 0,
        start_cursor: bytes | str | None = None,
        end_cursor: bytes | str | None = None,
        **_: Any,
    ) -> "Results":
        """Run the query; the answer is read a page at a time while it is iterated over."""
        client = client or self._client
        keys_only = self.projection == KEYS_ONLY
        make = self._empty_entities if keys_only else self._entities
        return Results(client, self, make, keys_only, limit, offset, start_cursor, end_cursor)

    def fetch_values(self, names: tuple[str, ...]) -> "Results":
        """Run the query; give the named properties alone, without making entities."""

        def values(source: Source, rows: list[Any]) -> list[Any]:
            read = value_reader(names, source.catalog)
            return [read(shape, data) for _, _, shape, data in rows]

        return Results(self._client, self, values, False)

    def fetch_keys(self, limit: int | None = None) -> "Results":
        """Run the query; give the keys alone, without making entities."""
        return Results(self._client, self, self._keys, True, limit)

    def _keys(self, _: Source, rows: list[Any]) -> list[Any]:
        project, namespace, kind = self.project, self.namespace or None, self.kind
        return [key_of(row[1], project, namespace, kind) for row in rows]

    def _empty_entities(self, source: Source, rows: list[Any]) -> list[Any]:
        return [empty_entity(key) for key in self._keys(source, rows)]

    def _entities(self, source: Source, rows: list[Any]) -> list[Any]:
        return [
            entity_of(key, row[2], row[3], source.catalog)
            for key, row in zip(self._keys(source, rows), rows, strict=True)
        ]

    def scans(self) -> tuple[Scan, ...]:
        """How the query is answered; raises InvalidArgument where Datastore would refuse it."""
        if not self.kind:
            raise InvalidArgument("A query needs a kind.")
        if self.distinct_on or self.projection not in ([], (), KEYS_ONLY):
            raise InvalidArgument("Projections are not supported: read the entities.")
        return plan(self.kind, self.filters, self.order, self.ancestor)


class Results(page_iterator.Iterator):
    """What a query finds, in order; `pages` gives it in lists of up to 1,000.

    `make` gives entities, or what else is asked for, of the rows that were read, which have no
    shape and data with `keys_only`. After each page `next_page_token` is the cursor behind it, None
    behind the last entity.
    """

    def __init__(
        self,
        client: Any,
        query: Query,
        make: Callable[[Source, list[Any]], list[Any]],
        keys_only: bool,
        limit: int | None = None,
        offset: int = 0,
        start_cursor: bytes | str | None = None,
        end_cursor: bytes | str | None = None,
    ) -> None:
        super().__init__(client, page_token=start_cursor, max_results=limit)
        self._query = query
        self._make = make
        self._scans = query.scans()
        self._keys_only = keys_only
        self._place = _position(start_cursor) if start_cursor else None
        self._end = _position(end_cursor) if end_cursor else None
        self._skip = offset or 0
        self._wanted = limit
        self._done = False
        self._page = FIRST_PAGE
        self._seen: set[bytes] = set()

    def _items_iter(self) -> Iterator[Any]:
        for page in self._page_iter(increment=True):
            yield from page._item_iter  # as they are: there is nothing to convert one by one

    def _next_page(self) -> page_iterator.Page | None:
        entities: list[Any] = []
        while not entities:
            if self._done or self._wanted == 0:
                return None
            with self.client.source(self._query, self._scans) as source:
                entities = self._read(source)
        if self._wanted is not None:
            self._wanted -= len(entities)
        self.next_page_token = None if self._done else _token(self._place)
        return page_iterator.Page(self, entities, page_iterator._item_to_value_identity)

    def _read(self, source: Source | None) -> list[Any]:
        """One page of entities; empty when all rows of it were skipped, or there are no more."""
        if source is None or not self._scans:
            self._done = True
            return []
        size = self._page if self._wanted is None else min(self._page, self._wanted)
        if self._skip:
            size = min(PAGE, self._skip)
        keys_only = self._keys_only or bool(self._skip)
        between = Between(self._place, self._end)
        rows, self._place, self._done = read_page(source, self._scans, between, size, keys_only)
        read = 1 if keys_only else sum(len(row[3]) for row in rows)
        self._page = max(1, min(PAGE, PAGE_BYTES * len(rows) // max(1, read)))
        if may_repeat(source, self._scans):
            rows = [row for row in rows if self._first_time(row[1])]
        if self._skip:
            self._skip -= len(rows)
            return []
        return self._make(source, rows)

    def _first_time(self, path: bytes) -> bool:
        if path in self._seen:
            return False
        self._seen.add(path)
        return True


def _token(place: Position | None) -> bytes:
    return base64.urlsafe_b64encode(msgpack.packb(place))


def _position(token: bytes | str) -> Position:
    try:
        sort, path = msgpack.unpackb(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise InvalidArgument(f"not a cursor of this store: {token!r}") from error
    return Position(sort, path)


class Counting:
    """The aggregation query of the embedded client: `count` and no other."""

    def __init__(self, client: Any, query: Query) -> None:
        self._client = client
        self._query = query
        self._aliases: list[str | None] = []

    def count(self, alias: str | None = None) -> "Counting":
        """Ask for the number of entities."""
        self._aliases.append(alias)
        return self

    def add_aggregation(self, aggregation: CountAggregation) -> None:
        """Ask for one aggregation, which must be a count."""
        if not isinstance(aggregation, CountAggregation):
            raise InvalidArgument("Only count is supported as an aggregation.")
        self._aliases.append(aggregation.alias)

    def fetch(self, **_: Any) -> Iterator[list[AggregationResult]]:
        """Give one list with a result for each count."""
        scans = self._query.scans()
        with self._client.source(self._query, scans) as source:
            number = count(source, scans) if source and scans else 0
        names = [alias or f"property_{at + 1}" for at, alias in enumerate(self._aliases)]
        return iter([[AggregationResult(name, number) for name in names]])
