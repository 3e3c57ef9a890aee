"""A bucket of an emulator of Google Cloud Storage."""

from collections.abc import Iterator
from contextlib import contextmanager

from gcp_storage_emulator.server import create_server

NAME = "bucket"


@contextmanager
def serving_bucket() -> Iterator[str]:
    """Serve a bucket called NAME meanwhile; gives the value of STORAGE_EMULATOR_HOST."""
    server = create_server("127.0.0.1", 0, in_memory=True, default_bucket=NAME)
    server.start()
    try:
        yield f"http://127.0.0.1:{server._api._httpd.server_address[1]}"
    finally:
        server.stop()
