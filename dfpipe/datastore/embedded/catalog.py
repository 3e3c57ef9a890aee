"""The small tables of an embedded store: kinds, shapes and indexes, each with its number."""

import copy
import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product

from dfpipe.datastore.embedded.indexes import Index
from dfpipe.datastore.embedded.records import (
    Indexed,
    Shape,
    check_rows,
    indexed,
    indexed_places,
    unpack,
    unpack_all,
)

# A row of the table of that name: the index's number, the encoded value, the entity's path.
Entry = tuple[int, bytes, bytes]
# Path, shape's number and packed values of an entity that is stored.
Stored = tuple[bytes, int, bytes]
# A row of the table of entities: kind, path, shape, data and checksum.
Row = tuple[int, bytes, int, bytes, int | None]


@dataclass(slots=True)
class Catalog:
    """The contents of the tables at one generation; immutable once it is shared."""

    generation: int = -1
    kinds: dict[tuple[str, str], int] = field(default_factory=dict)
    shapes: dict[Shape, int] = field(default_factory=dict)
    shapes_by_number: dict[int, Shape] = field(default_factory=dict)
    # By kind number: the numbers of the indexes that have been built.
    indexes: dict[int, dict[Index, int]] = field(default_factory=dict)
    # Numbers of the indexes that may list an entity more than once.
    repeated: set[int] = field(default_factory=set)

    def find(self, kind: int, index: Index) -> int | None:
        """The number of the index in that kind; None if it is not built."""
        return self.indexes.get(kind, {}).get(index)


def generation(connection: sqlite3.Connection) -> int:
    """The number that grows with each change to the tables of the catalog."""
    (number,) = connection.execute("SELECT generation FROM meta").fetchone()
    return int(number)  # an error if the row is damaged


def load(connection: sqlite3.Connection) -> Catalog:
    """Read the catalog from the tables of the file."""
    catalog = Catalog(generation(connection))
    for number, namespace, name in connection.execute("SELECT id, namespace, name FROM kind"):
        catalog.kinds[namespace, name] = number
    for number, shape_names, excluded in connection.execute("SELECT * FROM shape"):
        shape = tuple(json.loads(shape_names)), frozenset(json.loads(excluded))
        _know_shape(catalog, shape, number)
    for number, kind, definition, repeated in connection.execute("SELECT * FROM idx"):
        _, *properties = json.loads(definition)
        catalog.indexes.setdefault(kind, {})[tuple(properties)] = number
        if repeated:
            catalog.repeated.add(number)
    return catalog


def _know_shape(catalog: Catalog, shape: Shape, number: int) -> None:
    catalog.shapes[shape] = number
    catalog.shapes_by_number[number] = shape


class Writer:
    """Adds to a copy of the catalog in a write transaction; use the copy after the commit."""

    def __init__(self, connection: sqlite3.Connection, catalog: Catalog) -> None:
        self.connection = connection
        self.catalog = catalog
        self.changed = False
        self._known_places: dict[tuple[int, int], list[tuple[int, str]]] = {}

    def kind(self, namespace: str, name: str) -> int:
        """The number of a kind; a new kind gets one."""
        number = self.catalog.kinds.get((namespace, name))
        if number is None:
            sql = "INSERT INTO kind (namespace, name) VALUES (?, ?)"
            number = self._insert(sql, namespace, name)
            self.catalog.kinds[namespace, name] = number
        return number

    def shape(self, shape: Shape) -> int:
        """The number of a shape; a new shape gets one."""
        number = self.catalog.shapes.get(shape)
        if number is None:
            sql = "INSERT INTO shape (names, excluded) VALUES (?, ?)"
            number = self._insert(sql, json.dumps(shape[0]), json.dumps(sorted(shape[1])))
            _know_shape(self.catalog, shape, number)
        return number

    def build(self, kind: int, index: Index) -> None:
        """Build an index of a kind, unless another process has done so.

        Raises DamageError for a damaged entity: the index would hide it from all later queries.
        """
        if self.catalog.find(kind, index) is not None:
            return
        sql = "INSERT INTO idx (kind, definition, repeated) VALUES (?, ?, 0)"
        # False: earlier versions stored here whether the index was one of ancestors.
        number = self._insert(sql, kind, json.dumps([False, *index]))
        self.catalog.indexes.setdefault(kind, {})[index] = number
        wanted = _wanted([index])
        shapes = self.catalog.shapes_by_number.items()
        places = {shape: indexed_places(names, wanted) for shape, names in shapes}
        sql = "SELECT kind, path, shape, data, checksum FROM entity WHERE kind = ?"
        rows = _checked(self.connection.execute(sql, (kind,)))
        entries = (
            entry
            for _, path, shape, data, _ in rows
            for entry in self._entries_in(number, index, path, indexed(places[shape], unpack(data)))
        )
        self.connection.executemany("INSERT INTO entry VALUES (?, ?, ?)", entries)

    def entries(self, kind: int, stored: Iterable[Stored]) -> set[Entry]:
        """The rows of entities of one kind in its indexes."""
        indexes = self.catalog.indexes.get(kind, {}).items()
        needed = [(row, places) for row in stored if (places := self._places(kind, row[1]))]
        every = unpack_all([row[2] for row, _ in needed])
        rows: set[Entry] = set()
        for (row, places), values in zip(needed, every, strict=True):
            found = indexed(places, values)
            for index, number in indexes:
                if index[0] in found:
                    rows.update(self._entries_in(number, index, row[0], found))
        return rows

    def _places(self, kind: int, shape: int) -> list[tuple[int, str]]:
        """The places of the values in a shape that the indexes of the kind need."""
        places = self._known_places.get((kind, shape))
        if places is None:
            wanted = _wanted(self.catalog.indexes.get(kind, ()))
            places = indexed_places(self.catalog.shapes_by_number[shape], wanted)
            self._known_places[kind, shape] = places
        return places

    def _entries_in(self, number: int, index: Index, path: bytes, values: Indexed) -> list[Entry]:
        """The rows of an entity in one index, one for each combination of its values.

        There are none if it lacks a property.
        """
        if len(index) == 1:
            raws = values.get(index[0], ())
        else:
            parts = (values.get(name, ()) for name in index)
            raws = tuple(b"".join(combination) for combination in product(*parts))
        if len(raws) > 1 and number not in self.catalog.repeated:
            self._own()
            self.connection.execute("UPDATE idx SET repeated = 1 WHERE id = ?", (number,))
            self.catalog.repeated.add(number)
        return [(number, raw, path) for raw in raws]

    def _insert(self, sql: str, *parameters: object) -> int:
        self._own()
        number = self.connection.execute(sql, parameters).lastrowid
        assert number is not None
        return number

    def _own(self) -> None:
        if not self.changed:
            self.catalog = copy.deepcopy(self.catalog)
            self.changed = True

    def finish(self) -> Catalog:
        """Let other processes know, with the commit, that the catalog has grown; return it."""
        if self.changed:
            self.connection.execute("UPDATE meta SET generation = generation + 1")
            self.catalog.generation += 1
        return self.catalog


def _checked(rows: Iterable[Row]) -> Iterator[Row]:
    for row in rows:
        check_rows((row,))
        yield row


def _wanted(indexes: Iterable[Index]) -> frozenset[str]:
    """The names of the properties that indexes need."""
    names = {name for index in indexes for name in index}
    # `outer.inner` may be a property of an embedded entity, or a name.
    return frozenset(names | {name.partition(".")[0] for name in names})
