"""Options shared by several commands, and the queues, files and tokens that they name."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from service.options import Command
from service.tables import print_csv, print_table
from taskqueue.errors import UsageError
from taskqueue.rest.client import RestClient
from taskqueue.rest.resources import QueueResources, Resource, decoded, encoded
from taskqueue.service import TaskQueueService, open_service

TOKEN = "TASKQUEUE_TOKEN"  # noqa: S105  # the name of a variable
# The first is for a store that holds the queues alone.
STORE_VARIABLES = ["TASKQUEUE_STORE", "DFPIPE_STORE"]
Api = QueueResources | RestClient

STORE = click.option(
    "--store",
    metavar="URL",
    envvar=STORE_VARIABLES,
    help="Use this store directly: sqlite:///FILE or datastore://PROJECT.  "
    "[env var: DFPIPE_STORE, or TASKQUEUE_STORE for a store of the queues alone]",
)
QUEUE_YAML = click.option(
    "--queue-yaml",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Read the queues from this file.  [default: those in the store]",
)

TASK_NAME = click.option("--task-name", metavar="NAME", required=True)
_API = (
    STORE,
    QUEUE_YAML,
    click.option(
        "--api-host", metavar="URL", help="Use the REST API at this address instead of a store."
    ),
    click.option("--service-version", default="v1beta2", show_default=True),
    click.option("--project-name", default="default", show_default=True),
    click.option(
        "--credentials-file",
        metavar="FILE",
        type=click.Path(dir_okay=False),
        help=f"Holds the bearer token for the REST API.  [env var: {TOKEN}, the token itself]",
    ),
    click.option("--taskqueue-name", metavar="QUEUE", default="default", show_default=True),
)


def api_options(command: Command) -> Command:
    """Give a command the options from which `connected` makes an Api."""
    for option in reversed(_API):
        command = option(command)
    return command


def connected(options: dict[str, Any], *, create: bool = False) -> Api:
    """The queues that the options of `api_options` name. Raises UsageError.

    A file is created only where `create` or a queue.yaml asks for it.
    """
    host, store = options["api_host"], options["store"]
    if host and click.get_current_context().get_parameter_source("store") is _COMMAND_LINE:
        raise UsageError("--store and --api-host are both given: give one of them")
    if host:
        return RestClient(
            host,
            options["project_name"],
            token_of(options["credentials_file"]),
            service_version=options["service_version"],
        )
    queue_yaml = options["queue_yaml"]
    service = service_of(store, queue_yaml, create=create or bool(queue_yaml))
    return QueueResources(service, options["project_name"])


_COMMAND_LINE = click.core.ParameterSource.COMMANDLINE


def local(options: dict[str, Any]) -> QueueResources:
    """The same for commands that the REST API does not have."""
    api = connected(options)
    if isinstance(api, RestClient):
        raise UsageError("the REST API cannot do this: give --store instead of --api-host")
    return api


def service_of(
    store: str | None, queue_yaml: str | None, *, create: bool = True
) -> TaskQueueService:
    """The service that options name, as `open_service`. Raises UsageError and ConfigError."""
    if not store:
        raise UsageError(
            "no store was given: give --store sqlite:///FILE (or DFPIPE_STORE), or --api-host"
        )
    return open_service(store, queue_yaml, create=create)


def token_of(file: str | None) -> str | None:
    """The token in a file, or else in the environment."""
    if not file:
        return os.environ.get(TOKEN) or None
    return next(iter(read_file(file).decode(errors="replace").split()), None)


def read_file(file: str) -> bytes:
    """The content of a file, or of the standard input for `-`. Raises UsageError."""
    try:
        if file == "-":
            return sys.stdin.buffer.read()
        return Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error


def show(resource: Resource) -> None:
    """Print a resource as JSON with sorted names."""
    click.echo(json.dumps(resource, indent=2, sort_keys=True))


def show_tasks(resource: Resource, format_: str, limit: int) -> None:
    """Print the first of a list of tasks, as the REST API's JSON, as CSV or as a table."""
    items = resource.get("items", [])[:limit]
    if format_ == "json":
        show(resource | ({"items": items} if items else {}))
        return
    # Of push and pull tasks, and of dead letters: each has some of them.
    names = ("id", "tag", "url", "retry_count", "enqueueTimestamp", "leaseTimestamp", "reason")
    rows = [{name: item.get(name, "") for name in names} for item in items]
    if format_ == "csv":
        print_csv(rows)
    else:
        print_table(names, [tuple(row.values()) for row in rows])


def cut(resource: Resource, most: int) -> Resource:
    """A list of tasks with each payload cut to at most `most` bytes."""
    items = resource.get("items", [])
    short = [i | {"payloadBase64": encoded(decoded(i["payloadBase64"])[:most])} for i in items]
    return resource | ({"items": short} if items else {})
