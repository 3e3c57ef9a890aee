"""Posts in CSV files with a header, as twarc-csv, twint, and publishers of data sets write them."""

import csv
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import BinaryIO

from dfpipe.posts.formats.columns import Columns, known_columns, row_post
from dfpipe.posts.formats.result import Result, Skip, attempt

BOM = "\ufeff"
_LONE_RETURN = re.compile("\r(?!\n)")
_DELIMITERS = ",;\t|"
_NAME = re.compile(r"[^\W\d][\w ./()#&%'+?-]{0,99}")  # of a column
_MOST_LINE = 2**24  # bytes
OTHER_LENGTH = Skip("a row with more or fewer fields than the header")
BROKEN = Skip("broken CSV")
# Sentiment140 has no header.
_SENTIMENT140 = ("target", "ids", "date", "flag", "user", "text")


def is_csv(head: bytes) -> bool:
    """Tell whether a file that begins so is a table: its first line has names of columns."""
    first, _, rest = head.decode("utf-8", "replace").removeprefix(BOM).partition("\n")
    names = _fields(first)
    if len(names) < 2 or rest.lstrip().startswith("{"):
        return False
    return _is_sentiment140(names) or all(map(_is_name, names))


def _fields(line: str) -> list[str]:
    try:
        return [name.strip() for name in next(csv.reader([line], delimiter=_delimiter(line)), [])]
    except csv.Error:
        return []


def _delimiter(header: str) -> str:
    return max(_DELIMITERS, key=header.count)


def _is_name(name: str) -> bool:
    return not name or _NAME.fullmatch(name) is not None  # pandas gives its index no name


def _is_sentiment140(fields: list[str]) -> bool:
    return len(fields) == 6 and fields[0] in ("0", "2", "4") and fields[1].isdigit()


def results(stream: BinaryIO, named: Mapping[str, str]) -> Iterator[tuple[str, Result]]:
    """Yield the post of each row, with the line on which the row begins.

    Raises UnknownColumnsError. Text that is not UTF-8 is read as Latin-1, line by line.
    """
    lines = _lines(stream)
    first = next(lines, "")
    names = _fields(first)
    begins = 2
    if _is_sentiment140(names):
        names, begins = list(_SENTIMENT140), 1
        lines = chain([first], lines)
    columns = known_columns(names, named)
    reader = csv.reader(lines, delimiter=_delimiter(first))
    while True:
        place = str(begins + reader.line_num)
        try:
            row = next(reader, None)
        except csv.Error:  # such as a quote without its pair; the next line is read as a new row
            yield place, BROKEN
            continue
        if row is None:
            return
        if row:
            yield place, _result(row, columns, len(names))


def _result(row: list[str], columns: Columns, width: int) -> Result:
    return OTHER_LENGTH if len(row) != width else attempt(row_post, row, columns)


def _lines(stream: BinaryIO) -> Iterator[str]:
    is_first = True
    while line := stream.readline(_MOST_LINE):
        try:
            text = line.decode()
        except UnicodeDecodeError:
            text = line.decode("latin-1")
        # Not every program quotes a carriage return; a reader takes it for the end of a row.
        text = _LONE_RETURN.sub(" ", text)
        yield text.removeprefix(BOM) if is_first else text
        is_first = False
