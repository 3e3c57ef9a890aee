"""Stored rows back into entities, as fast as Python goes."""

from typing import Any

from google.cloud.datastore.entity import Entity
from google.cloud.datastore.key import Key

from dfpipe.datastore.catalog import Catalog
from dfpipe.datastore.encoding import decode_path, root_last
from dfpipe.datastore.records import unpack


def entities_of(
    rows: list[Any], project: str, namespace: str, kind: str, catalog: Catalog
) -> list[Entity]:
    """Make entities of rows (value, path, shape, data); no properties where shape is None."""
    shapes = catalog.shapes_by_number
    within = namespace or None
    entities = []
    for _, path, shape, data in rows:
        last = root_last(path, kind)
        if last is None:
            key = Key(*decode_path(path), project=project, namespace=within)
        else:
            key = _root_key(kind, last, project, within)
        if shape is None:
            entities.append(Entity(key))
            continue
        names, excluded = shapes[shape]
        entity = _entity(key, excluded)
        entity.update(zip(names, unpack(data), strict=True))
        entities.append(entity)
    return entities


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


def _root_key(kind: str, last: int | str, project: str, namespace: str | None) -> Key:
    """What `Key(kind, last, ...)` makes, in a third of the time: nothing is left to check."""
    key = Key.__new__(Key)
    key._flat_path = (kind, last)
    key._parent = None
    key._namespace = namespace
    key._database = None
    key._project = project
    key._path = [{"kind": kind, "name" if type(last) is str else "id": last}]
    return key


def _entity(key: Key, excluded: frozenset[str]) -> Entity:
    """What `Entity(key, excluded)` makes, faster."""
    entity = Entity.__new__(Entity)
    entity.key = key
    entity.exclude_from_indexes = set(excluded)
    entity._meanings = {}
    return entity
