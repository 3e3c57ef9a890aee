"""Keys as the embedded store sees them: checked and encoded once, and made quickly."""

import functools
from typing import Any, NamedTuple

from google.api_core.exceptions import InvalidArgument
from google.cloud.datastore.key import Key

from dfpipe.datastore.encoding import (
    INT64,
    LONGEST_INDEXED,
    decode_path,
    encode_kind,
    encode_last,
    root_last,
)
from dfpipe.datastore.records import is_reserved


class Place(NamedTuple):
    """Where the entity of a key stands within its namespace.

    `path` lacks its id where the key is not whole.
    """

    kind: str
    path: bytes
    whole: bool


def root_key(kind: str, last: int | str, project: str, namespace: str | None) -> Key:
    """What `Key(kind, last, ...)` makes, in a third of the time: nothing is checked."""
    key = Key.__new__(Key)
    key._flat_path = (kind, last)
    key._parent = None
    key._namespace = namespace
    key._database = None
    key._project = project
    key._path = [{"kind": kind, "name" if type(last) is str else "id": last}]
    return key


def key_of(path: bytes, project: str, namespace: str | None, kind: str) -> Key:
    """The key with that encoded path, of that kind."""
    last = root_last(path, kind)
    if last is None:
        key = Key(*decode_path(path), project=project, namespace=namespace)
    else:
        key = root_key(kind, last, project, namespace)
    key._dfpipe_place = Place(kind, path, True)
    return key


def place_of(key: Key, project: str) -> Place:
    """The place of a key, which the key then remembers.

    Raises ValueError for another project's, InvalidArgument for a name or id that cannot be.
    """
    if key.project != project or key.database:
        raise ValueError("Key must be from same project as batch")
    place: Place | None = vars(key).get("_dfpipe_place")
    if place is None:
        place = key._dfpipe_place = _place(key.flat_path)
    return place


def _place(path: tuple[Any, ...]) -> Place:
    parts = [_encode_last(part) if at % 2 else _encode_kind(part) for at, part in enumerate(path)]
    whole = len(path) % 2 == 0
    return Place(path[-2] if whole else path[-1], b"".join(parts), whole)


@functools.lru_cache(maxsize=1024)
def _encode_kind(kind: str) -> bytes:
    _check_name(kind, "kind")
    return encode_kind(kind)


def _encode_last(part: str | int) -> bytes:
    if isinstance(part, str):
        _check_name(part, "key path element name")
    elif part == 0:
        raise InvalidArgument("Key path id is invalid. Must not be zero.")
    elif part not in INT64:
        raise ValueError(f"Value out of range: {part}")
    return encode_last(part)


def _check_name(name: str, what: str) -> None:
    if not name:
        raise InvalidArgument(f"The {what} is the empty string.")
    if is_reserved(name):
        raise InvalidArgument(f'The {what} "{name}" is reserved.')
    if len(name) * 4 > LONGEST_INDEXED and len(name.encode()) > LONGEST_INDEXED:
        raise InvalidArgument(f"The {what} is longer than {LONGEST_INDEXED} bytes.")
