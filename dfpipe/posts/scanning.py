"""The first reading of archives: what they hold, and what of it cannot be read."""

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from dfpipe.posts.archives import Found, read
from dfpipe.posts.containers import ArchiveFile, Failure, PassedOver, Warned
from dfpipe.posts.formats import grailbird
from dfpipe.posts.formats.grailbird import LongText, LongTexts
from dfpipe.posts.formats.result import ArchiveError, Deletion, Result
from dfpipe.posts.post import Post

SHOW_EVERY = 500  # records

Progress = Callable[[str, int, int | None], None]  # stage, records done, records in all


@dataclass(frozen=True, slots=True)
class Scan:
    """What a first reading tells: how many records, which posts are deleted, the newest time.

    `failures` are the errors of the files that cannot be read, or not to their ends, by their
    names. `warnings` has a sentence for each empty file among others, and for other odd ones.
    """

    read: int
    deletions: npt.NDArray[np.int64]  # ascending and distinct; 8 bytes each, however many
    newest: datetime | None
    long_texts: LongTexts
    passed_over: dict[str, int]
    failures: dict[str, ArchiveError]
    warnings: tuple[str, ...] = ()

    def deletes(self, tid: int) -> bool:
        """Return whether a notice names this post."""
        place = bisect_left(self.deletions, tid)
        return place < len(self.deletions) and int(self.deletions[place]) == tid


def no_progress(stage: str, done: int, total: int | None) -> None:
    """Show no progress: what a scan is given outside a terminal."""


def scan(
    archives: Sequence[ArchiveFile], strict: bool = False, show: Progress = no_progress
) -> Scan:
    """Read all archives to their ends and store nothing.

    Raises ArchiveError if there is nothing to import, and with `strict` for the first file that
    cannot be read whole, the first record that would be skipped, and an empty file.
    """
    scanning = _Scanning(strict)
    for place, found in all_found(archives):
        scanning.add(place, found)
        if scanning.read % SHOW_EVERY == 0:
            show("checking", scanning.read, None)
    return scanning.result([archive.name for archive in archives])


class _Scanning:
    """A scan on its way."""

    def __init__(self, strict: bool) -> None:
        self.read = 0
        self._strict = strict
        self._newest: datetime | None = None
        self._deletions = array("q")
        self._long_texts = LongTexts()
        self._passed_over = Counter[str]()
        self._failures: dict[str, ArchiveError] = {}
        self._warnings: list[str] = []

    def add(self, place: str, found: Found) -> None:
        """Take what was found at a place."""
        if isinstance(found, PassedOver):
            self._passed_over[found.kind] += 1
        elif isinstance(found, LongText):
            self._long_texts.add(found)
        elif isinstance(found, Failure):
            if self._strict:
                raise found.error
            self._failures.setdefault(found.name, found.error)
        elif isinstance(found, Warned):
            if self._strict:
                raise ArchiveError(found.message)
            self._warnings.append(found.message)
        else:
            self._add_record(place, found)

    def _add_record(self, place: str, found: Result) -> None:
        self.read += 1
        if isinstance(found, Deletion):
            self._deletions.append(found.tid)
        elif isinstance(found, Post):
            self._newest = max(self._newest or found.created_at, found.created_at)
        elif self._strict:
            raise ArchiveError(
                f"{place}: {found.reason}: --strict stored nothing; fix the record, or import "
                "without --strict to skip it"
            )

    def result(self, names: Sequence[str]) -> Scan:
        """Return what was found. Raises ArchiveError where nothing was."""
        if not self.read:
            for error in self._failures.values():
                raise error
            if self._passed_over:
                raise _no_posts(names, self._passed_over)
            for message in self._warnings:
                raise ArchiveError(message)
        return Scan(
            self.read,
            np.unique(np.array(self._deletions, np.int64)),
            self._newest,
            self._long_texts,
            dict(self._passed_over),
            self._failures,
            tuple(self._warnings),
        )


def _no_posts(names: Sequence[str], passed_over: Mapping[str, int]) -> ArchiveError:
    holders = f"{names[0]} holds" if len(names) == 1 else "the files hold"
    kind = ""
    if grailbird.ACCOUNT in passed_over:
        kind = ": this seems to be an X archive without tweets.js"
    return ArchiveError(
        f"{holders} no posts{kind} (passed over: {counts(passed_over)}); name a file with posts"
    )


def counts(passed_over: Mapping[str, int]) -> str:
    """Return how many files of each kind were passed over, the most first.

    >>> counts({"empty files": 1, "media files": 1204})
    '1,204 media files, 1 empty file'
    """
    by_count = sorted(passed_over.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(
        f"{count:,} {kind if count > 1 else kind.replace('files', 'file', 1)}"
        for kind, count in by_count
    )


def all_found(archives: Iterable[ArchiveFile]) -> Iterator[tuple[str, Found]]:
    """Yield what is in some archives, one after another, each with its place."""
    for archive in archives:
        yield from read(archive)
