"""Values and keys as bytes that sort in the order of Datastore."""

import functools
import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any

from google.api_core.exceptions import InvalidArgument
from google.cloud.datastore.helpers import GeoPoint
from google.cloud.datastore.key import Key

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

LONGEST_INDEXED = 1500  # bytes of UTF-8
INT64 = range(-(1 << 63), 1 << 63)

_SIGN = 1 << 63
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_END = b"\x00\x01"
_PATH_END = b"\x00\x00"
_ID, _NAME = b"\x01", b"\x02"
_COMPLEMENT = bytes(range(255, -1, -1))

NULL = b"\x01"
_FIXED, _BYTES, _FLOAT, _POINT, _KEY = b"\x02", b"\x04", b"\x05", b"\x06", b"\x07"
_BOOLEANS = {False: b"\x03\x00", True: b"\x03\x01"}
_NAN = _FLOAT + b"\xff" * 8


def microseconds(time: datetime) -> int:
    """Microseconds since 1970 in UTC; a time without a zone is taken as UTC, as Datastore does."""
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND


def encode_value(value: object) -> bytes:
    """Encode one indexable value; none is a prefix of another's, so that they can be chained.

    Order: null, integers and times (as microseconds) together, booleans, bytes and strings (as
    UTF-8) together, floats (-0.0 before 0.0, NaN last), points, keys. Raises ValueError for an
    integer beyond 64 bits and for a type that has no place in an index.
    """
    encode = _ENCODERS.get(type(value)) or _encoder(value)
    return encode(value)


def _encoder(value: object) -> Callable[[object], bytes]:
    """The encoder for an instance of a subclass, or a refusal."""
    for kind, encode in _ENCODERS.items():
        if isinstance(value, kind):
            return encode
    raise ValueError("Unknown protobuf attr type", type(value))


def _encode_text(value: str) -> bytes:
    return _BYTES + _escape(value.encode()) + _END


def _encode_bytes(value: bytes) -> bytes:
    return _BYTES + _escape(value) + _END


def _encode_time(value: datetime) -> bytes:
    return _FIXED + (microseconds(value) + _SIGN).to_bytes(8, "big")


def _encode_integer(value: int) -> bytes:
    if value not in INT64:
        raise ValueError(f"Value out of range: {value}")
    return _FIXED + (value + _SIGN).to_bytes(8, "big")


def _encode_float(value: float) -> bytes:
    return _NAN if value != value else _FLOAT + _ordered_float(value)


def _encode_point(value: GeoPoint) -> bytes:
    return _POINT + _ordered_float(value.latitude) + _ordered_float(value.longitude)


def _encode_key(value: Key) -> bytes:
    home = _escape(value.project.encode()) + _END
    home += _escape((value.namespace or "").encode()) + _END
    return _KEY + home + encode_path(value.flat_path) + _PATH_END


# bool before int, whose subclass it is.
_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    str: _encode_text,
    datetime: _encode_time,
    bool: _BOOLEANS.__getitem__,
    int: _encode_integer,
    type(None): lambda _: NULL,
    float: _encode_float,
    bytes: _encode_bytes,
    GeoPoint: _encode_point,
    Key: _encode_key,
}


def encode_path(path: tuple[Any, ...]) -> bytes:
    """Encode a key's path (kind, id or name, kind, ...)."""
    parts = [encode_last(part) if at % 2 else encode_kind(part) for at, part in enumerate(path)]
    return b"".join(parts)


@functools.lru_cache(maxsize=1024)
def encode_kind(kind: str) -> bytes:
    """Encode a kind: the beginning of a path."""
    return _escape(kind.encode()) + _END


def encode_last(part: int | str) -> bytes:
    """Encode an id or name: the end of a path."""
    if isinstance(part, str):
        return _NAME + _escape(part.encode()) + _END
    return _ID + (part + _SIGN).to_bytes(8, "big")


def decode_last(raw: bytes, kind: str) -> int | str:
    """The id or name at the end of the path of a key of that kind."""
    start = len(encode_kind(kind))
    if raw[start : start + 1] == _NAME:
        return raw[start + 1 : -2].replace(b"\x00\xff", b"\x00").decode()
    return int.from_bytes(raw[start + 1 :], "big") - _SIGN


def decode_numbers(raw: bytes) -> list[int | None]:
    """Decode the values of an index: integers, times (as microseconds since 1970) and nulls.

    Raises InvalidArgument for any other value.
    """
    fields = len(raw) // 9
    if raw[::9] == _FIXED * fields and len(raw) == fields * 9:  # no nulls
        return [number - _SIGN for number in _numbers(fields).unpack(raw)]
    numbers: list[int | None] = []
    at = 0
    while at < len(raw):
        tag = raw[at : at + 1]
        if tag not in (_FIXED, NULL):
            raise InvalidArgument("Only integers and times can be projected: read the entities.")
        end = at + (9 if tag == _FIXED else 1)
        numbers.append(int.from_bytes(raw[at + 1 : end], "big") - _SIGN if tag == _FIXED else None)
        at = end
    return numbers


def decode_columns(
    pages: Iterable[Sequence[tuple[bytes, bytes]]], kind: str, fields: int
) -> "npt.NDArray[np.int64]":
    """Decode values of an index and the paths of their keys, as an array of a row of int64 each.

    A row is the id and the values. Rows with a null or with a name instead of an id are left out.
    """
    import numpy as np  # services that store tasks do without it

    end, prefix = 9 * fields, len(encode_kind(kind))
    size = end + prefix + 9
    # In each row: where the tags are, and where the numbers are, the id first.
    tags = np.array([*range(0, end, 9), end + prefix])
    places = np.array([range(at + 1, at + 9) for at in (end + prefix, *range(0, end, 9))])
    expected = np.frombuffer(_FIXED * fields + _ID, np.uint8)
    parts = [np.empty((0, 1 + fields), np.uint64)]
    for page in pages:
        joined = b"".join(chain.from_iterable(page))
        is_even = len(joined) == size * len(page)
        rows = np.frombuffer(joined if is_even else b"", np.uint8).reshape(-1, size)
        if not (is_even and (rows[:, tags] == expected).all()):
            fitting = [v + p for v, p in page if len(v) == end and len(p) == prefix + 9]
            rows = np.frombuffer(b"".join(fitting), np.uint8).reshape(-1, size)
            rows = rows[(rows[:, tags] == expected).all(axis=1)]
        parts.append(np.ascontiguousarray(rows[:, places]).view(">u8")[:, :, 0].astype(np.uint64))
    return (np.concatenate(parts) ^ np.uint64(_SIGN)).view(np.int64)


@functools.lru_cache(maxsize=16)
def _numbers(fields: int) -> struct.Struct:
    """The form of that many encoded integers: tag and eight bytes each."""
    return struct.Struct(">" + "xQ" * fields)


def after(prefix: bytes) -> bytes:
    """The least bytes above everything that begins with the prefix.

    The prefix is not empty, and not all its bytes are 255: tags and ends see to that.
    """
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1])


def _escape(raw: bytes) -> bytes:
    return raw.replace(b"\x00", b"\x00\xff") if 0 in raw else raw


def _ordered_float(value: float) -> bytes:
    raw = struct.pack(">d", value)
    return raw.translate(_COMPLEMENT) if raw[0] & 128 else bytes([raw[0] | 128]) + raw[1:]


def too_long(name: str) -> InvalidArgument:
    """The refusal of an indexed string or bytes beyond the limit."""
    return InvalidArgument(
        f'The value of property "{name}" is longer than {LONGEST_INDEXED} bytes.'
    )
