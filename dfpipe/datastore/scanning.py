"""Running scans over the tables of an embedded store, a page at a time."""

import heapq
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice, takewhile
from operator import itemgetter
from typing import Any, NamedTuple

from dfpipe.datastore.catalog import Catalog
from dfpipe.datastore.encoding import inverted
from dfpipe.datastore.indexes import Index
from dfpipe.datastore.planner import END, Scan

# Runs a statement and gives all its rows; a transaction's remembers them.
Read = Callable[[str, tuple[Any, ...]], list[Any]]


class Position(NamedTuple):
    """A place between two rows: after this value (in order of the query) and this path."""

    sort: bytes
    path: bytes


class Between(NamedTuple):
    """The part of a query's rows that is asked for: after start, up to and with end."""

    start: Position | None
    end: Position | None


class Source(NamedTuple):
    """Where scans read: the kind's number and the catalog."""

    read: Read
    kind: int
    catalog: Catalog


def built_in_indexes(scans: Iterable[Scan]) -> set[Index]:
    """The built-in indexes that the scans read."""
    indexes = {scan.index for scan in scans if scan.index and scan.index.built_in}
    return indexes | {Index("", (name,)) for scan in scans for name, _ in scan.also}


def position_of(scan: Scan, row: tuple[Any, ...]) -> Position:
    """The place after a row."""
    sort = row[0][scan.prefix :]
    return Position(inverted(sort) if scan.descending else sort, row[1])


class Page(NamedTuple):
    """Rows in order, the place after the last one, and whether nothing follows."""

    rows: list[Any]
    place: Position | None
    last: bool


def read_page(
    source: Source, scans: tuple[Scan, ...], between: Between, size: int, keys_only: bool
) -> Page:
    """Read the next rows of all scans, at most `size`.

    The same entity may come more than once, from several scans or for several of its values.
    """
    if len(scans) == 1 and between.end is None:
        rows = _rows(source, scans[0], between.start, size, keys_only)
        place = position_of(scans[0], rows[-1]) if rows else between.start
        return Page(rows, place, len(rows) < size)
    placed = heapq.merge(
        *(_placed(scan, _rows(source, scan, between.start, size, keys_only)) for scan in scans),
        key=itemgetter(0),
    )
    taken = list(islice(_until(_distinct(placed), between.end), size))
    place = taken[-1][0] if taken else between.start
    return Page([row for _, row in taken], place, len(taken) < size)


def _placed(scan: Scan, rows: list[Any]) -> Iterator[tuple[Position, Any]]:
    return ((position_of(scan, row), row) for row in rows)


def _distinct(placed: Iterable[tuple[Position, Any]]) -> Iterator[tuple[Position, Any]]:
    return (next(group) for _, group in groupby(placed, key=itemgetter(0)))


def _until(
    placed: Iterable[tuple[Position, Any]], end: Position | None
) -> Iterable[tuple[Position, Any]]:
    return placed if end is None else takewhile(lambda each: each[0] <= end, placed)


def may_repeat(source: Source, scans: tuple[Scan, ...]) -> bool:
    """Whether one entity may come more than once."""
    if len(scans) > 1:
        return True
    scan = scans[0]
    if scan.index is None or _is_point(scan):
        return False
    found = source.catalog.find(source.kind, scan.index)
    return found is not None and found.number in source.catalog.repeated


def count(source: Source, scans: tuple[Scan, ...]) -> int:
    """How many entities the scans find."""
    statements = [_statement(source, scan, None, keys_only=True) for scan in scans]
    inner = " UNION ALL ".join(sql for sql, _ in statements if sql)
    if not inner:
        return 0
    # Telling paths apart costs: it is left out where none can come twice.
    what = "DISTINCT path" if may_repeat(source, scans) else "*"
    parameters = tuple(value for _, values in statements for value in values)
    rows = source.read(f"SELECT count({what}) FROM ({inner})", parameters)  # noqa: S608  # our own text
    number: int = rows[0][0]
    return number


