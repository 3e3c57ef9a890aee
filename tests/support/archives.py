"""Archives as tests read them."""

from collections.abc import Iterator
from pathlib import Path

from dfpipe.posts.archives import read
from dfpipe.posts.containers import ArchiveFile, Failure, Warned
from dfpipe.posts.formats.result import ArchiveError, Result


def records(path: Path) -> Iterator[tuple[str, Result]]:
    """Yield the records of an archive, each with its place, such as "12" for a line of a file.

    Raises what a Failure holds, and ArchiveError for a warning.
    """
    for place, found in read(ArchiveFile(path.name, path)):
        if isinstance(found, Failure):
            raise found.error
        if isinstance(found, Warned):
            raise ArchiveError(found.message)
        if isinstance(found, Result):
            yield place.removeprefix(f"{path.name}:"), found
