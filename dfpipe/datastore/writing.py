"""What a commit writes: entities checked and encoded when they are put, then rows."""

import functools
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.api_core.exceptions import InvalidArgument
from google.cloud.datastore.entity import Entity
from google.cloud.datastore.key import Key

from dfpipe.datastore.catalog import Entry, Writer
from dfpipe.datastore.encoding import (
    INT64,
    LONGEST_INDEXED,
    encode_id,
    encode_path,
    is_partial,
    kind_of,
)
from dfpipe.datastore.records import Indexed, Shape, indexed, is_reserved, pack, shape_of, unpack

LARGEST_COMMIT = 10 * 1024 * 1024  # bytes
LOOKED_UP = 100  # paths in one statement


@dataclass(slots=True)
class Write:
    """An entity to be put, or a key to be deleted where shape is None.

    The path lacks its id where the key of `entity` is partial; the commit adds it.
    """

    namespace: str
    kind: str
    path: bytes
    shape: Shape | None = None
    data: bytes = b""
    values: Indexed = field(default_factory=dict)
    entity: Entity | None = None

    @property
    def whole(self) -> bool:
        """Whether the path has its id."""
        return self.entity is None


def writing_of(entity: Entity) -> Write:
    """Encode an entity as it is now."""
    key = entity.key
    shape = shape_of(entity)
    return Write(
        key.namespace or "",
        kind_of(key),
        encode_path(key.flat_path),
        shape,
        pack(entity),
        indexed(shape, list(entity.values())),
        entity if is_partial(key) else None,
    )


def deletion(key: Key) -> Write:
    """The deletion of what a complete key names."""
    return Write(key.namespace or "", kind_of(key), encode_path(key.flat_path))


def check_key(key: Key, project: str) -> None:
    """Refuse a key that Datastore would refuse.

    Raises ValueError for another project's, InvalidArgument for a name or id that cannot be.
    """
    if key.project != project or key.database:
        raise ValueError("Key must be from same project as batch")
    path = key.flat_path
    for kind in path[::2]:
        _check_kind(kind)
    for last in path[1::2]:
        if isinstance(last, str):
            _check_name(last, "key path element name")
        elif last == 0:
            raise InvalidArgument("Key path id is invalid. Must not be zero.")
        elif last not in INT64:
            raise ValueError(f"Value out of range: {last}")


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


def check_size(writes: Iterable[Write]) -> None:
    """Refuse a commit beyond the limit of 10 MiB."""
    size = sum(len(write.path) + len(write.data) for write in writes)
    if size > LARGEST_COMMIT:
        raise InvalidArgument(
            f"The commit is too big: {size} bytes, at most {LARGEST_COMMIT}; use smaller batches."
        )


def _complete(connection: sqlite3.Connection, writer: Writer, write: Write) -> None:
    """Give the path an id that no entity of that kind and parent has."""
    kind = writer.kind(write.namespace, write.kind)
    sql = "SELECT 1 FROM entity WHERE kind = ? AND path = ?"
    path = write.path
    while path == write.path or connection.execute(sql, (kind, path)).fetchone():
        path = write.path + encode_id(take_ids(connection, 1)[0])
    write.path = path


def take_ids(connection: sqlite3.Connection, number: int) -> range:
    """Draw ids from the store's counter: each is given once."""
    sql = "UPDATE meta SET next_id = next_id + ? RETURNING next_id"
    (end,) = connection.execute(sql, (number,)).fetchone()
    return range(end - number, end)


@dataclass(slots=True)
class Rows:
    """The rows that a commit adds and removes."""

    entities: list[tuple[int, bytes, int, bytes]] = field(default_factory=list)
    gone: list[tuple[int, bytes]] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    gone_entries: list[Entry] = field(default_factory=list)


def apply(connection: sqlite3.Connection, writer: Writer, writes: Sequence[Write]) -> None:
    """Write within a write transaction; of several writes to one entity the last counts."""
    for write in writes:
        if not write.whole:
            _complete(connection, writer, write)
    kinds: dict[int, dict[bytes, Write]] = {}
    for write in writes:
        kinds.setdefault(writer.kind(write.namespace, write.kind), {})[write.path] = write
    rows = Rows()
    for kind, last in kinds.items():
        stored = {
            path: (shape, data)
            for path, shape, data in stored_rows(connection.execute, kind, list(last))
        }
        for path, write in last.items():
            _collect(writer, kind, write, stored.get(path), rows)
    many = connection.executemany
    many("DELETE FROM entry WHERE idx = ? AND value = ? AND path = ?", sorted(rows.gone_entries))
    many("DELETE FROM entity WHERE kind = ? AND path = ?", rows.gone)
    many("INSERT OR REPLACE INTO entity VALUES (?, ?, ?, ?)", rows.entities)
    many("INSERT INTO entry VALUES (?, ?, ?)", sorted(rows.entries))


def stored_rows(
    read: Callable[[str, tuple[Any, ...]], Iterable[Any]], kind: int, paths: Sequence[bytes]
) -> Iterator[Any]:
    """Path, shape and data of those entities that there are."""
    for start in range(0, len(paths), LOOKED_UP):
        some = list(paths[start : start + LOOKED_UP])
        # One statement for all lengths but one: SQLite keeps it prepared.
        some += some[:1] * (LOOKED_UP - len(some)) if len(some) > 1 else []
        marks = ",".join("?" * len(some))
        sql = f"SELECT path, shape, data FROM entity WHERE kind = ? AND path IN ({marks})"  # noqa: S608  # question marks
        yield from read(sql, (kind, *some))


def _collect(
    writer: Writer, kind: int, write: Write, stored: tuple[int, bytes] | None, rows: Rows
) -> None:
    """Add the rows of one write, given shape and data of the entity that there is already."""
    path, new = write.path, write.values
    if write.shape is None:
        if stored is None:
            return
        rows.gone.append((kind, path))
    else:
        shape = writer.shape(write.shape)
        if stored == (shape, write.data):
            return
        rows.entities.append((kind, path, shape, write.data))
    if stored is None:
        rows.entries += writer.entries(kind, path, new, new)
        return
    old = indexed(writer.catalog.shapes_by_number[stored[0]], unpack(stored[1]))
    if write.shape is None:
        rows.gone_entries += writer.entries(kind, path, old, old)
        return
    changed = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    before = writer.entries(kind, path, old, changed)
    after = writer.entries(kind, path, new, changed)
    kept = set(before).intersection(after)
    rows.gone_entries += [entry for entry in before if entry not in kept]
    rows.entries += [entry for entry in after if entry not in kept]
