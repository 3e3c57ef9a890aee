"""Posts of a store as lines of JSON."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from google.cloud.datastore.query import PropertyFilter

from dfpipe.datastore import Store
from dfpipe.errors import DfpipeError
from dfpipe.files import appearing
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
