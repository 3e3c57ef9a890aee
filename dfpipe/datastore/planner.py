"""From a query to the scans of index ranges that answer it, or to the index that is missing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from google.api_core.exceptions import FailedPrecondition, InvalidArgument
from google.cloud.datastore.key import Key
from google.cloud.datastore.query import And, Or, PropertyFilter

from dfpipe.datastore.encoding import after, encode_path, encode_value, inverted
from dfpipe.datastore.indexes import Index

KEY = "__key__"
MOST_SCANS = 30
END = b"\xff"  # above every encoded value and path


@dataclass(frozen=True, slots=True)
class Scan:
    """A range of an index, or of the entities themselves where index is None.

    Rows have `low <= value < high` and `path_low <= path < path_high`, and stand in each of `also`,
    built-in indexes as (property, value). `prefix` bytes of the value are the same in all rows;
    what follows is the order, by the properties `order` and then by path, which ascends even where
    the values descend.
    """

    index: Index | None
    order: tuple[str, ...] = ()
    low: bytes = b""
    high: bytes = END
    prefix: int = 0
    descending: bool = False
    path_low: bytes = b""
    path_high: bytes = END
    also: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison, with the value encoded: `=`, or a range low <= x < high."""

    name: str
    equal: bytes | None = None
    low: bytes = b""
    high: bytes = END


Conjunction = tuple[Condition, ...]


def plan(
    kind: str, filters: Sequence[Any], order: Sequence[str], ancestor: Key | None
) -> tuple[Scan, ...]:
    """The scans whose merged rows answer a query.

    Raises InvalidArgument for a query that Datastore does not allow. Composite indexes are named
    here as needed; whether they are declared is checked by `require`.
    """
    alternatives = _alternatives(filters)
    if len(alternatives) > MOST_SCANS:
        raise InvalidArgument(
            f"The query has {len(alternatives)} alternatives, at most {MOST_SCANS} are allowed."
        )
    alternatives = _ordered(alternatives, {name.removeprefix("-") for name in order})
    scans = (_scan(kind, each, tuple(order), ancestor) for each in alternatives)
    found = tuple(dict.fromkeys(scan for scan in scans if scan))
    if len({scan.order for scan in found}) > 1:
        raise InvalidArgument("The alternatives of OR sort differently: give the query an order.")
    return found


def require(scans: Iterable[Scan], declared: Sequence[Index]) -> None:
    """Raise FailedPrecondition, with the lines to add, where a composite index is not declared."""
    for scan in scans:
        if scan.index and not scan.index.built_in and scan.index not in declared:
            raise FailedPrecondition(
                "no matching index found. recommended index is:\n" + scan.index.as_yaml()
            )


def _alternatives(filters: Iterable[Any]) -> list[Conjunction]:
    """The filters, all of which hold, as alternatives of which one must hold."""
    parts = [_expand(each) for each in filters]
    return [sum(choice, ()) for choice in product(*parts)]


def _ordered(alternatives: list[Conjunction], order: set[str]) -> list[Conjunction]:
    """Read as a range what is equal within an alternative but orders them among each other."""
    if len(alternatives) == 1:
        return alternatives
    return [tuple(_as_range(c) if c.name in order else c for c in each) for each in alternatives]


def _as_range(condition: Condition) -> Condition:
    if condition.equal is None or condition.name == KEY:
        return condition
    return Condition(condition.name, low=condition.equal, high=after(condition.equal))


def _expand(condition: Any) -> list[Conjunction]:
    if isinstance(condition, Or):
        return [each for part in condition.filters for each in _expand(part)]
    if isinstance(condition, And):
        return _alternatives(condition.filters)
    if not isinstance(condition, PropertyFilter):
        condition = PropertyFilter(*condition)
    return [(each,) for each in _conditions(condition)]


def _conditions(condition: PropertyFilter) -> list[Condition]:
    name, operator, value = condition.property_name, condition.operator, condition.value
    if operator in ("IN", "NOT_IN"):
        if not isinstance(value, list) or not value:
            raise InvalidArgument(f"{operator} needs a list that is not empty.")
        raws = sorted({_encode(name, each) for each in value})
        return [Condition(name, raw) for raw in raws] if operator == "IN" else _gaps(name, raws)
    raw = _encode(name, value)
    if operator == "!=":
        return _gaps(name, [raw])
    # A name's end makes an encoded value no prefix of another, a path's does not.
    above = raw + b"\x00" if name == KEY else after(raw)
    return {
        "=": [Condition(name, raw)],
        "<": [Condition(name, high=raw)],
        "<=": [Condition(name, high=above)],
        ">": [Condition(name, low=above)],
        ">=": [Condition(name, low=raw)],
    }[operator]


def _encode(name: str, value: Any) -> bytes:
    if name == KEY:
        return encode_path(value.flat_path)
    if isinstance(value, list | dict):
        raise InvalidArgument(f"A {type(value).__name__} value is not allowed in a filter.")
    return encode_value(value)


