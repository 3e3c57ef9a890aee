"""Stored rows back into entities, as fast as Python goes."""

from typing import Any

from google.cloud.datastore.entity import Entity
from google.cloud.datastore.key import Key

from dfpipe.datastore.catalog import Catalog
from dfpipe.datastore.encoding import decode_path, root_last
from dfpipe.datastore.keys import root_key
from dfpipe.datastore.records import unpack


def entities_of(
    rows: list[Any], project: str, namespace: str, kind: str, catalog: Catalog
) -> list[Entity]:
    """Make entities of rows (value, path, shape, data); no properties where shape is None."""
    within = namespace or None
    entities = []
    for _, path, shape, data in rows:
        last = root_last(path, kind)
        if last is None:
            key = Key(*decode_path(path), project=project, namespace=within)
        else:
            key = root_key(kind, last, project, within)
        if shape is None:
            entities.append(_empty(key, frozenset()))
        else:
            entities.append(entity_of(key, shape, data, catalog))
    return entities


def entity_of(key: Key, shape: int, data: bytes, catalog: Catalog) -> Entity:
    """The entity of that key, given the number of its shape and its packed values."""
    names, excluded = catalog.shapes_by_number[shape]
    entity = _empty(key, excluded)
    entity.update(zip(names, unpack(data), strict=True))
    return entity


def values_of(rows: list[Any], names: tuple[str, ...], catalog: Catalog) -> list[tuple[Any, ...]]:
    """Give the named properties of each row, None where it has none of that name."""
    places: dict[int, list[int]] = {}
    found = []
    for _, _, shape, data in rows:
        values = unpack(data)
        values.append(None)  # the place of what is missing: -1
        if shape not in places:
            present = catalog.shapes_by_number[shape][0]
            places[shape] = [present.index(n) if n in present else -1 for n in names]
        found.append(tuple([values[place] for place in places[shape]]))
    return found


def _empty(key: Key, excluded: frozenset[str]) -> Entity:
    """What `Entity(key, excluded)` makes, faster."""
    entity = Entity.__new__(Entity)
    entity.key = key
    entity.exclude_from_indexes = set(excluded)
    entity._meanings = {}
    return entity