def _rows(
    source: Source, scan: Scan, start: Position | None, size: int, keys_only: bool
) -> list[Any]:
    sql, parameters = _statement(source, scan, start, keys_only)
    if not sql or (start and _is_behind(scan, start)):
        return []
    order = "path" if scan.index is None or _is_point(scan) else "value, path"
    if scan.descending:
        order = "value DESC, path"
    return source.read(f"{sql} ORDER BY {order} LIMIT ?", (*parameters, size))


def _is_point(scan: Scan) -> bool:
    """Whether all rows have the same value."""
    return scan.index is not None and scan.index.built_in and scan.prefix > 0


def _statement(
    source: Source, scan: Scan, start: Position | None, keys_only: bool
) -> tuple[str, tuple[Any, ...]]:
    """The statement of a scan without order, and its parameters; no text for an empty index."""
    if scan.index is None:
        return _entity_statement(source.kind, scan, start, keys_only)
    numbers = [_number(source, scan.index)]
    numbers += [_number(source, Index("", (name,))) for name, _ in scan.also]
    if None in numbers:
        return "", ()
    joins, parameters = [], []
    for at, (_, raw) in enumerate(scan.also):
        joins.append(
            f"CROSS JOIN entry j{at} ON j{at}.idx = ? AND j{at}.value = ? AND j{at}.path = i.path"
        )
        parameters += [numbers[at + 1], raw]
    if not keys_only:
        joins.append("CROSS JOIN entity e ON e.kind = ? AND e.path = i.path")
        parameters.append(source.kind)
    where, bounds = _bounds(scan, start)
    columns = "i.value AS value, i.path AS path" + ("" if keys_only else ", e.shape, e.data")
    sql = f"SELECT {columns} FROM entry i {' '.join(joins)} WHERE i.idx = ? AND {where}"  # noqa: S608  # our own text
    return sql, (*parameters, numbers[0], *bounds)


def _number(source: Source, index: Index) -> int | None:
    found = source.catalog.find(source.kind, index)
    return found.number if found else None


def _bounds(scan: Scan, start: Position | None) -> tuple[str, list[Any]]:
    """The condition on value and path, and its parameters.

    SQLite begins at one lower bound and passes over the rows up to another, so that only one may
    stand there: the start, or where the scan begins behind it, the scan's own.
    """
    path_low = scan.path_low
    value = _value_at(scan, start) if start else None
    if _is_point(scan):
        where, bounds = ["i.value = ?"], [scan.low]
        path_low = max(path_low, start.path + b"\x00") if start else path_low
    elif start is None or value is None or not scan.low <= value < scan.high:
        where, bounds = ["i.value >= ?", "i.value < ?"], [scan.low, scan.high]
    elif scan.descending:
        where = ["i.value >= ?", "i.value <= ?", "(i.value < ? OR i.path > ?)"]
        bounds = [scan.low, value, value, start.path]
    else:
        where = ["(i.value, i.path) > (?, ?)", "i.value < ?"]
        bounds = [value, start.path, scan.high]
    if path_low:
        where.append("i.path >= ?")
        bounds.append(path_low)
    if scan.path_high != END:
        where.append("i.path < ?")
        bounds.append(scan.path_high)
    return " AND ".join(where), bounds


def _value_at(scan: Scan, start: Position) -> bytes:
    """The value of a place in this scan's index."""
    return inverted(start.sort) if scan.descending else scan.low[: scan.prefix] + start.sort


def _is_behind(scan: Scan, start: Position) -> bool:
    """Whether the whole scan lies before the start."""
    if scan.index is None or _is_point(scan):
        return False
    value = _value_at(scan, start)
    return value < scan.low if scan.descending else value >= scan.high


def _entity_statement(
    kind: int, scan: Scan, start: Position | None, keys_only: bool
) -> tuple[str, tuple[Any, ...]]:
    columns = "x'' AS value, path" + ("" if keys_only else ", shape, data")
    sql = f"SELECT {columns} FROM entity WHERE kind = ? AND path >= ? AND path < ?"  # noqa: S608  # our own text
    low = max(scan.path_low, start.path + b"\x00") if start else scan.path_low
    return sql, (kind, low, scan.path_high)
