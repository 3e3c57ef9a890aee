"""A slice as the bytes of a Parquet file, sealed so that any change to them is noticed."""

import io
from collections.abc import Mapping
from hashlib import blake2b

import pyarrow as pa
import pyarrow.parquet as pq

from dfpipe.errors import DfpipeError
from dfpipe.slices.tables import SCHEMA

PATH = "dfpipe.path"
SEAL = "dfpipe.seal"
MARK = b"blake2b-256:"
DIGITS = 64


class DamagedSliceError(DfpipeError):
    """A file is not the slice that its name says."""


class Writer:
    """Makes the file of a slice, a table of it at a time, in memory."""

    def __init__(self) -> None:
        self._file = io.BytesIO()
        # Statistics would take space and tell a reader nothing: a file is one hour.
        self._parquet = pq.ParquetWriter(
            self._file,
            SCHEMA,
            compression="zstd",
            write_statistics=False,
            use_dictionary=False,
        )

    def add(self, table: pa.Table) -> None:
        """Add posts, as a row group of their own."""
        self._parquet.write_table(table)

    def finish(self, path: str, about: Mapping[str, str]) -> bytes:
        """Return the file, which is bound to its path; `about` is for people who find it."""
        empty = MARK.decode() + "0" * DIGITS
        self._parquet.add_key_value_metadata({**about, PATH: path, SEAL: empty})
        self._parquet.close()
        data = bytearray(self._file.getbuffer())
        at = data.rindex(MARK) + len(MARK)
        data[at : at + DIGITS] = _digest(data, at)
        return bytes(data)


def about(data: bytes) -> dict[str, str]:
    """Return what `Writer.finish` was given about a slice; nothing for a damaged file."""
    try:
        found = pq.read_metadata(pa.BufferReader(data)).metadata or {}
    except (pa.ArrowException, OSError):
        return {}
    return {key.decode(): value.decode(errors="replace") for key, value in found.items()}


def read(data: bytes, path: str) -> list[pa.Table]:
    """Return the tables of a slice; raise DamagedSliceError if the bytes are not those made.

    Nothing is decoded before the seal has been verified.
    """
    at = data.rfind(MARK) + len(MARK)
    if at < len(MARK) or _digest(data, at) != data[at : at + DIGITS]:
        raise DamagedSliceError(f"{path}: the slice is damaged; the next run makes it again")
    file = pq.ParquetFile(pa.BufferReader(data))
    if file.metadata.metadata[PATH.encode()] != path.encode():
        raise DamagedSliceError(f"{path}: the file is another slice; the next run replaces it")
    groups = range(file.num_row_groups)
    return [file.read_row_group(group, use_threads=False) for group in groups]


def _digest(data: bytes | bytearray, at: int) -> bytes:
    """Return the digest of all but the seal's digits, in hexadecimal."""
    view = memoryview(data)
    digest = blake2b(view[:at], digest_size=DIGITS // 2)
    digest.update(view[at + DIGITS :])
    return digest.hexdigest().encode()
