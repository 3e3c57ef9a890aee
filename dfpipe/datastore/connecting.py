"""From the URL of a store to a client."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from dfpipe.datastore.errors import StoreError
from dfpipe.datastore.protocol import Store
from dfpipe.errors import UsageError

if TYPE_CHECKING:
    from dfpipe.datastore.embedded import Client

FORMS = (
    "sqlite:///FILE (relative), sqlite:////FOLDER/FILE (absolute) or datastore://PROJECT, "
    "each with ?namespace=N if wanted"
)


@dataclass(frozen=True, slots=True)
class _Address:
    scheme: str
    name: str  # of a file, or a project
    options: dict[str, str]

    @property
    def file(self) -> Path:
        return Path(self.name)


def connect(
    url: str,
    *,
    create: bool = True,
    read_only: bool = False,
    verify: bool = False,
) -> Store:
    """Return a client of the store that the URL names.

    sqlite:///FILE gives the embedded client. A missing file is created if `create` is true;
    `read_only` refuses every put and delete; `verify` first checks the whole file for damage,
    which takes 0.2 s for a million posts.
    datastore://PROJECT?namespace=N&database=D gives google.cloud.datastore.Client, which honours
    DATASTORE_EMULATOR_HOST; the other options mean nothing there.

    Raises UsageError for another URL, StoreError if the store cannot be opened.
    """
    address = _address(url)
    if address.scheme == "sqlite":
        client = _embedded(address, create, read_only)
        if verify:
            client.database.verify()
        return client
    return _google(address.name, address.options)


def check(url: str) -> None:
    """Refuse what `connect` would refuse, before any long work; no store is created.

    Raises UsageError and StoreError, as `connect` does.
    """
    file = embedded_file(url)
    if file is None:
        return
    if file.exists():
        connect(url).close()
    elif not os.access(file.absolute().parent, os.W_OK):
        raise StoreError(
            f"{file} cannot be created: check that its folder exists and that you may write there"
        )


def embedded_file(url: str) -> Path | None:
    """The file of an embedded store; None for the URL of another store.

    Raises UsageError for what is not the URL of a store.
    """
    address = _address(url)
    return address.file if address.scheme == "sqlite" else None


def _address(url: str) -> _Address:
    try:
        parts = urlsplit(url, allow_fragments=False)
    except ValueError as error:
        raise UsageError(
            f"{url!r} is not the URL of a store ({error}); expected {FORMS}"
        ) from error
    if parts.scheme == "sqlite":
        options = _options(url, parts.query, {"namespace"})
        if parts.netloc or len(parts.path) < 2:
            raise UsageError(f"{url!r} does not name a file; expected {FORMS}")
        return _Address("sqlite", unquote(parts.path[1:]), options)
    if parts.scheme == "datastore":
        options = _options(url, parts.query, {"namespace", "database"})
        if not parts.netloc or parts.path.strip("/"):
            raise UsageError(f"{url!r} does not name a project; expected {FORMS}")
        return _Address("datastore", parts.netloc, options)
    raise UsageError(f"{url!r} is not the URL of a store; expected {FORMS}")


def _options(url: str, query: str, allowed: set[str]) -> dict[str, str]:
    options = {name: values[-1] for name, values in parse_qs(query).items()}
    unknown = sorted(set(options) - allowed)
    if unknown:
        known = ", ".join(sorted(allowed))
        raise UsageError(f"unknown option {unknown[0]!r} in {url!r}; expected {known}")
    return options


def _embedded(address: _Address, create: bool, read_only: bool) -> "Client":
    from dfpipe.datastore.embedded import Client

    return Client(
        address.file,
        address.options.get("namespace"),
        create=create,
        read_only=read_only,
    )


def _google(project: str, options: dict[str, str]) -> Store:
    from google.auth.exceptions import DefaultCredentialsError
    from google.cloud.datastore import Client

    try:
        client: Store = Client(  # whose methods test_protocol.py compares with those of Store
            project=project,
            namespace=options.get("namespace"),
            database=options.get("database"),
        )
    except DefaultCredentialsError as error:
        raise StoreError(
            f"no credentials for datastore://{project}: run `gcloud auth application-default "
            "login`, or set DATASTORE_EMULATOR_HOST to use an emulator"
        ) from error
    return client
