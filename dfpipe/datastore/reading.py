"""Stored rows made into entities as fast as Python goes."""

from collections.abc import Callable, Sequence
from itertools import islice
from operator import ge, lt
from typing import Any

from google.cloud.datastore.entity import Entity
from google.cloud.datastore.key import Key

from dfpipe.datastore.catalog import Catalog
from dfpipe.datastore.errors import DamageError
from dfpipe.datastore.records import unpack


def check_order(rows: Sequence[Any], descending: bool) -> None:
    """Raise DamageError if rows (value, path, ...) are not in the order of their index.

    In a damaged index a scan skips entities or finds them twice.
    """
    if descending:
        values = [row[0] for row in rows]
        ordered = all(map(ge, values, islice(values, 1, None)))
    else:
        ordered = all(map(lt, rows, islice(rows, 1, None)))
    if not ordered:
        raise DamageError("an index is out of order")


def empty_entity(key: Key, excluded: frozenset[str] = frozenset()) -> Entity:
    """What `Entity(key, excluded)` makes, faster."""
    entity = Entity.__new__(Entity)
    entity.key = key
    entity.exclude_from_indexes = set(excluded)
    entity._meanings = {}
    return entity


def entity_of(key: Key, shape: int, data: bytes, catalog: Catalog) -> Entity:
    """The entity of that key, given the number of its shape and its packed values."""
    names, excluded = catalog.shapes_by_number[shape]
    entity = empty_entity(key, excluded)
    entity.update(zip(names, unpack(data), strict=True))
    return entity


def value_reader(
    names: tuple[str, ...], catalog: Catalog
) -> Callable[[int, bytes], tuple[Any, ...]]:
    """A function that gives the named properties of a shape's number and packed values.

    A property that the entity does not have is None.
    """
    places: dict[int, list[int]] = {}

    def read(shape: int, data: bytes) -> tuple[Any, ...]:
        values = unpack(data)
        values.append(None)  # the place of what is missing: -1
        if shape not in places:
            present = catalog.shapes_by_number[shape][0]
            places[shape] = [present.index(n) if n in present else -1 for n in names]
        return tuple([values[place] for place in places[shape]])

    return read
