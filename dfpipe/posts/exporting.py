"""Posts of a store as lines of JSON, into files that appear when they are complete."""

import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from google.cloud.datastore.query import PropertyFilter

from dfpipe.datastore import Store
from dfpipe.errors import DfpipeError
from dfpipe.posts.formats.own import to_line
from dfpipe.posts.post import KIND


def export_lines(
    client: Store, since: datetime | None = None, until: datetime | None = None
) -> Iterator[bytes]:
    """Yield the posts with since <= created_at < until as JSON lines, by created_at, then tid.

    What another program has stored with values of other types comes with null in their place.
    """
    query = client.query(kind=KIND, order=["created_at"])  # equal times come in the keys' order
    if since:
        query.add_filter(filter=PropertyFilter("created_at", ">=", since))
    if until:
        query.add_filter(filter=PropertyFilter("created_at", "<", until))
    for post in query.fetch():
        values = (post.get(name) for name in ("user", "text", "created_at", "urls", "edited_at"))
        yield to_line(post.key.id, *values)


def write_whole(lines: Iterable[bytes], path: Path) -> int:
    """Write lines to a file that appears, or is replaced, when it is complete; return their number.

    A pipe or a device is written to as it is. Raises DfpipeError where it cannot be written.
    """
    try:
        if path.exists() and not path.is_file():
            return _write(lines, path, "wb")
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            count = _write(lines, part, "xb")
            part.replace(path)
            _sync_folder(path.absolute().parent)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise DfpipeError(
            f"{path} cannot be written: {error.strerror}: name a file in a folder of yours"
        ) from error
    return count


def _write(lines: Iterable[bytes], path: Path, mode: str) -> int:
    count = 0
    with path.open(mode) as file:
        for line in lines:
            file.write(line)
            count += 1
        if mode == "xb":  # not a pipe or a device
            file.flush()
            os.fsync(file.fileno())
    return count


def _sync_folder(folder: Path) -> None:
    """Let a rename survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
