"""The options that several commands have, and what they name."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from dfpipe.errors import UsageError
from service.options import STORE_VARIABLE

if TYPE_CHECKING:
    from collector.settings import CollectorSettings
    from dfpipe.datastore import Store

QUEUE_YAML_OPTION = click.option(
    "--queue-yaml",
    metavar="FILE",
    envvar="COLLECTOR_QUEUE_YAML",
    show_envvar=True,
    default="queue.yaml",
    show_default=True,
    help="Defines the queues `timeline` and `ingest`.",
)


def settings_of(store: str | None, queue_yaml: str | None = None) -> "CollectorSettings":
    """The settings of the environment, with what the options name.

    Raises UsageError where no store is named.
    """
    # Here and not above: --help must not wait a tenth of a second for pydantic.
    from collector.settings import read_settings

    settings = read_settings(os.environ)
    settings = settings.changed(
        store=store or settings.store, queue_yaml=queue_yaml or settings.queue_yaml
    )
    if not settings.store:
        raise UsageError(f"no store is set: give --store sqlite:///FILE, or set {STORE_VARIABLE}")
    return settings


@contextmanager
def client_of(settings: "CollectorSettings") -> Iterator["Store"]:
    """A client of the settings' store, closed at the end."""
    from dfpipe.datastore import check, connect

    check(settings.store)
    client = connect(settings.store, verify=True)
    try:
        yield client
    finally:
        client.close()
