"""From a query to the scan of one index that answers it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.api_core.exceptions import InvalidArgument
from google.cloud.datastore.query import PropertyFilter

from dfpipe.datastore.embedded.encoding import after, encode_path, encode_value
from dfpipe.datastore.embedded.indexes import Index, missing_index, require

KEY = "__key__"
END = b"\xff"  # above every encoded value and path
_OPERATORS = ("=", "<", "<=", ">", ">=")


@dataclass(frozen=True, slots=True)
class Range:
    """Encoded values or paths with `low <= x < high`."""

    low: bytes = b""
    high: bytes = END

    def within(self, other: "Range") -> "Range":
        """The intersection of both ranges, which may be empty."""
        return Range(max(self.low, other.low), min(self.high, other.high))

    @property
    def is_empty(self) -> bool:
        """Whether no value lies in the range."""
        return self.low >= self.high


EVERYTHING = Range()


@dataclass(frozen=True, slots=True)
class Scan:
    """A range of an index, or of the entities themselves where the index has no properties.

    Rows come by value, descending if `descending`, then by path. If `equal` is given, all rows have
    that value instead, and the entities are also in the indexes `also` (property, value).
    """

    index: Index = ()
    values: Range = EVERYTHING
    equal: bytes | None = None
    descending: bool = False
    paths: Range = EVERYTHING
    also: tuple[tuple[str, bytes], ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether the conditions contradict each other."""
        return self.values.is_empty or self.paths.is_empty

    def indexes(self) -> list[Index]:
        """The indexes that the scan reads."""
        return [self.index, *((name,) for name, _ in self.also)] if self.index else []


def plan(
    kind: str, filters: Sequence[PropertyFilter], order: Sequence[str], projection: Index
) -> Scan:
    """The scan that answers a query.

    Raises InvalidArgument for a query that Datastore refuses or the embedded store does not
    support, and FailedPrecondition for one that needs a composite index which is not declared.
    """
    equal: list[tuple[str, bytes]] = []
    ranges: dict[str, Range] = {}
    for each in filters:
        _add(each, equal, ranges)
    # Sorting by what is equal in all rows changes nothing, nor does sorting by key at the end.
    order = [name for name in order if name.lstrip("-") not in dict(equal)]
    order = order[:-1] if order[-1:] == [KEY] else order
    _check(order, ranges)
    paths = ranges.pop(KEY, EVERYTHING)
    named = {name.lstrip("-") for name in order}
    sorts = [*order, *(n for n in dict.fromkeys([*ranges, *projection]) if n not in named)]
    if equal:
        if sorts:
            raise missing_index(kind, *dict(equal), *sorts)
        (name, raw), *also = equal
        return Scan((name,), equal=raw, paths=paths, also=tuple(also))
    return _ordered_scan(kind, ranges, sorts, projection) if sorts else Scan(paths=paths)


def _add(each: PropertyFilter, equal: list[tuple[str, bytes]], ranges: dict[str, Range]) -> None:
    """Add a filter to the values that properties must equal, or to their ranges."""
    if not isinstance(each, PropertyFilter) or each.operator not in _OPERATORS:
        raise InvalidArgument(
            f"The embedded store compares one property with {' '.join(_OPERATORS)}, not {each!r}."
        )
    name, raw = each.property_name, _encode(each.property_name, each.value)
    if each.operator == "=" and name != KEY:
        equal.append((name, raw))
        return
    # A path may begin with another, a value never does.
    above = raw + b"\x00" if name == KEY else after(raw)
    wanted = {
        "=": Range(raw, above),
        "<": Range(high=raw),
        "<=": Range(high=above),
        ">": Range(low=above),
        ">=": Range(low=raw),
    }[each.operator]
    ranges[name] = ranges.get(name, EVERYTHING).within(wanted)


def _encode(name: str, value: Any) -> bytes:
    if name == KEY:
        return encode_path(value.flat_path)
    if isinstance(value, list | dict):
        raise InvalidArgument(f"A {type(value).__name__} value is not allowed in a filter.")
    return encode_value(value)


def _check(order: Sequence[str], ranges: dict[str, Range]) -> None:
    """Refuse orders and inequalities that Datastore refuses."""
    if len(ranges) > 1:
        raise InvalidArgument(
            f"Only one inequality filter per query is supported.  Encountered {sorted(ranges)}"
        )
    if f"-{KEY}" in order:
        raise InvalidArgument("Descending order of keys is not supported: reverse the list.")
    if order and ranges and order[0].lstrip("-") not in ranges:
        raise InvalidArgument(
            "The first sort property must be the same as the property to which the inequality "
            f"filter is applied.  Sorted by {order[0]}, but filters {next(iter(ranges))}"
        )


def _ordered_scan(
    kind: str, ranges: dict[str, Range], sorts: Sequence[str], projection: Index
) -> Scan:
    """The scan of the property that has an order or a range, or of a projection."""
    first, *others = sorts
    name, descending = first.lstrip("-"), first.startswith("-")
    index = projection or (name,)
    if (name, *others) != index or (descending and others):
        raise missing_index(kind, *sorts)
    require(kind, index)
    return Scan(index, ranges.get(name, EVERYTHING), descending=descending)
