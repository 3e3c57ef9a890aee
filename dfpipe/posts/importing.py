"""From archives to a store: an import can be repeated, and changes nothing the second time."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from dfpipe.datastore import Store
from dfpipe.errors import UsageError
from dfpipe.posts.containers import ArchiveFile
from dfpipe.posts.formats.result import ArchiveError, Deletion, Result, Skip
from dfpipe.posts.post import Post
from dfpipe.posts.scanning import Progress, Scan, all_found, no_progress
from dfpipe.posts.storing import Stored, batches
from dfpipe.posts.storing import store as store_posts

PLACES_SHOWN = 5


@dataclass(slots=True)
class Report:
    """What became of the records that were read. Each is counted in one of five ways.

    `stored` counts new posts. `replaced` counts posts of which the store had an earlier version or
    a cut text, and `seen` those that it had already, or in a later or longer form. `deleted` counts
    deletion notices, earlier versions of edited posts, and the posts that these name. `skipped` has
    the first places for each reason. `removed` is how many posts were removed from the store.
    `passed_over` counts the files without posts by their kinds, and `failed` names those that could
    not be read, or not to their ends.
    """

    read: int = 0
    stored: int = 0
    replaced: int = 0
    seen: int = 0
    deleted: int = 0
    skipped: dict[str, "Skipped"] = field(default_factory=dict)
    removed: int = 0
    passed_over: dict[str, int] = field(default_factory=dict)
    failed: tuple[str, ...] = ()

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
        """Count one more; several records on one line share a place."""
        self.count += 1
        if len(self.first) < PLACES_SHOWN and place not in self.first:
            self.first.append(place)


@contextmanager
def sources(
    names: Sequence[str], stdin: BinaryIO, columns: Mapping[str, str] | None = None
) -> Iterator[list[ArchiveFile]]:
    """Give the archives of these names, "-" being standard input.

    `columns` are those of tables in them. All are read twice, so standard input and pipes are kept
    in a temporary file meanwhile. Raises UsageError for a name without a readable file, before
    anything is read.
    """
    for name in names:
        if name != "-":
            _check_readable(name)
    with tempfile.TemporaryDirectory(prefix="dfpipe-") as folder:
        found = [_source(name, stdin, Path(folder, str(n))) for n, name in enumerate(names)]
        yield [replace(archive, columns=columns or {}) for archive in found]


def _check_readable(name: str) -> None:
    if not os.path.exists(name):
        raise UsageError(f"{name} does not exist: name a file with posts, or - for standard input")
    if not os.access(name, os.R_OK):
        raise UsageError(f"{name} is not readable: change its permissions, or name another file")


def _source(name: str, stdin: BinaryIO, spool: Path) -> ArchiveFile:
    if name == "-":
        return _spooled("standard input", stdin, spool)
    path = Path(name)
    if path.is_file() or path.is_dir():
        return ArchiveFile(name if name == "/" else name.rstrip("/"), path)
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
    report = Report(passed_over=scanned.passed_over, failed=tuple(scanned.failures))
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


def _posts(archives: Sequence[ArchiveFile], scanned: Scan, report: Report) -> Iterator[Post]:
    """Yield the posts to store, and count everything else in the report."""
    for place, found in all_found(archives):
        if not isinstance(found, Result):
            continue  # the scan has it
        report.read += 1
        if isinstance(found, Skip):
            report.skipped.setdefault(found.reason, Skipped()).add(place)
        elif isinstance(found, Deletion) or scanned.deletes(found.tid):
            report.deleted += 1
        else:
            yield scanned.long_texts.whole(found)
