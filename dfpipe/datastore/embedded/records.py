"""Entities in their stored form: a shape (names, exclusions) and the values as msgpack."""

import functools
from collections.abc import Container, Iterator, Sequence
from datetime import datetime
from typing import Any
from zlib import crc32

import msgpack
from google.api_core.exceptions import InvalidArgument
from google.cloud.datastore.entity import Entity
from google.cloud.datastore.helpers import GeoPoint
from google.cloud.datastore.key import Key

from dfpipe.datastore.embedded import encoding
from dfpipe.datastore.errors import DamageError

LARGEST = 1_048_572  # bytes

# Names of the properties in their order, and those that are not indexed.
Shape = tuple[tuple[str, ...], frozenset[str]]
# What an entity puts into the indexes: for each property its distinct encoded values.
Indexed = dict[str, tuple[bytes, ...]]

_KEY, _POINT, _ENTITY = 1, 2, 3
# Types of which every value can be stored.
_SIMPLE = frozenset({str, datetime, bool, type(None), float, bytes})
# What an instance of a subclass is stored as.
_PLAIN: tuple[Any, ...] = (int, float, str, bytes, list, dict)


def shape_of(entity: Entity) -> Shape:
    """The shape of an entity.

    Raises InvalidArgument for a name that Datastore reserves.
    """
    return _shape(tuple(entity), frozenset(entity.exclude_from_indexes))


@functools.lru_cache(maxsize=4096)
def _shape(names: tuple[str, ...], excluded: frozenset[str]) -> Shape:
    for name in names:
        check_name(name)
    return names, excluded & frozenset(names)


def check_name(name: object) -> None:
    """Refuse what cannot be the name of a property."""
    if not isinstance(name, str):
        raise ValueError(f"the name of a property is a string, not {name!r}")
    if not name:
        raise InvalidArgument("The property.name is the empty string.")
    if is_reserved(name):
        raise InvalidArgument(f'The property.name "{name}" is reserved.')
    if len(name.encode()) > encoding.LONGEST_INDEXED:
        raise InvalidArgument("The property.name is longer than 1500 bytes.")


def is_reserved(name: str) -> bool:
    """Whether Datastore keeps the name for itself."""
    return len(name) >= 4 and name.startswith("__") and name.endswith("__")


def pack(values: list[object]) -> bytes:
    """The values of an entity, in the order of its shape.

    Raises ValueError for a type that Datastore does not store and for an integer beyond 64 bits,
    InvalidArgument for an entity that is too large.
    """
    _check(values)
    data: bytes = _packer().pack(values)
    if len(data) > LARGEST:
        raise InvalidArgument(f"The entity is too big: {len(data)} bytes, at most {LARGEST}.")
    return data


def _packer() -> msgpack.Packer:
    # A packer is not safe to share between threads, nor within `_pack_rarer`.
    return msgpack.Packer(default=_pack_rarer, strict_types=True, datetime=True)


def _check(values: list[object], inside_list: bool = False) -> None:
    for value in values:
        if type(value) in _SIMPLE:
            continue
        if isinstance(value, int):
            if value not in encoding.INT64:
                raise ValueError(f"Value out of range: {value}")
        elif isinstance(value, list):
            if inside_list:
                raise InvalidArgument(
                    "list_value cannot contain a Value containing another list_value."
                )
            _check(value, inside_list=True)
        elif isinstance(value, dict):
            for name in value:
                check_name(name)
            _check(list(value.values()))


def _pack_rarer(value: object) -> object:
    if isinstance(value, datetime):
        # Without a zone, or of a class of its own.
        seconds, micro = divmod(encoding.microseconds(value), 1_000_000)
        return msgpack.Timestamp(seconds, micro * 1000)
    if isinstance(value, Key):
        return msgpack.ExtType(_KEY, _packer().pack(_key_parts(value)))
    if isinstance(value, GeoPoint):
        return msgpack.ExtType(_POINT, _packer().pack([value.latitude, value.longitude]))
    if isinstance(value, Entity):
        key = _key_parts(value.key) if value.key else None
        excluded = sorted(value.exclude_from_indexes & value.keys())
        return msgpack.ExtType(_ENTITY, _packer().pack([key, excluded, dict(value)]))
    for plain in _PLAIN:
        if isinstance(value, plain):
            return plain(value)
    raise ValueError("Unknown protobuf attr type", type(value))


