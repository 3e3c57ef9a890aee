"""The files that an archive holds, a folder, a zip or a tar, one after another, as streams.

Nothing is written to the disk, so no name of a member leads anywhere, and memory is bounded,
whatever a file claims to hold: its members, the layers of archives within archives, and what all of
them unpack to are limited.
"""

import io
import os
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from dfpipe.posts.compression import DAMAGE, decompressed, is_compressed
from dfpipe.posts.formats.foreign import unread_kind
from dfpipe.posts.formats.recognise import HEAD_BYTES
from dfpipe.posts.formats.result import ArchiveError
from dfpipe.posts.formats.v2 import page_files
from dfpipe.posts.halves import Halves
from dfpipe.posts.streams import Counted, ShortReads, tar_members

MOST_LAYERS = 5  # a tar.gz in a zip are three
MOST_MEMBERS = 500_000
# Posts rarely shrink to a fiftieth. What a file unpacks to may be this many times its size, and
# small files may unpack to more.
MOST_RATIO = 200
FREE_BYTES = 256 * 2**20
# A zip is read from its end, so one within another archive is held in memory.
MOST_INNER_ZIP = 64 * 2**20
MOST_HALF = 64 * 2**20  # of a page in two files of a tar

_UNPACKING = (zipfile.BadZipFile, tarfile.TarError, struct.error, *DAMAGE)
# What zipfile raises for members that it cannot open, and for nonsense in the list of them.
_UNOPENED = (RuntimeError, ValueError, OverflowError, *_UNPACKING)
_ENCRYPTED = 1  # in the flags of a zip's member


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """An archive to read, a file or a folder, more than once; `name` is for messages.

    `columns` names columns of the tables in it by what they hold, where they are not to be guessed.
    """

    name: str
    path: Path
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Member:
    """A file to read: a stream of its plain bytes, good until the next one is asked for.

    `head` are its first HEAD_BYTES, which are still to be read. `is_alone` says that the archive is
    this file, plain or compressed, and not one that holds it among others. `beside` opens the file
    of another name in the same folder, for its beginning; it returns None where there is none. In a
    tar it finds the includes of a page alone. Read stream and neighbour within `reading`, which
    turns what a damaged stream raises into an ArchiveError.
    """

    name: str
    head: bytes
    stream: io.BufferedReader
    is_alone: bool
    beside: "Beside"


Beside = Callable[[str, int], bytes | None]  # the beginning of a file, so many bytes at most


def nothing_beside(name: str, size: int) -> None:
    """The `Beside` of what has no files beside it, such as standard input."""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A member without posts, by its kind in the plural, such as "media files"."""

    kind: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that cannot be read, or not to its end, and why."""

    name: str
    error: ArchiveError


@dataclass(frozen=True, slots=True)
class Warned:
    """Something odd that changes nothing of what is read."""

    message: str


Entry = Member | PassedOver | Failure | Warned


def members(source: ArchiveFile) -> Iterator[Entry]:
    """Yield the files of an archive, and what became of those that cannot be read.

    The members of a folder come in the order of their names, those of others in that of the file.
    A file that is neither folder nor archive is its own only member.
    """
    if not source.path.is_dir():
        yield from _file(source, is_alone=True)
        return
    unread: list[OSError] = []
    for path in _paths(source.path, unread.append):
        within = path.relative_to(source.path).as_posix()
        if kind := unread_kind(within):
            yield PassedOver(kind)
        else:
            yield from _file(ArchiveFile(f"{source.name}/{shown(within)}", path), is_alone=False)
    for error in unread:
        yield Failure(str(error.filename), _damaged(str(error.filename), error))


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn what a damaged or missing file raises into an ArchiveError."""
    try:
        yield
    except _UNPACKING as error:
        raise _damaged(name, error) from error


def shown(name: str) -> str:
    """Return a member's name for messages, without what a terminal would obey."""
    return "".join(char if char.isprintable() else "\ufffd" for char in name)


class _EncryptedError(RuntimeError):
    """A member of a zip needs a password."""


def _paths(folder: Path, on_error: Callable[[OSError], None]) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder, onerror=on_error):
        folders.sort()
        yield from (path for file in sorted(files) if (path := Path(parent, file)).is_file())


def _file(source: ArchiveFile, is_alone: bool) -> Iterator[Entry]:
    try:
        with source.path.open("rb") as raw:
            size = os.fstat(raw.fileno()).st_size
            beside = partial(_file_beside, source.path)
            yield from _Unpacking(source.name, size).layer(source.name, raw, is_alone, beside)
    except OSError as error:
        yield Failure(source.name, _damaged(source.name, error))


def _file_beside(path: Path, name: str, size: int) -> bytes | None:
    other = path.with_name(name)
    if not other.is_file():
        return None
    with other.open("rb") as file:
        return file.read(size)


def _damaged(name: str, error: Exception) -> ArchiveError:
    if isinstance(error, _EncryptedError):
        return ArchiveError(
            f"{name} is encrypted: unpack the archive with its password, and import the folder"
        )
    if isinstance(error, NotImplementedError):
        return ArchiveError(f"{name} cannot be unpacked here ({error}): use another program for it")
    if isinstance(error, OSError) and error.strerror:
        return ArchiveError(f"{name} cannot be read: {error.strerror}")
    return ArchiveError(f"{name} is damaged ({str(error) or 'it ends early'}): get it again")


