"""Files that appear when they are complete, and survive a power loss from then on."""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dfpipe.errors import DfpipeError


def write_whole(lines: Iterable[bytes], path: Path) -> int:
    """Write lines to a file that appears, or is replaced, when it is complete; return their number.

    A pipe or a device is written to as it is. Raises DfpipeError where it cannot be written.
    """
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as file:
                return _write(lines, file)
        with appearing(path) as file:
            return _write(lines, file)
    except OSError as error:
        raise DfpipeError(
            f"{path} cannot be written: {error.strerror}: name a file in a folder of yours"
        ) from error


def _write(lines: Iterable[bytes], file: BinaryIO) -> int:
    count = 0
    for line in lines:
        file.write(line)
        count += 1
    return count


@contextmanager
def appearing(path: Path) -> Iterator[BinaryIO]:
    """A new file to write, which takes the place of `path` when the block ends.

    It is `.NAME.part` beside `path` and locked. An exception removes it; what a killed process has
    left of it is written over. Raises DfpipeError if another process is writing it, and OSError.
    """
    part = path.with_name(f".{path.name}.part")
    with part.open("ab") as file:
        _lock(file, part)
        try:
            file.truncate(0)
            yield file
            file.flush()
            os.fsync(file.fileno())
            part.replace(path)
        # Also on Ctrl-C; a part that is left would be written over, but takes room.
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    _sync_folder(path.absolute().parent)


def _lock(file: BinaryIO, part: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # It may have been renamed or removed since it was opened.
        if os.path.samestat(os.fstat(file.fileno()), part.stat()):
            return
    except (BlockingIOError, FileNotFoundError):
        pass
    raise DfpipeError(f"{part} is being written by another process: wait until that has ended")


def _sync_folder(folder: Path) -> None:
    """Let a rename survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
