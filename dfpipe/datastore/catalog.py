"""The small tables of an embedded store: kinds, shapes and indexes, each with its number."""

import copy
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

from dfpipe.datastore.encoding import ancestors, inverted
from dfpipe.datastore.indexes import Index, from_definition
from dfpipe.datastore.records import Indexed, Shape, indexed, indexed_places

# A row of the table of that name: the index's number, the encoded value, the entity's path.
Entry = tuple[int, bytes, bytes]


@dataclass(frozen=True, slots=True)
class IndexNumber:
    """An index of one kind in one namespace."""

    number: int
    index: Index
    columns: tuple[tuple[str, bool], ...]
    properties: frozenset[str]

    @classmethod
    def of(cls, number: int, index: Index) -> "IndexNumber":
        """With what is looked up for every write taken out of the index once."""
        columns = index.columns()
        names = {name for name, _ in columns}
        # `outer.inner` may be a property of an embedded entity, or a name.
        outer = {name.partition(".")[0] for name in names}
        return cls(number, index, columns, frozenset(names | outer))


@dataclass(slots=True)
class Catalog:
    """What the tables held at one generation; never changed once others can see it."""

    generation: int = -1
    kinds: dict[tuple[str, str], int] = field(default_factory=dict)
    shapes: dict[Shape, int] = field(default_factory=dict)
    shapes_by_number: dict[int, Shape] = field(default_factory=dict)
    composites: dict[str, list[Index]] = field(default_factory=dict)
    # Of each kind's number: the built-in indexes that a query has needed yet, by property, and
    # the composite ones.
    single: dict[int, dict[str, IndexNumber]] = field(default_factory=dict)
    composite: dict[int, list[IndexNumber]] = field(default_factory=dict)
    # Numbers of the indexes in which an entity may stand more than once.
    repeated: set[int] = field(default_factory=set)

    def find(self, kind: int, index: Index) -> IndexNumber | None:
        """The index's number in that kind; None where it is not built."""
        if index.built_in:
            return self.single.get(kind, {}).get(index.properties[0])
        for candidate in self.composite.get(kind, ()):
            if candidate.index == index:
                return candidate
        return None


def generation(connection: sqlite3.Connection) -> int:
    """The number that grows with each change to the tables of the catalog."""
    number: int = connection.execute("SELECT generation FROM meta").fetchone()[0]
    return number


def load(connection: sqlite3.Connection) -> Catalog:
    """Read the catalog."""
    catalog = Catalog(generation(connection))
    names: dict[int, str] = {}
    for number, namespace, name in connection.execute("SELECT id, namespace, name FROM kind"):
        catalog.kinds[namespace, name] = number
        names[number] = name
    for number, shape_names, excluded in connection.execute("SELECT * FROM shape"):
        shape = tuple(json.loads(shape_names)), frozenset(json.loads(excluded))
        _know_shape(catalog, shape, number)
    for name, definition in connection.execute("SELECT kind, definition FROM composite"):
        catalog.composites.setdefault(name, []).append(from_definition(name, definition))
    for number, kind, definition, repeated in connection.execute("SELECT * FROM idx"):
        index = from_definition(names[kind], definition)
        _know_index(catalog, kind, IndexNumber.of(number, index))
        if repeated:
            catalog.repeated.add(number)
    return catalog


def _know_shape(catalog: Catalog, shape: Shape, number: int) -> None:
    catalog.shapes[shape] = number
    catalog.shapes_by_number[number] = shape


def _know_index(catalog: Catalog, kind: int, found: IndexNumber) -> None:
    if found.index.built_in:
        catalog.single.setdefault(kind, {})[found.index.properties[0]] = found
    else:
        catalog.composite.setdefault(kind, []).append(found)


