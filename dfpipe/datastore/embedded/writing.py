"""What a commit writes: entities checked and packed when they are put, then rows."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.api_core.exceptions import InvalidArgument
from google.cloud.datastore.entity import Entity
from google.cloud.datastore.key import Key

from dfpipe.datastore.embedded.catalog import Entry, Stored, Writer
from dfpipe.datastore.embedded.encoding import LONGEST_INDEXED
from dfpipe.datastore.embedded.keys import path_of
from dfpipe.datastore.embedded.records import (
    Shape,
    check_indexed,
    check_rows,
    checksum,
    pack,
    shape_of,
)

LARGEST_COMMIT = 10 * 1024 * 1024  # bytes
LOOKED_UP = 100  # paths in one statement

# Rows by kind number and path; None for a missing entity.
Known = Mapping[int, Mapping[bytes, Stored | None]]


@dataclass(slots=True)
class Write:
    """An entity to be put, or a key to be deleted where shape is None."""

    namespace: str
    kind: str
    path: bytes
    shape: Shape | None = None
    data: bytes = b""


def puts(entities: Iterable[Entity], project: str) -> Iterator[Write]:
    """Pack entities as they are now.

    Raises ValueError or InvalidArgument for what Datastore would refuse to store.
    """
    for entity in entities:
        key = entity.key
        if key is None:
            raise ValueError("Entity must have a key")
        path = path_of(key, project)
        shape = shape_of(entity)
        values = list(entity.values())
        data = pack(values)
        if len(data) > LONGEST_INDEXED:  # else no value in it can be longer
            check_indexed(shape, values)
        yield Write(key.namespace or "", key.flat_path[0], path, shape, data)


def deletions(keys: Iterable[Key], project: str) -> Iterator[Write]:
    """Make the deletions of the entities with these keys."""
    for key in keys:
        path = path_of(key, project)
        yield Write(key.namespace or "", key.flat_path[0], path)


def check_size(writes: Iterable[Write]) -> None:
    """Refuse a commit beyond the limit of 10 MiB."""
    size = sum(len(write.path) + len(write.data) for write in writes)
    if size > LARGEST_COMMIT:
        raise InvalidArgument(
            f"The commit is too big: {size} bytes, at most {LARGEST_COMMIT}; use smaller batches."
        )


@dataclass(slots=True)
class Rows:
    """The rows that a commit adds and removes."""

    entities: list[tuple[int, bytes, int, bytes, int]] = field(default_factory=list)
    gone: list[tuple[int, bytes]] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    gone_entries: list[Entry] = field(default_factory=list)


def apply(
    connection: sqlite3.Connection, writer: Writer, writes: Sequence[Write], known: Known
) -> None:
    """Apply writes in a write transaction; of several writes to one entity the last counts.

    `known` rows are not read again.
    """
    kinds: dict[int, dict[bytes, Write]] = {}
    for write in writes:
        kinds.setdefault(writer.kind(write.namespace, write.kind), {})[write.path] = write
    rows = Rows()
    for kind, last in kinds.items():
        stored = dict(known.get(kind, {}))
        unknown = [path for path in last if path not in stored]
        for row in stored_rows(connection.execute, kind, unknown):
            stored[row[0]] = row
        _collect(writer, kind, last, stored, rows)
    many = connection.executemany
    many("DELETE FROM entry WHERE idx = ? AND value = ? AND path = ?", sorted(rows.gone_entries))
    many("DELETE FROM entity WHERE kind = ? AND path = ?", rows.gone)
    many("INSERT OR REPLACE INTO entity VALUES (?, ?, ?, ?, ?)", rows.entities)
    many("INSERT INTO entry VALUES (?, ?, ?)", sorted(rows.entries))


def stored_rows(
    read: Callable[[str, tuple[object, ...]], Iterable[Any]], kind: int, paths: Sequence[bytes]
) -> Iterator[Stored]:
    """Read the rows of the entities that exist."""
    for start in range(0, len(paths), LOOKED_UP):
        some = list(paths[start : start + LOOKED_UP])
        # One statement for all lengths but one: SQLite keeps it prepared.
        some += some[:1] * (LOOKED_UP - len(some)) if len(some) > 1 else []
        marks = ",".join("?" * len(some))
        sql = (
            "SELECT kind, path, shape, data, checksum FROM entity "  # noqa: S608  # question marks
            f"WHERE kind = ? AND path IN ({marks})"
        )
        rows = list(read(sql, (kind, *some)))
        check_rows(rows)
        yield from (row[1:4] for row in rows)


def _collect(
    writer: Writer,
    kind: int,
    writes: Mapping[bytes, Write],
    stored: Mapping[bytes, Stored | None],
    rows: Rows,
) -> None:
    """Add the rows of writes to one kind, given the rows that are stored."""
    old_rows: list[Stored] = []
    new_rows: list[Stored] = []
    for path, write in writes.items():
        old = stored.get(path)
        if write.shape is not None:
            new = path, writer.shape(write.shape), write.data
            if old == new:
                continue
            new_rows.append(new)
        elif old is not None:
            rows.gone.append((kind, path))
        if old is not None:
            old_rows.append(old)
    rows.entities += [(kind, *row, checksum(*row)) for row in new_rows]
    before, after = writer.entries(kind, old_rows), writer.entries(kind, new_rows)
    rows.gone_entries += before - after
    rows.entries += after - before
