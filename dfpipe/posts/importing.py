"""Posts between archives and a store: import, as often as one likes, and export."""

import os
import shutil
import tempfile
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from dfpipe.datastore import Store
from dfpipe.errors import UsageError
from dfpipe.posts.formats.files import ArchiveFile, EmptyFileError, records
from dfpipe.posts.formats.json_stream import ArchiveError
from dfpipe.posts.formats.result import Deletion, Result, Skip
from dfpipe.posts.post import Post
from dfpipe.posts.storing import Stored, batches
from dfpipe.posts.storing import store as store_posts

PLACES_SHOWN = 5
SHOW_EVERY = 500  # records

Progress = Callable[[str, int, int | None], None]  # stage, records done, records in all


@dataclass(slots=True)
class Report:
    """What became of each record that was read: each is counted in one of five ways.

    `stored` are new posts, `replaced` those that were there in an earlier version or cut, `seen`
    those that were there as they are or in a later or longer form; `deleted` are notices of
    deletion, earlier versions of edited posts, and posts that one of these names; `skipped` gives
    for each reason the first places. `removed` tells how many posts were removed from the store.
    """

    read: int = 0
    stored: int = 0
    replaced: int = 0
    seen: int = 0
    deleted: int = 0
    skipped: dict[str, "Skipped"] = field(default_factory=dict)
    removed: int = 0

    def add(self, done: Stored) -> None:
        """Count what became of some posts."""
        self.stored += done.new
        self.replaced += done.replaced
        self.seen += done.seen
        self.removed += done.removed


@dataclass(slots=True)
class Skipped:
    """How many records were skipped for one reason, and where the first of them are."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, place: str) -> None:
        """Count one more; a line that holds several gives one place."""
        self.count += 1
        if len(self.first) < PLACES_SHOWN and place not in self.first:
            self.first.append(place)


@dataclass(frozen=True, slots=True)
class Scan:
    """What a first reading tells: how many records, which posts are deleted, the newest time.

    `warnings` has a sentence for each empty file among others.
    """

    read: int
    deletions: npt.NDArray[np.int64]  # ascending and distinct; 8 bytes each, however many
    newest: datetime | None
    warnings: tuple[str, ...] = ()

    def deletes(self, tid: int) -> bool:
        """Return whether a notice names this post."""
        place = bisect_left(self.deletions, tid)
        return place < len(self.deletions) and int(self.deletions[place]) == tid


def no_progress(stage: str, done: int, total: int | None) -> None:
    """Show nothing."""


@contextmanager
def sources(names: Sequence[str], stdin: BinaryIO) -> Iterator[list[ArchiveFile]]:
    """Give the archives of these names, "-" being standard input.

    They are read twice, so standard input and pipes are kept in a temporary file meanwhile. Raises
    UsageError for a name without a readable file, before anything is read.
    """
    for name in names:
        if name != "-":
            _check_readable(name)
    with tempfile.TemporaryDirectory(prefix="dfpipe-") as folder:
        yield [_source(name, stdin, Path(folder, str(number))) for number, name in enumerate(names)]


def _check_readable(name: str) -> None:
    if not os.path.exists(name):
        raise UsageError(f"{name} does not exist: name a file with posts, or - for standard input")
    if os.path.isdir(name):
        raise UsageError(f"{name} is a directory: name the files in it")
    if not os.access(name, os.R_OK):
        raise UsageError(f"{name} is not readable: change its permissions, or name another file")


def _source(name: str, stdin: BinaryIO, spool: Path) -> ArchiveFile:
    if name == "-":
        return _spooled("standard input", stdin, spool)
    if Path(name).is_file():
        return ArchiveFile(name, Path(name))
    with open(name, "rb") as pipe:
        return _spooled(name, pipe, spool)


def _spooled(name: str, stream: BinaryIO, spool: Path) -> ArchiveFile:
    try:
        with spool.open("wb") as copy:
            shutil.copyfileobj(stream, copy)
    except OSError as error:
        raise ArchiveError(
            f"{name} cannot be kept in {spool.parent}: {error.strerror}: set TMPDIR to a folder "
            "with room, or name a file instead"
        ) from error
    return ArchiveFile(name, spool)


def scan(
    archives: Sequence[ArchiveFile], strict: bool = False, show: Progress = no_progress
) -> Scan:
    """Read all archives to their ends and store nothing.

    Raises ArchiveError for a file that cannot be read whole, and with `strict` for the first record
    that would be skipped. An empty file is an error with `strict`, or if there is no other file.
    """
    count = 0
    empty: list[EmptyFileError] = []
    newest = None
    deletions = array("q")
    for count, (place, result) in enumerate(_all_records(archives, empty.append), 1):
        if isinstance(result, Post):
            newest = max(newest or result.created_at, result.created_at)
        elif isinstance(result, Deletion):
            deletions.append(result.tid)
        elif strict:
            raise ArchiveError(
                f"{place}: {result.reason}: --strict stored nothing; fix the record, or import "
                "without --strict to skip it"
            )
        if count % SHOW_EVERY == 0:
            show("checking", count, None)
    if empty and (strict or len(empty) == len(archives)):
        raise empty[0]
    warnings = tuple(map(str, empty))
    return Scan(count, np.unique(np.array(deletions, np.int64)), newest, warnings)


def _all_records(
    archives: Iterable[ArchiveFile], on_empty: Callable[[EmptyFileError], None]
) -> Iterator[tuple[str, Result]]:
    for archive in archives:
        try:
            for place, result in records(archive):
                yield f"{archive.name}:{place}", result
        except EmptyFileError as error:
            on_empty(error)


def store(
    archives: Sequence[ArchiveFile],
    scanned: Scan,
    client: Store,
    clock: Callable[[], datetime],
    *,
    shift_to: datetime | None = None,
    show: Progress = no_progress,
) -> Report:
    """Remove the posts that notices name and store the others, a whole batch at a time.

    The order of posts and notices does not matter: a post that a notice in any of the archives
    names is not stored. With `shift_to` all times move by one constant, so that the newest post
    gets that time. The clock gives each batch its `stored_at`.
    """
    moved = shift_to - scanned.newest if shift_to and scanned.newest else timedelta()
    report = Report()
    for gone in batches(map(int, scanned.deletions)):
        report.add(store_posts(client, (), gone, now=clock()))
    posts = (_moved(post, moved) for post in _posts(archives, scanned, report))
    for batch in batches(posts):
        report.add(store_posts(client, batch, now=clock()))
        show("storing", report.read, scanned.read)
    return report


def _moved(post: Post, by: timedelta) -> Post:
    if not by:
        return post
    edited_at = post.edited_at + by if post.edited_at else None
    return replace(post, created_at=post.created_at + by, edited_at=edited_at)


def _already_reported(_: EmptyFileError) -> None:
    """Pass over an empty file: `scan` has reported it."""


def _posts(archives: Sequence[ArchiveFile], scanned: Scan, report: Report) -> Iterator[Post]:
    """Yield the posts to store, and count everything else in the report."""
    for place, result in _all_records(archives, _already_reported):
        report.read += 1
        if isinstance(result, Skip):
            report.skipped.setdefault(result.reason, Skipped()).add(place)
        elif isinstance(result, Deletion) or scanned.deletes(result.tid):
            report.deleted += 1
        else:
            yield result
