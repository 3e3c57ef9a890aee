"""A folder of slices in a bucket of Google Cloud Storage."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

from google.api_core.exceptions import GoogleAPIError, NotFound
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage

from dfpipe.slices.folder import File


class Bucket:
    """Objects below a prefix. Each is put whole by one request, so none is ever seen in part."""

    def __init__(self, url: str) -> None:
        """`url` is gs://BUCKET/PREFIX, the prefix being optional."""
        self.url = url
        name, _, prefix = url.removeprefix("gs://").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        with _as_os_errors(url):
            self._client = storage.Client()
            self._bucket = self._client.bucket(name)

    def prepare(self) -> None:
        """See that objects can be listed."""
        self.files("none")

    def files(self, within: str = "") -> list[File]:
        """Return the files below a folder, by the names of their objects."""
        folder = f"{self._prefix}{within}/" if within else self._prefix
        with _as_os_errors(self.url):
            blobs = self._client.list_blobs(self._bucket, prefix=folder)
            return [
                File(blob.name.removeprefix(self._prefix), blob.size, blob.updated)
                for blob in blobs
            ]

    def read(self, path: str) -> bytes:
        """Return the content of a file. Raises OSError if it is not there."""
        with _as_os_errors(f"{self.url}/{path}"):
            found: bytes = self._bucket.blob(self._prefix + path).download_as_bytes()
            return found

    def write(self, path: str, data: bytes) -> None:
        """Create or replace a file, as one object. Raises OSError."""
        with _as_os_errors(f"{self.url}/{path}"):
            self._bucket.blob(self._prefix + path).upload_from_string(data)

    def remove(self, paths: Collection[str]) -> None:
        """Remove files; those that are not there are no error."""
        for path in paths:
            # Another run may have removed it.
            with _as_os_errors(f"{self.url}/{path}"), suppress(NotFound):
                self._bucket.blob(self._prefix + path).delete()


@contextmanager
def _as_os_errors(what: str) -> Iterator[None]:
    try:
        yield
    except (GoogleAPIError, GoogleAuthError) as error:
        raise OSError(f"{what}: {error}") from error
