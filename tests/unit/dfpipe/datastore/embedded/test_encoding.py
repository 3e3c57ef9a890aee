"""The order of encoded values and keys, and the way there and back."""

from datetime import UTC, datetime, timedelta
from typing import Any

from google.cloud.datastore.entity import Entity
from google.cloud.datastore.helpers import GeoPoint
from google.cloud.datastore.key import Key
from hypothesis import given
from hypothesis import strategies as st

from dfpipe.datastore.embedded.encoding import (
    after,
    decode_last,
    decode_numbers,
    encode_path,
    encode_value,
    microseconds,
)
from dfpipe.datastore.embedded.records import pack, shape_of, unpack

INTEGERS = st.integers(-(2**63), 2**63 - 1)
TIMES = st.datetimes(timezones=st.just(UTC))
TEXTS = st.text(st.characters(codec="utf-8"))
SCALARS = st.one_of(
    st.none(), st.booleans(), INTEGERS, st.floats(allow_nan=False), TEXTS, st.binary(), TIMES
)
NAMES = TEXTS.filter(lambda name: name and not name.startswith("__"))
PATHS = st.lists(st.tuples(NAMES, st.one_of(NAMES, INTEGERS.filter(bool))), min_size=1, max_size=3)


def rank(value: Any) -> tuple[Any, ...]:
    """The order of Datastore, told in Python's."""
    if value is None:
        return (0,)
    if isinstance(value, bool):
        return 2, value
    if isinstance(value, datetime):
        return 1, (value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    if isinstance(value, int):
        return 1, value
    if isinstance(value, str | bytes):
        return 3, value.encode() if isinstance(value, str) else value
    return 4, value, str(value) != "-0.0"


def path_rank(path: list[tuple[str, Any]]) -> list[Any]:
    return [
        (kind.encode(), isinstance(x, str), x.encode() if isinstance(x, str) else x)
        for kind, x in path
    ]


@given(st.lists(SCALARS, min_size=2, max_size=8))
def test_encoded_values_sort_as_the_values(values: list[Any]) -> None:
    assert sorted(values, key=encode_value) == sorted(values, key=rank)
    assert [encode_value(v) for v in sorted(values, key=rank)] == sorted(map(encode_value, values))


@given(SCALARS, SCALARS)
def test_no_encoded_value_begins_with_another(one: Any, other: Any) -> None:
    first, second = encode_value(one), encode_value(other)
    assert first == second or not second.startswith(first)
    if first < second:
        assert first + b"\xff" * 9 < second
        assert after(first) <= second


@given(st.lists(st.none() | INTEGERS | TIMES))
def test_numbers_come_back_from_an_index(values: list[Any]) -> None:
    raw = b"".join(map(encode_value, values))
    expected = [v if v is None or isinstance(v, int) else microseconds(v) for v in values]
    assert decode_numbers(raw) == expected


@given(PATHS, PATHS)
def test_encoded_paths_sort_as_the_paths(one: Any, other: Any) -> None:
    first, second = (encode_path(sum(path, ())) for path in (one, other))
    assert (first < second) == (path_rank(one) < path_rank(other))
    if len(one) == 1:
        assert decode_last(first, one[0][0]) == one[0][1]
    assert encode_value(Key(*sum(one, ()), project="p")) != encode_value(
        Key(*sum(one, ()), project="q")
    )


VALUES = st.recursive(
    SCALARS | st.builds(GeoPoint, st.floats(-90, 90), st.floats(-180, 180)),
    lambda inner: (
        st.dictionaries(NAMES, inner, max_size=3)
        | st.lists(inner.filter(lambda value: not isinstance(value, list)), max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_stored_values_come_back(values: dict[str, Any]) -> None:
    entity = Entity()
    entity.update(values)
    names, _ = shape_of(entity)
    assert dict(zip(names, unpack(pack(list(entity.values()))), strict=True)) == values
