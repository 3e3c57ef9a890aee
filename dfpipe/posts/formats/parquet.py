"""Posts in Parquet files, in the columns that tables of posts have."""

import io
from collections.abc import Iterator, Mapping
from dataclasses import astuple
from itertools import chain
from typing import Any, BinaryIO

from dfpipe.posts.formats.columns import known_columns, row_post
from dfpipe.posts.formats.result import ArchiveError, Result, attempt

_MAGIC = b"PAR1"
_BATCH = 1_000  # rows that are held at a time
# A Parquet file is read from its end: one within another archive is held in memory.
MOST_HELD = 64 * 2**20
# What a row group may unpack to: so many bytes, or so many times its size.
FREE_GROUP, MOST_RATIO = 2**27, 200


def is_parquet(head: bytes) -> bool:
    """Tell whether a file that begins so is one."""
    return head.startswith(_MAGIC)


def results(stream: BinaryIO, named: Mapping[str, str]) -> Iterator[tuple[str, Result]]:
    """Yield the post of each row, with the number of the row from 1.

    Raises UnknownColumnsError, and ArchiveError where the file is damaged or is too large for one
    within another archive.
    """
    try:
        import pyarrow  # takes a quarter of a second, which other formats need not pay
        from pyarrow import parquet
    except ImportError as error:
        raise ArchiveError(
            "a Parquet file, which only pyarrow reads: install it with `pip install pyarrow`"
        ) from error
    try:
        # Columns are read in pieces, not whole.
        file = parquet.ParquetFile(_seekable(stream), pre_buffer=False, buffer_size=2**20)
        if any(map(_is_bomb, map(file.metadata.row_group, range(file.num_row_groups)))):
            raise ArchiveError(
                f"a Parquet file that unpacks to over {MOST_RATIO} times its size, which posts do "
                "not: export them again"
            )
        names = _needed(file.schema_arrow.names, named)
        columns = known_columns(names, named)
        number = 0
        for batch in file.iter_batches(_BATCH, columns=names):
            for row in zip(*map(_values, batch.columns), strict=True):
                number += 1
                yield str(number), attempt(row_post, row, columns)
    except pyarrow.ArrowException as error:
        reason = str(error).partition("\n")[0]
        raise ArchiveError(f"a damaged Parquet file ({reason}): get it again") from error


def _is_bomb(group: Any) -> bool:
    packed = sum(group.column(n).total_compressed_size for n in range(group.num_columns))
    return bool(group.total_byte_size > max(FREE_GROUP, MOST_RATIO * packed))


def _needed(names: list[str], named: Mapping[str, str]) -> list[str]:
    """Return the names of the columns that hold posts, in the order of the file."""
    places = chain.from_iterable(astuple(known_columns(names, named)))
    return [names[place] for place in sorted(set(places))]


def _seekable(stream: BinaryIO) -> BinaryIO:
    if stream.seekable():
        return stream
    data = stream.read(MOST_HELD + 1)
    if len(data) > MOST_HELD:
        raise ArchiveError(
            f"a Parquet file of over {MOST_HELD // 2**20} MiB within another archive: unpack that, "
            "and name this file"
        )
    return io.BytesIO(data)


def _values(column: Any) -> list[object]:
    """Return a column's values as those of Python, whose times have no nanoseconds."""
    import pyarrow

    if pyarrow.types.is_timestamp(column.type):
        column = column.cast(pyarrow.timestamp("us", column.type.tz), safe=False)
    values: list[object] = column.to_pylist()
    return values
