"""Archives as files: decompressed, cut into JSON documents, and read as results."""

import bz2
import gzip
import io
import json
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson
import zstandard

from dfpipe.errors import DfpipeError
from dfpipe.posts.formats import grailbird
from dfpipe.posts.formats.recognise import results
from dfpipe.posts.formats.result import UNKNOWN, Result, Skip

# One line, and a file that is one document, are held in memory whole.
MAX_DOCUMENT_BYTES = 256 * 2**20
# A file is in no known format when this many records at its beginning are in none.
HEAD_RECORDS = 100
_HEAD_BYTES = 2**20

BROKEN = Skip("broken JSON")
NOT_UTF8 = Skip("not UTF-8")
_UNREADABLE = (UNKNOWN, BROKEN, NOT_UTF8)
DAMAGE = (EOFError, OSError, lzma.LZMAError, zlib.error, zstandard.ZstdError)
_BOM = b"\xef\xbb\xbf"


class ArchiveError(DfpipeError):
    """A file cannot be read as an archive of posts."""


class UnknownFormatError(ArchiveError):
    """A file that is whole, but holds nothing in a known format."""


@dataclass(frozen=True, slots=True)
class Source:
    """An archive to read: its name for messages, and the file, which is read more than once."""

    name: str
    path: Path


def records(source: Source) -> Iterator[tuple[str, Result]]:
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


def _no_known_format(source: Source, place: str, first: Skip) -> ArchiveError:
    return UnknownFormatError(
        f"{source.name}:{place}: {first.reason}, and so are those after it: give posts as this "
        "project's own JSON lines or as X (v1.1, v2, personal archive), Bluesky or Mastodon write "
        "them, in UTF-8, plain or as gz, bz2, xz or zst"
    )


def _results(source: Source, stream: BinaryIO) -> Iterator[tuple[str, Result]]:
    empty = True
    for line, document in documents(source.name, stream):
        empty = False
        if isinstance(document, Skip):
            yield str(line), document
            continue
        for item, result in enumerate(results(document), 1):
            yield str(line) if line else f"item {item}", result
    if empty:
        raise UnknownFormatError(f"{source.name} is empty: name a file with posts")


@contextmanager
def _opened(source: Source) -> Iterator[BinaryIO]:
    try:
        raw = source.path.open("rb")
    except OSError as error:
        raise ArchiveError(f"{source.name} cannot be read: {error.strerror}") from error
    with raw:
        try:
            yield decompressed(raw)
        except DAMAGE as error:
            raise ArchiveError(
                f"{source.name} is damaged ({error}): get it again, or decompress what can be read "
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


def documents(name: str, stream: BinaryIO) -> Iterator[tuple[int, object]]:
    """Yield each JSON document with its line, or 0 where the file is one document.

    A document that cannot be parsed is a Skip. Blank lines and a byte order mark are passed over.
    Raises ArchiveError for a line or document of more than MAX_DOCUMENT_BYTES.
    """
    lines = _lines(name, stream)
    head = _head(lines)
    if _is_one_document(head):
        data = b"".join(head) + stream.read(MAX_DOCUMENT_BYTES)
        if stream.read(1):
            raise _too_long(name)
        document = parse(grailbird.unwrap(data))
        if not isinstance(document, Skip):
            yield 0, document
            return
        head, lines = [], iter(data.splitlines(keepends=True))
    for number, line in enumerate(chain(head, lines), 1):
        if not line.isspace():
            yield number, parse(line)


def grows_by_lines(path: Path) -> bool:
    """Return whether a file is plain text with documents on lines of their own, as a log grows.

    Raises OSError.
    """
    with path.open("rb") as raw:
        if decompressed(raw) is not raw:
            return False
        head = _head(_lines(str(path), raw))
    has_one_begun = len(head) == 1 and not head[0].endswith(b"\n")
    return has_one_begun or not _is_one_document(head)


def _lines(name: str, stream: BinaryIO) -> Iterator[bytes]:
    while line := stream.readline(MAX_DOCUMENT_BYTES + 1):
        if len(line) > MAX_DOCUMENT_BYTES:
            raise _too_long(name)
        yield line


def _too_long(name: str) -> ArchiveError:
    return ArchiveError(
        f"{name} holds a line or a document of over {MAX_DOCUMENT_BYTES:,} bytes: cut it into "
        "several, one post a line"
    )


def _head(lines: Iterator[bytes]) -> list[bytes]:
    head: list[bytes] = []
    size = 0
    for line in lines:
        head.append(line if head else line.removeprefix(_BOM))
        size += len(line)
        if len(head) == HEAD_RECORDS or size > _HEAD_BYTES:
            break
    return head


def _is_one_document(head: list[bytes]) -> bool:
    """Return whether a file that begins with these lines is one document over several lines."""
    first = next((line.lstrip() for line in head if not line.isspace()), b"")
    if grailbird.is_script(first):
        return True
    if not first.startswith((b"{", b"[")) or not isinstance(parse(first), Skip):
        return False
    # A line that is an object shows that the first is merely a broken one, but in a list each may.
    return first.startswith(b"[") or not any(isinstance(parse(line), dict) for line in head)


def parse(data: bytes) -> object:
    """Return the JSON document of a text in UTF-8, or the Skip that says why there is none.

    Half a surrogate pair, which some programs write, becomes U+FFFD.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return NOT_UTF8
    return _parse_leniently(text) if "\\ud" in text.lower() else BROKEN


def _parse_leniently(text: str) -> object:
    try:
        written = json.dumps(json.loads(text), ensure_ascii=False)
    except (ValueError, RecursionError):
        return BROKEN
    mended = written.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    try:
        return orjson.loads(mended)
    except orjson.JSONDecodeError:
        return BROKEN
