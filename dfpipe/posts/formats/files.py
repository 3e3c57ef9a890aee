"""Archives as files: decompressed, cut into JSON documents, and read as results."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any, BinaryIO, cast

import zstandard

from dfpipe.posts.formats.json_stream import (
    BOM,
    BROKEN,
    HEAD_LINES,
    NOT_UTF8,
    PIECE,
    TOO_MANY,
    ArchiveError,
    documents,
    spans_lines,
)
from dfpipe.posts.formats.recognise import results
from dfpipe.posts.formats.result import UNKNOWN, Result, Skip

# A file is in no known format when this many records at its beginning are in none.
HEAD_RECORDS = 100

_UNREADABLE = (UNKNOWN, BROKEN, NOT_UTF8, TOO_MANY)
DAMAGE = (EOFError, OSError, lzma.LZMAError, zlib.error, zstandard.ZstdError)


class UnknownFormatError(ArchiveError):
    """A file that is whole, but holds nothing in a known format."""


class EmptyFileError(UnknownFormatError):
    """A file that holds nothing but white space."""


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """An archive to read: its name for messages, and the file, which is read more than once."""

    name: str
    path: Path


def records(source: ArchiveFile) -> Iterator[tuple[str, Result]]:
    """Yield each result of an archive with its place: "12" for line 12, "item 3" of one document.

    Nothing is yielded before a record in a known format is found. Raises ArchiveError for a file
    that is empty, damaged, or in no known format.
    """
    with _opened(source) as stream:
        found = _results(source, stream)
        head: list[tuple[str, Skip]] = []
        for place, result in found:
            if result not in _UNREADABLE:
                yield from chain(head, [(place, result)], found)
                return
            head.append((place, result))
            if len(head) == HEAD_RECORDS:
                break
        if head:
            raise _no_known_format(source, *head[0])


def _no_known_format(source: ArchiveFile, place: str, first: Skip) -> ArchiveError:
    return UnknownFormatError(
        f"{source.name}:{place}: {first.reason}, like the records after it. Give posts as JSON "
        "lines of this project, or as X (v1.1, v2, personal archive), Bluesky or Mastodon write "
        "them, in UTF-8, plain or as gz, bz2, xz or zst"
    )


def _results(source: ArchiveFile, stream: BinaryIO) -> Iterator[tuple[str, Result]]:
    is_empty = True
    items = count(1)
    for line, document in documents(source.name, stream):
        is_empty = False
        found = [document] if isinstance(document, Skip) else results(document)
        yield from ((str(line) if line else f"item {next(items)}", result) for result in found)
    if is_empty:
        raise EmptyFileError(f"{source.name} is empty: name a file with posts")


@contextmanager
def _opened(source: ArchiveFile) -> Iterator[BinaryIO]:
    try:
        raw = source.path.open("rb")
    except OSError as error:
        raise ArchiveError(f"{source.name} cannot be read: {error.strerror}") from error
    with raw:
        try:
            yield decompressed(raw)
        except DAMAGE as error:
            raise ArchiveError(
                f"{source.name} is damaged ({error}): get it again, or decompress what is readable "
                "of it and pass that to `dfpipe import -`"
            ) from error


def decompressed(raw: BinaryIO) -> BinaryIO:
    """Return a stream of the plain bytes of a file, told by its first ones, member after member."""
    magic = raw.read(6)
    raw.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, gzip.GzipFile(fileobj=raw))
    if magic.startswith(b"BZh"):
        return cast(BinaryIO, bz2.BZ2File(raw))
    if magic.startswith(b"\xfd7zXZ\x00"):
        return cast(BinaryIO, lzma.LZMAFile(raw))
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        return cast(BinaryIO, io.BufferedReader(_ZstdFile(raw), 2**17))
    return raw


class _ZstdFile(io.RawIOBase):
    """A reader of zstd that, unlike the library's, notices a file which ends too early."""

    def __init__(self, raw: BinaryIO) -> None:
        self._chunks = _zstd_chunks(raw)
        self._plain = memoryview(b"")

    def readable(self) -> bool:
        """Return True: it is there to be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as the current chunk goes; 0 bytes at the end."""
        while not self._plain:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._plain = memoryview(chunk)
        count = min(len(buffer), len(self._plain))
        buffer[:count] = self._plain[:count]
        self._plain = self._plain[count:]
        return count


def _zstd_chunks(raw: BinaryIO) -> Iterator[bytes]:
    # Archives of posts are often made with --long=31.
    decompressor = zstandard.ZstdDecompressor(max_window_size=2**31)
    frame = None
    while data := raw.read(2**14):
        while data:
            frame = frame or decompressor.decompressobj()
            yield frame.decompress(data)
            data, ended = frame.unused_data, frame.eof
            frame = None if ended else frame
    if frame:
        raise EOFError("compressed data ends early")


def grows_by_lines(path: Path) -> bool:
    """Return whether a file is plain text with documents on lines of their own, as a log grows.

    Raises OSError.
    """
    with path.open("rb") as raw:
        if decompressed(raw) is not raw:
            return False
        head = raw.read(PIECE).removeprefix(BOM).split(b"\n", HEAD_LINES)[:HEAD_LINES]
    has_one_begun = len(head) == 1
    return has_one_begun or not spans_lines(head)