class _Unpacking:
    """Unpacks one file, and counts what comes out of it."""

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._bytes_left = FREE_BYTES + MOST_RATIO * size
        self._members_left = MOST_MEMBERS

    def layer(
        self, name: str, raw: BinaryIO, is_alone: bool, beside: Beside, layers: int = 0
    ) -> Iterator[Entry]:
        """Yield what a stream holds: itself, or the members of what it unpacks to."""
        counted: Any = Counted(raw, self._count_bytes, is_seekable=layers == 0)
        stream = io.BufferedReader(counted, HEAD_BYTES)
        try:
            head = stream.peek(HEAD_BYTES)
            is_packed = is_compressed(head) or _is_zip(head) or _is_tar(head)
            if is_packed and layers == MOST_LAYERS:
                raise ArchiveError(
                    f"{name} is an archive in more than {MOST_LAYERS} others: unpack it, and name "
                    "what it holds"
                )
            if is_compressed(head):
                plain = decompressed(stream, head)
                yield from self.layer(name, plain, is_alone, nothing_beside, layers + 1)
            elif _is_zip(head):
                yield from self._zip(name, stream if layers else raw, layers + 1)
            elif _is_tar(head):
                yield from self._tar(name, stream, layers + 1)
            else:
                yield Member(name, head, stream, is_alone, beside)
        except ArchiveError as error:
            yield Failure(name, error)
        except _UNPACKING as error:
            yield Failure(name, _damaged(name, error))

    def _zip(self, name: str, stream: BinaryIO, layers: int) -> Iterator[Entry]:
        with _opened_zip(name, stream, is_inner=layers > 1) as archive:
            for info in archive.infolist():
                if not info.filename.endswith("/"):  # is_dir fails for an empty name
                    member = partial(_zip_member, archive, info)
                    beside = partial(_zip_beside, archive, info)
                    yield from self._member(name, info.filename, member, beside, layers)

    def _tar(self, name: str, stream: io.BufferedReader, layers: int) -> Iterator[Entry]:
        halves = Halves(name)
        damage: Exception | None = None
        try:
            for info, opened in tar_members(stream):
                if not info.isreg():
                    yield PassedOver("links and devices")
                elif page_files(info.name) and info.size <= MOST_HALF:
                    with opened() as half:
                        found = halves.add(info.name, half.read())
                    yield from self._halves(name, found, layers)
                else:
                    yield from self._member(name, info.name, opened, nothing_beside, layers)
        except _UNPACKING as error:
            damage = error  # what came before it is read
        yield from self._halves(name, halves.left(), layers)
        if damage:
            raise damage

    def _halves(
        self, archive: str, found: Iterable[tuple[str, bytes, bytes | None]], layers: int
    ) -> Iterator[Entry]:
        for name, data, other in found:
            opened, beside = partial(io.BytesIO, data), partial(_beginning, other)
            yield from self._member(archive, name, opened, beside, layers)

    def _member(
        self, archive: str, name: str, opened: Callable[[], Any], beside: Beside, layers: int
    ) -> Iterator[Entry]:
        self._count_bytes(0)
        self._members_left -= 1
        if self._members_left < 0:
            raise ArchiveError(
                f"{self._name} holds over {MOST_MEMBERS:,} files: unpack it, and import the folder"
            )
        whole = f"{archive}/{shown(name)}"
        if kind := unread_kind(name):
            yield PassedOver(kind)
            return
        if name.startswith("/") or ".." in name.split("/"):
            yield Warned(f"{whole} is named as if it were elsewhere; it is read where it is")
        try:
            with opened() as stream:
                yield from self.layer(whole, stream, False, beside, layers)
        except _UNOPENED as error:
            yield Failure(whole, _damaged(whole, error))

    def _count_bytes(self, count: int) -> None:
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise ArchiveError(
                f"{self._name} unpacks to over {MOST_RATIO} times its size, which archives of "
                "posts do not: if you trust it, unpack it, and import what it holds"
            )


def _beginning(data: bytes | None, name: str, size: int) -> bytes | None:
    return None if data is None else data[:size]


def _is_zip(head: bytes) -> bool:
    return head.startswith((b"PK\3\4", b"PK\5\6"))


def _is_tar(head: bytes) -> bool:
    try:
        return bool(tarfile.TarInfo.frombuf(head[: tarfile.BLOCKSIZE], "utf-8", "replace").name)
    except tarfile.HeaderError:
        return False


@contextmanager
def _opened_zip(name: str, stream: BinaryIO, is_inner: bool) -> Iterator[zipfile.ZipFile]:
    if is_inner:
        data = stream.read(MOST_INNER_ZIP + 1)
        if len(data) > MOST_INNER_ZIP:
            raise ArchiveError(
                f"{name} is a zip of over {MOST_INNER_ZIP:,} bytes in another archive: unpack "
                "that, and name this one"
            )
        stream = io.BytesIO(data)
    try:
        archive = zipfile.ZipFile(cast(BinaryIO, ShortReads(stream)))
    except zipfile.BadZipFile as error:
        raise ArchiveError(
            f"{name} is a zip that was cut off or damaged ({error}): get it again"
        ) from error
    except _UNOPENED as error:
        raise _damaged(name, error) from error
    with archive:
        yield archive


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    if info.flag_bits & _ENCRYPTED:
        raise _EncryptedError
    return archive.open(info)


def _zip_beside(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, size: int
) -> bytes | None:
    folder, slash, _ = info.filename.rpartition("/")
    try:
        other = archive.getinfo(f"{folder}{slash}{name}")
    except KeyError:
        return None
    try:
        with _zip_member(archive, other) as file:
            return file.read(size)
    except _UNOPENED as error:
        raise _damaged(shown(other.filename), error) from error
