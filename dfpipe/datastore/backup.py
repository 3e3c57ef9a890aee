"""A copy of an embedded store that is in use."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from dfpipe.datastore.connecting import embedded_file
from dfpipe.datastore.errors import StoreError
from dfpipe.errors import UsageError
from dfpipe.files import appearing

if TYPE_CHECKING:
    from dfpipe.datastore.embedded.database import Database


def backup(url: str, target: Path) -> int:
    """Copy an embedded store to a new file, which appears when it is complete; return its bytes.

    The copy is the store at one moment, however many processes are writing to it, and has all that
    is committed by then. A damaged store is refused.

    Raises UsageError for a store that is not embedded or a file that exists, StoreError where the
    store cannot be read or the copy cannot be written.
    """
    from dfpipe.datastore.embedded import Client  # it brings in Google's classes

    source = embedded_file(url)
    if source is None:
        raise UsageError(f"{url} is not a file: use `gcloud firestore export` to back it up")
    if target.exists():
        raise UsageError(f"{target} exists: name a new file")
    try:
        with (
            appearing(target) as copy,
            closing(Client(source, create=False, read_only=True)) as client,
        ):
            client.database.verify()
            _verify_rows(client.database)
            client.database.copy_to(Path(copy.name), target)
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}") from error
    return target.stat().st_size


def _verify_rows(database: "Database") -> None:
    """Raise StoreError where an entity is not what was written."""
    from dfpipe.datastore.embedded.records import check_rows  # it brings in Google's classes

    with database.translated(), database.lend() as connection:
        rows = connection.execute("SELECT kind, path, shape, data, checksum FROM entity")
        while some := rows.fetchmany(1000):
            check_rows(some)
