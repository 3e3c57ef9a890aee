"""Streams between the bytes of an archive and those who read its members."""

import io
import os
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, BinaryIO, cast

MOST_TAR_HEADER = 2**20  # bytes of a long name, or of other data about a member
MOST_READ = 64 * 2**20  # bytes in one piece: of the list of members of a zip


class Counted(io.RawIOBase):
    """Tells how many bytes are read, and gives all that come before an error.

    It can be sought in only if `is_seekable`: in a compressed stream that would take long.
    """

    def __init__(self, raw: BinaryIO, count: Callable[[int], None], is_seekable: bool) -> None:
        # One read of the stream below at a time: it loses what it has read before an error.
        self._read: Callable[[int], bytes] = getattr(raw, "read1", raw.read)
        self._raw = raw
        self._count = count
        self._is_seekable = is_seekable
        self._error: Exception | None = None

    def readable(self) -> bool:
        """Return True: it is there to be read."""
        return True

    def seekable(self) -> bool:
        """Return whether `seek` works, as it does for files."""
        return self._is_seekable

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place; return it, from the beginning."""
        if not self._is_seekable:
            raise io.UnsupportedOperation("seek")
        return self._raw.seek(offset, whence)

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, unless the end or an error comes first; an error is raised next time."""
        view = memoryview(buffer).cast("B")
        filled = 0
        try:
            if self._error:
                raise self._error
            while filled < len(view) and (data := self._read(len(view) - filled)):
                view[filled : filled + len(data)] = data
                filled += len(data)
        except Exception as error:  # whatever it is, it is raised
            if not filled:
                raise
            self._error = error
        self._count(filled)
        return filled


class Forward:
    """A stream for tarfile, in which it goes forward only."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream
        self._place = 0
        self._last = b""

    def read(self, size: int) -> bytes:
        """Return that many bytes, or those that are left."""
        self._last = self._stream.read(size)
        self._place += len(self._last)
        return self._last

    def tell(self) -> int:
        """The number of bytes read so far."""
        return self._place

    def seekable(self) -> bool:
        """Return False: backward it cannot go."""
        return False

    def seek(self, place: int) -> int:
        """Read on to a place that is not behind."""
        while self._place < place and self.read(min(place - self._place, 2**16)):
            pass
        return self._place

    def has_more(self) -> bool:
        """Return whether what was read last, or anything after it, is more than zeros."""
        while not self._last.strip(b"\0"):
            if not self.read(2**16):
                return False
        return True


class ShortReads:
    """A file for zipfile that refuses to read much at once, as a huge list of members is read."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self.seek, self.tell, self.close = raw.seek, raw.tell, raw.close
        self.seekable = raw.seekable

    def read(self, size: int = -1) -> bytes:
        """Return that many bytes, or those that are left. Raises OverflowError."""
        if size > MOST_READ:
            raise OverflowError("its list of members is too long")
        return self._raw.read(size)


class TarHeader(tarfile.TarInfo):
    """A member of a tar; a header that announces a very long name or note is refused."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "TarHeader":
        """Read a block of 512 bytes."""
        header = super().frombuf(buf, encoding, errors)
        is_note = not (header.isreg() or header.isdir() or header.issym() or header.islnk())
        if is_note and header.size > MOST_TAR_HEADER:
            raise tarfile.ReadError(f"a header of {header.size:,} bytes")
        return header


def tar_members(
    stream: io.BufferedReader,
) -> Iterator[tuple[tarfile.TarInfo, Callable[[], Any]]]:
    """Yield the members of a tar but its folders, each with what opens it, until the next one.

    Raises tarfile.TarError where the tar is damaged, and what reading the stream raises.
    """
    forward = Forward(stream)
    with tarfile.TarFile(fileobj=cast(BinaryIO, forward), tarinfo=TarHeader) as archive:
        while (info := archive.next()) is not None:
            cast(Any, archive).members.clear()  # a list that would grow with each one
            if not info.isdir():
                yield info, partial(archive.extractfile, info)
        if forward.has_more():
            raise tarfile.ReadError("no member begins where one should")