def _key_parts(key: Key) -> list[object]:
    return [key.project, key.namespace, *key.flat_path]


def unpack(data: bytes) -> list[Any]:
    """The values that `pack` was given; times are aware and in UTC."""
    values: list[object] = msgpack.unpackb(data, **_UNPACKING)
    return values


def unpack_all(packed: Sequence[bytes]) -> list[list[object]]:
    """What `unpack` gives for each, in half the time. Raises DamageError."""
    if not packed:
        return []
    unpacker = msgpack.Unpacker(max_buffer_size=0, **_UNPACKING)
    unpacker.feed(b"".join(packed))
    every = list(unpacker)
    if len(every) != len(packed):
        raise DamageError("an entity is not as it was written")
    return every


def _unpack_rarer(code: int, data: bytes) -> object:
    if code == _KEY:
        return _key(unpack(data))
    if code == _POINT:
        return GeoPoint(*unpack(data))
    key, excluded, values = unpack(data)
    values.key = _key(key) if key else None
    values.exclude_from_indexes = set(excluded)
    return values


def _key(parts: list[object]) -> Key:
    return Key(*parts[2:], project=parts[0], namespace=parts[1])


def _embedded(values: dict[str, object]) -> Entity:
    entity = Entity()
    entity.update(values)
    return entity


_UNPACKING: dict[str, object] = {
    "timestamp": 3,  # as datetime
    "ext_hook": _unpack_rarer,
    "object_hook": _embedded,
    "strict_map_key": False,
}


def checksum(path: bytes, shape: int, data: bytes) -> int:
    """The checksum that is stored with an entity."""
    return crc32(data, crc32(path, shape))


def check_rows(rows: Sequence[Any]) -> None:
    """Raise DamageError if a row (_, path, shape, data, checksum) is not what was written.

    Rows of earlier versions have no checksum.
    """
    for _, path, shape, data, stored in rows:
        # checksum() inline: a run does this for each post.
        if data is None or (stored != crc32(data, crc32(path, shape)) and stored is not None):
            raise DamageError("an entity is missing or was changed")


def check_indexed(shape: Shape, values: list[object]) -> None:
    """Refuse an indexed value that is too long for an index."""
    for place, name in _all_indexed(shape):
        value = values[place]
        if isinstance(value, (list, dict)):
            for inner_name, inner in _leaves(name, value):
                _check_length(inner_name, inner)
        else:
            _check_length(name, value)


def _check_length(name: str, value: object) -> None:
    # A character has at most four bytes.
    if isinstance(value, (str, bytes)) and len(value) * 4 > encoding.LONGEST_INDEXED:
        length = len(value.encode() if isinstance(value, str) else value)
        if length > encoding.LONGEST_INDEXED:
            raise encoding.too_long(name)


@functools.lru_cache(maxsize=4096)
def _all_indexed(shape: Shape) -> list[tuple[int, str]]:
    return indexed_places(shape, shape[0])


def indexed_places(shape: Shape, wanted: Container[str]) -> list[tuple[int, str]]:
    """The places of those wanted values that are indexed, and their names."""
    names, excluded = shape
    return [(at, name) for at, name in enumerate(names) if name not in excluded and name in wanted]


def indexed(places: Sequence[tuple[int, str]], values: Sequence[object]) -> Indexed:
    """What indexes hold of an entity, of which they need the values in some places.

    An empty list counts as null; an embedded entity's properties are named `outer.inner`.
    """
    found: Indexed = {}
    for place, name in places:
        value = values[place]
        if isinstance(value, (list, dict)):
            _index_nested(name, value, found)
        else:
            found[name] = (encoding.encode_value(value),)
    return found


def _index_nested(name: str, value: list[object] | dict[str, object], found: Indexed) -> None:
    if value == []:
        found[name] = (encoding.NULL,)
        return
    for inner_name, inner in _leaves(name, value):
        raw = encoding.encode_value(inner)
        if raw not in found.get(inner_name, ()):
            found[inner_name] = (*found.get(inner_name, ()), raw)


def _leaves(name: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        excluded = value.exclude_from_indexes if isinstance(value, Entity) else ()
        for inner, inner_value in value.items():
            if inner not in excluded:
                yield from _leaves(f"{name}.{inner}", inner_value)
    elif isinstance(value, list):
        for element in value:
            yield from _leaves(name, element)
    else:
        yield name, value