def _gaps(name: str, raws: list[bytes]) -> list[Condition]:
    lows = [b"", *(raw + b"\x00" if name == KEY else after(raw) for raw in raws)]
    return [
        Condition(name, low=low, high=high) for low, high in zip(lows, [*raws, END], strict=True)
    ]


def _scan(
    kind: str, conjunction: Conjunction, order: tuple[str, ...], ancestor: Key | None
) -> Scan | None:
    """The scan for conditions that must all hold; None where they contradict each other."""
    equal = tuple(dict.fromkeys((c.name, c.equal) for c in conjunction if c.equal is not None))
    equal_names = {name for name, _ in equal}
    path_low, path_high, key_is_ranged = _path_range(conjunction, ancestor)
    ranged = _range(conjunction)
    # Sorting by what is equal in all rows changes nothing, nor does sorting after the key.
    order = tuple(name for name in order if name.removeprefix("-") not in equal_names)
    order = _until_key(order)
    _check_order(ranged.name if ranged else KEY if key_is_ranged else None, order)
    if path_low >= path_high or (ranged and ranged.low >= ranged.high):
        return None
    if ranged and not order:
        order = (ranged.name,)
    properties = tuple((n, raw) for n, raw in equal if n != KEY and raw is not None)
    if not order:
        return _by_path(properties, path_low, path_high)
    if len(order) == 1 and not properties and ancestor is None and not key_is_ranged:
        return _single(order[0], ranged)
    return _composite(kind, properties, order, ranged, ancestor, path_low, path_high)


def _until_key(order: tuple[str, ...]) -> tuple[str, ...]:
    """The order up to the key, which needs no saying when it comes last and ascends."""
    for at, name in enumerate(order):
        if name == KEY:
            return order[:at]
        if name == f"-{KEY}":
            return order[: at + 1]
    return order


def _check_order(ranged: str | None, order: tuple[str, ...]) -> None:
    if ranged and order and order[0].removeprefix("-") != ranged:
        raise InvalidArgument(
            "The first sort property must be the same as the property to which the inequality "
            f"filter is applied.  In your query the first sort property is "
            f"{order[0].removeprefix('-')} but the inequality filter is on {ranged}"
        )


def _range(conjunction: Conjunction) -> Condition | None:
    """The one range that the inequalities on a property leave."""
    ranges = [c for c in conjunction if c.equal is None and c.name != KEY]
    if not ranges:
        return None
    name = ranges[0].name
    for each in ranges:
        if each.name != name:
            raise InvalidArgument(
                "Only one inequality filter per query is supported.  "
                f"Encountered both {name} and {each.name}"
            )
    return Condition(name, low=max(c.low for c in ranges), high=min(c.high for c in ranges))


def _path_range(conjunction: Conjunction, ancestor: Key | None) -> tuple[bytes, bytes, bool]:
    lows, highs = [b""], [END]
    if ancestor is not None:
        root = encode_path(ancestor.flat_path)
        lows.append(root)
        highs.append(after(root))
    ranged = False
    for each in conjunction:
        if each.name == KEY:
            ranged = ranged or each.equal is None
            lows.append(each.low if each.equal is None else each.equal)
            highs.append(each.high if each.equal is None else each.equal + b"\x00")
    return max(lows), min(highs), ranged


def _by_path(properties: tuple[tuple[str, bytes], ...], low: bytes, high: bytes) -> Scan:
    if not properties:
        return Scan(None, path_low=low, path_high=high)
    (name, raw), *also = properties
    index = Index("", (name,))
    return Scan(index, (), raw, after(raw), len(raw), False, low, high, tuple(also))


def _single(name: str, ranged: Condition | None) -> Scan:
    if name == f"-{KEY}":
        raise _descending_keys()
    bounds = (ranged.low, ranged.high) if ranged else (b"", END)
    index = Index("", (name.removeprefix("-"),))
    return Scan(index, (name,), *bounds, descending=name.startswith("-"))


def _descending_keys() -> InvalidArgument:
    return InvalidArgument("Descending order of keys is not supported: reverse the list instead.")


def _composite(
    kind: str,
    properties: tuple[tuple[str, bytes], ...],
    order: tuple[str, ...],
    ranged: Condition | None,
    ancestor: Key | None,
    path_low: bytes,
    path_high: bytes,
) -> Scan:
    if order[-1] == f"-{KEY}":
        raise _descending_keys()
    properties = tuple(sorted(properties))
    names = tuple(name for name, _ in properties)
    prefix = b"".join(raw for _, raw in properties)
    if ancestor is not None:
        prefix = encode_path(ancestor.flat_path) + b"\x00\x00" + prefix
    index = Index(kind, names + order, ancestor is not None)
    low, high = (ranged.low, ranged.high) if ranged else (b"", END)
    if order[0].startswith("-"):
        low, high = _inverted_range(low, high)
    high = prefix + high if high != END else after(prefix) if prefix else END
    return Scan(index, order, prefix + low, high, len(prefix), False, path_low, path_high)


def _inverted_range(low: bytes, high: bytes) -> tuple[bytes, bytes]:
    """The range in which the inverted values stand of what is in low <= x < high."""
    return (
        after(inverted(high)) if high != END else b"",
        after(inverted(low)) if low else END,
    )
