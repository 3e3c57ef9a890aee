"""Stored rows made into entities as fast as Python goes."""

from collections.abc import Callable, Sequence
from itertools import islice
from operator import ge, itemgetter, lt
from typing import Any

from google.cloud.datastore.entity import Entity
from google.cloud.datastore.key import Key

from dfpipe.datastore.embedded.catalog import Catalog
from dfpipe.datastore.embedded.records import unpack_all
from dfpipe.datastore.errors import DamageError


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
    """What `Entity(key, excluded)` makes, without the time its constructor takes."""
    entity = Entity.__new__(Entity)
    entity.key = key
    entity.exclude_from_indexes = set(excluded)
    entity._meanings = {}
    return entity


def entities_of(
    keys: Sequence[Key], shapes: Sequence[int], packed: Sequence[bytes], catalog: Catalog
) -> list[Entity]:
    """The entities of the keys, given the numbers of their shapes and their packed values.

    Raises DamageError.
    """
    entities = []
    for key, shape, values in zip(keys, shapes, unpack_all(packed), strict=True):
        names, excluded = catalog.shapes_by_number[shape]
        entity = empty_entity(key, excluded)
        entity.update(zip(names, values, strict=True))
        entities.append(entity)
    return entities


def values_of(
    shapes: Sequence[int], packed: Sequence[bytes], names: tuple[str, ...], catalog: Catalog
) -> list[tuple[object, ...]]:
    """The named properties of entities, given by the numbers of their shapes and packed values.

    A property that an entity does not have is None. Raises DamageError.
    """
    every = unpack_all(packed)
    pick = {shape: _picker(names, catalog.shapes_by_number[shape][0]) for shape in set(shapes)}
    return [pick[shape](values) for shape, values in zip(shapes, every, strict=True)]


def _picker(
    names: tuple[str, ...], present: tuple[str, ...]
) -> Callable[[list[object]], tuple[object, ...]]:
    """A function that takes the named properties from the values of those that are present."""
    places = [present.index(name) if name in present else None for name in names]
    known = [place for place in places if place is not None]
    if len(known) == len(places) > 1:
        return itemgetter(*known)  # several times as fast
    return lambda values: tuple([None if place is None else values[place] for place in places])
