"""Compressed streams, recognised by their first bytes: gz, bz2, xz and zst."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

import zstandard

# What reading a damaged stream raises.
DAMAGE = (EOFError, OSError, lzma.LZMAError, zlib.error, zstandard.ZstdError)

_GZIP, _BZIP2, _XZ, _ZSTD = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"
# A kilobyte of zstd can hold 32 MiB, and a chunk is unpacked whole.
_ZSTD_CHUNK = 2**10


def is_compressed(head: bytes) -> bool:
    """Return whether a file that begins so is compressed."""
    return head.startswith((_GZIP, _BZIP2, _XZ, _ZSTD))


def decompressed(stream: BinaryIO, head: bytes) -> BinaryIO:
    """Return the plain bytes of a compressed stream, member after member.

    `head` are its first bytes, which are still to be read. Reading raises one of DAMAGE where the
    stream is damaged or ends early.
    """
    if head.startswith(_GZIP):
        return cast(BinaryIO, gzip.GzipFile(fileobj=stream))
    if head.startswith(_BZIP2):
        return cast(BinaryIO, bz2.BZ2File(stream))
    if head.startswith(_XZ):
        return cast(BinaryIO, lzma.LZMAFile(stream))
    return cast(BinaryIO, _ZstdFile(stream))


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
    while data := raw.read(_ZSTD_CHUNK):
        while data:
            frame = frame or decompressor.decompressobj()
            yield frame.decompress(data)
            data, ended = frame.unused_data, frame.eof
            frame = None if ended else frame
    if frame:
        raise EOFError("compressed data ends early")
