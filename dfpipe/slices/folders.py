"""Where slices are kept: a folder of this machine, or one in a bucket."""

import os
import re
import tempfile
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from dfpipe.datastore.connecting import embedded_file
from dfpipe.errors import UsageError
from dfpipe.slices.folder import File, Folder

NONE = "none"
FORMS = "a folder, gs://BUCKET/FOLDER or none"
PART = ".part"  # of a file that is being written


def chosen(value: str | None, source: str) -> str | None:
    """Return the folder that --cache names, the one beside a store by default; None for none.

    Raises UsageError.
    """
    if value is None:
        return beside(source)
    if not value or ("://" in value and not re.fullmatch("gs://[^/].*", value)):
        raise UsageError(f"--cache must be {FORMS} (got {value})")
    return None if value == NONE else value.rstrip("/") or "/"


def folder(url: str) -> Folder:
    """Return a folder, given as `chosen` returns it."""
    if is_local(url):
        return LocalFolder(Path(url))
    from dfpipe.slices.bucket import Bucket  # its client takes half a second to import

    return Bucket(url)


def is_local(url: str) -> bool:
    """Whether a folder is on this machine."""
    return "://" not in url


def prepare(url: str, source: str) -> None:
    """Make sure that slices can be kept in a folder.

    Raises UsageError; not for the one beside a store, which may be in a place for reading only.
    """
    try:
        folder(url).prepare()
    except OSError as error:
        if url != beside(source):
            raise UsageError(f"--cache={url} cannot be used: {error}") from error


def beside(source: str) -> str | None:
    """Return the folder of a store's slices where none is named; None without one.

    >>> beside("sqlite:///posts.db"), beside("datastore://project")
    ('posts.db.cache', None)
    """
    file = embedded_file(source)
    return None if file is None else f"{file}.cache"


class LocalFolder:
    """A folder of this machine; it is made when it is first written to, for this user only."""

    def __init__(self, path: Path) -> None:
        self.url = str(path)
        self._path = path

    def prepare(self) -> None:
        """Create the folder if it is absent. Raises OSError."""
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def files(self, within: str = "") -> list[File]:
        """Return the files, those under way included."""
        found = []
        for folder, _, names in os.walk(self._path / within):
            for name in names:
                file = Path(folder, name)
                with suppress(FileNotFoundError):  # removed meanwhile
                    status = file.stat()
                    written = datetime.fromtimestamp(status.st_mtime, UTC)
                    path = file.relative_to(self._path).as_posix()
                    found.append(File(path, status.st_size, written))
        return found

    def read(self, path: str) -> bytes:
        """Return the content of a file. Raises OSError."""
        return (self._path / path).read_bytes()

    def write(self, path: str, data: bytes) -> None:
        """Write a temporary file and rename it, so that readers see all or nothing."""
        file = self._path / path
        self.prepare()
        file.parent.mkdir(mode=0o700, exist_ok=True)
        number, part = tempfile.mkstemp(PART, f".{file.name}.", file.parent)
        try:
            with open(number, "wb") as stream:
                stream.write(data)
            os.replace(part, file)
        # Also on Ctrl-C: nothing else removes the part.
        except BaseException:
            os.unlink(part)
            raise

    def remove(self, paths: Collection[str]) -> None:
        """Remove files, and the folders that are empty then."""
        for path in paths:
            with suppress(FileNotFoundError):
                os.unlink(self._path / path)
        for folder in {(self._path / path).parent for path in paths}:
            with suppress(OSError):  # not empty
                folder.rmdir()