class Writer:
    """Adds to the catalog in a write transaction: to a copy that counts from the commit on."""

    def __init__(self, connection: sqlite3.Connection, catalog: Catalog) -> None:
        self.connection = connection
        self.catalog = catalog
        self.changed = False
        self._known_places: dict[tuple[int, int], list[tuple[int, str]]] = {}

    def kind(self, namespace: str, name: str) -> int:
        """The number of a kind, given now if it is new."""
        number = self.catalog.kinds.get((namespace, name))
        if number is None:
            sql = "INSERT INTO kind (namespace, name) VALUES (?, ?)"
            number = self._insert(sql, namespace, name)
            self.catalog.kinds[namespace, name] = number
            for index in self.catalog.composites.get(name, ()):
                self.index(number, index)
        return number

    def shape(self, shape: Shape) -> int:
        """The number of a shape, given now if it is new."""
        number = self.catalog.shapes.get(shape)
        if number is None:
            sql = "INSERT INTO shape (names, excluded) VALUES (?, ?)"
            number = self._insert(sql, json.dumps(shape[0]), json.dumps(sorted(shape[1])))
            _know_shape(self.catalog, shape, number)
        return number

    def index(self, kind: int, index: Index) -> IndexNumber:
        """The number of an index, given now if it is new."""
        found = self.catalog.find(kind, index)
        if found is None:
            sql = "INSERT INTO idx (kind, definition, repeated) VALUES (?, ?, 0)"
            number = self._insert(sql, kind, index.definition())
            found = IndexNumber.of(number, index)
            _know_index(self.catalog, kind, found)
        return found

    def declare(self, index: Index) -> list[tuple[int, IndexNumber]]:
        """Declare a composite index; returns where it must be built: kinds' numbers and its own."""
        if index in self.catalog.composites.get(index.kind, ()):
            return []
        self._insert("INSERT INTO composite VALUES (?, ?)", index.kind, index.definition())
        self.catalog.composites.setdefault(index.kind, []).append(index)
        kinds = [n for (_, name), n in self.catalog.kinds.items() if name == index.kind]
        return [(kind, self.index(kind, index)) for kind in kinds]

    def entries(self, kind: int, path: bytes, shape: int, data: bytes) -> list[Entry]:
        """The rows of an entity in the indexes of its kind."""
        values = indexed(self._places(kind, shape), data)
        single = self.catalog.single.get(kind, {})
        rows: list[Entry] = []
        for name, encoded in values.items():
            found = single.get(name)
            if found is not None:
                rows += [(found.number, raw, path) for raw in encoded]
                if len(encoded) > 1:
                    self._repeats(found.number)
        for found in self.catalog.composite.get(kind, ()):
            rows += self.entries_in(found, path, values)
        return rows

    def _places(self, kind: int, shape: int) -> list[tuple[int, str]]:
        """Those places in a shape's values that the indexes of the kind need."""
        places = self._known_places.get((kind, shape))
        if places is None:
            single = self.catalog.single.get(kind, {}).values()
            composite = self.catalog.composite.get(kind, ())
            wanted = frozenset().union(*(each.properties for each in (*single, *composite)))
            places = indexed_places(self.catalog.shapes_by_number[shape], wanted)
            self._known_places[kind, shape] = places
        return places

    def entries_in(self, found: IndexNumber, path: bytes, values: Indexed) -> list[Entry]:
        """The rows of an entity in one index; none where it lacks a property."""
        raws = values_in(found, path, values)
        if len(raws) > 1:
            self._repeats(found.number)
        return [(found.number, raw, path) for raw in raws]

    def _repeats(self, number: int) -> None:
        if number not in self.catalog.repeated:
            self._own()
            self.connection.execute("UPDATE idx SET repeated = 1 WHERE id = ?", (number,))
            self.catalog.repeated.add(number)

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
        """Tell other processes, within the transaction, that the catalog has grown; return it."""
        if self.changed:
            self.connection.execute("UPDATE meta SET generation = generation + 1")
            self.catalog.generation += 1
        return self.catalog


def values_in(found: IndexNumber, path: bytes, values: Indexed) -> list[bytes]:
    """What stands in an index for an entity: one for each combination of values."""
    parts: list[Sequence[bytes]] = []
    if found.index.ancestor:
        parts.append([ancestor + b"\x00\x00" for ancestor in ancestors(path)])
    for name, descending in found.columns:
        encoded = values.get(name, ())
        parts.append([inverted(raw) for raw in encoded] if descending else encoded)
    return [b"".join(combination) for combination in product(*parts)]
