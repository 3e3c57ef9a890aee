"""Keys as the embedded store sees them: checked and encoded once, and made quickly."""

import functools
from typing import Any, NamedTuple

from google.api_core.exceptions import InvalidArgument
from google.cloud.datastore.key import Key

from dfpipe.datastore.encoding import INT64, LONGEST_INDEXED, encode_path
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


def place_of(key: Key, project: str) -> Place:
    """The place of a key.

    Raises ValueError for another project's, InvalidArgument for a name or id that cannot be.
    """
    if key.project != project or key.database:
        raise ValueError("Key must be from same project as batch")
    return _place(key.flat_path)


# A task is read, written and deleted by the same key within a short time.
@functools.lru_cache(maxsize=4096)
def _place(path: tuple[Any, ...]) -> Place:
    for kind in path[::2]:
        _check_kind(kind)
    for last in path[1::2]:
        if isinstance(last, str):
            _check_name(last, "key path element name")
        elif last == 0:
            raise InvalidArgument("Key path id is invalid. Must not be zero.")
        elif last not in INT64:
            raise ValueError(f"Value out of range: {last}")
    whole = len(path) % 2 == 0
    return Place(path[-2] if whole else path[-1], encode_path(path), whole)


@functools.lru_cache(maxsize=1024)
def _check_kind(kind: str) -> None:
    _check_name(kind, "kind")


def _check_name(name: str, what: str) -> None:
    if not name:
        raise InvalidArgument(f"The {what} is the empty string.")
    if is_reserved(name):
        raise InvalidArgument(f'The {what} "{name}" is reserved.')
    if len(name) * 4 > LONGEST_INDEXED and len(name.encode()) > LONGEST_INDEXED:
        raise InvalidArgument(f"The {what} is longer than {LONGEST_INDEXED} bytes.")
