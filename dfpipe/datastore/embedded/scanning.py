"""Running a scan over the tables of an embedded store, a page at a time."""

from collections.abc import Callable
from typing import Any, NamedTuple

from dfpipe.datastore.embedded.catalog import Catalog
from dfpipe.datastore.embedded.planner import END, Scan

# Runs a statement and gives all its rows; a transaction's remembers them.
Read = Callable[[str, tuple[object, ...]], list[Any]]


class Position(NamedTuple):
    """A place between two rows: after the one with this value and path."""

    value: bytes
    path: bytes


class Source(NamedTuple):
    """Where scans read: the kind's number and the catalog, all of one moment."""

    read: Read
    kind: int
    catalog: Catalog


def read_page(
    source: Source, scan: Scan, start: Position | None, size: int, keys_only: bool
) -> list[Any]:
    """Read at most `size` rows after the start: (value, path), or with shape, data, checksum too.

    An entity with a list comes once for each element in the range.
    """
    if start is not None and _is_behind(scan, start):
        return []
    sql, parameters = _statement(source, scan, start, keys_only)
    order = "value DESC, path" if scan.descending else "value, path" if _is_range(scan) else "path"
    return source.read(f"{sql} ORDER BY {order} LIMIT ?", (*parameters, size))


def may_repeat(source: Source, scan: Scan) -> bool:
    """Whether one entity may come more than once."""
    return _is_range(scan) and source.catalog.find(source.kind, scan.index) in (
        source.catalog.repeated
    )


def count(source: Source, scan: Scan) -> int:
    """How many entities the scan finds."""
    sql, parameters = _statement(source, scan, None, keys_only=True)
    # Telling paths apart costs: it is left out where none can come twice.
    what = "DISTINCT path" if may_repeat(source, scan) else "*"
    rows = source.read(f"SELECT count({what}) FROM ({sql})", parameters)  # noqa: S608  # our own text
    number: int = rows[0][0]
    return number


def _is_range(scan: Scan) -> bool:
    """Whether rows may have several values."""
    return bool(scan.index) and scan.equal is None


def _is_behind(scan: Scan, start: Position) -> bool:
    """Whether the whole scan lies before the start."""
    if not _is_range(scan):
        return False
    return start.value < scan.values.low if scan.descending else start.value >= scan.values.high


def _statement(
    source: Source, scan: Scan, start: Position | None, keys_only: bool
) -> tuple[str, tuple[object, ...]]:
    """The statement of a scan without order, and its parameters."""
    if not scan.index:
        columns = "x'' AS value, path" + ("" if keys_only else ", shape, data, checksum")
        where, bounds = _paths(scan, start, "path")
        sql = f"SELECT {columns} FROM entity WHERE kind = ?{where}"  # noqa: S608  # our own text
        return sql, (source.kind, *bounds)
    numbers = [source.catalog.find(source.kind, index) for index in scan.indexes()]
    joins, parameters = "", []
    for at, (_, raw) in enumerate(scan.also):
        joins += (
            f" CROSS JOIN entry j{at} ON j{at}.idx = ? AND j{at}.value = ? AND j{at}.path = i.path"
        )
        parameters += [numbers[at + 1], raw]
    columns = "i.value AS value, i.path AS path"
    if not keys_only:
        # Not an inner join: the reader must notice that an entity is missing.
        joins += " LEFT JOIN entity e ON e.kind = ? AND e.path = i.path"
        columns += ", e.shape, e.data, e.checksum"
        parameters.append(source.kind)
    where, bounds = _values(scan, start) if scan.equal is None else _paths(scan, start, "i.path")
    if scan.equal is not None:
        where, bounds = f" AND i.value = ?{where}", [scan.equal, *bounds]
    sql = f"SELECT {columns} FROM entry i{joins} WHERE i.idx = ?{where}"  # noqa: S608  # our own text
    return sql, (*parameters, numbers[0], *bounds)


def _paths(scan: Scan, start: Position | None, column: str) -> tuple[str, list[bytes]]:
    """The condition on the path, for rows that are in its order, and its parameters."""
    low = max(scan.paths.low, start.path + b"\x00") if start else scan.paths.low
    where, bounds = (f" AND {column} >= ?", [low]) if low else ("", [])
    if scan.paths.high != END:
        return f"{where} AND {column} < ?", [*bounds, scan.paths.high]
    return where, bounds


def _values(scan: Scan, start: Position | None) -> tuple[str, list[bytes]]:
    """The condition on value and path, for rows that are in their order, and its parameters.

    SQLite seeks to one lower bound only and reads on to a second, so this gives just one: the
    start, or the scan's own.
    """
    low, high = scan.values.low, scan.values.high
    if start is None or not low <= start.value < high:
        return " AND i.value >= ? AND i.value < ?", [low, high]
    if scan.descending:
        where = " AND i.value >= ? AND i.value <= ? AND (i.value < ? OR i.path > ?)"
        return where, [low, start.value, start.value, start.path]
    return " AND (i.value, i.path) > (?, ?) AND i.value < ?", [*start, high]
