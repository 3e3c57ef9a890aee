"""Pages that are two files of a tar: the first is kept until the second comes.

A tar is read once, from its beginning to its end, and has its files in any order.
"""

from collections.abc import Iterator

import zstandard

from dfpipe.posts.formats import v2
from dfpipe.posts.formats.result import ArchiveError

MOST_HELD = 2**28  # bytes, compressed: a page shrinks to a tenth
_OVERHEAD = 500  # bytes for a file however small


class Halves:
    """The files whose other halves are still to come, compressed, by their names."""

    def __init__(self, archive: str) -> None:
        self._archive = archive
        self._held: dict[str, bytes] = {}
        self._size = 0

    def add(self, name: str, data: bytes) -> Iterator[tuple[str, bytes, bytes | None]]:
        """Take a file that `v2.page_files` knows.

        Yield the files that can be read now: name, content, and the content of the file beside it.
        Raises ArchiveError if there are too many files without their other halves.
        """
        tweets, includes = v2.page_files(name) or ("", "")
        held = self._held.pop(includes if name == tweets else tweets, None)
        if held is None:
            self._hold(name, data)
            return
        self._size -= len(held) + _OVERHEAD
        other = zstandard.decompress(held)
        page = (data, other) if name == tweets else (other, data)
        yield tweets, *page
        yield includes, page[1], None

    def left(self) -> Iterator[tuple[str, bytes, None]]:
        """Yield the files without other halves."""
        for name, held in self._held.items():
            yield name, zstandard.decompress(held), None

    def _hold(self, name: str, data: bytes) -> None:
        self._held[name] = zstandard.compress(data)
        self._size += len(self._held[name]) + _OVERHEAD
        if self._size > MOST_HELD:
            raise ArchiveError(
                f"{self._archive} is too large for tweets and their users in separate files: "
                "unpack it, and import the folder"
            )
