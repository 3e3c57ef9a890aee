"""The options that several commands share, and how they are parsed."""

import json
from collections.abc import Callable
from typing import Any

import click

from workflow import registry
from workflow.errors import UsageError
from workflow.pipeline import Pipeline
from workflow.settings import QUEUES_STORE
from workflow.settings import STORE as STORE_VARIABLE

Command = Callable[..., Any]

STORE = click.option(
    "--store",
    default="",
    metavar="URL",
    envvar=[QUEUES_STORE, STORE_VARIABLE],
    help="sqlite:///FILE or datastore://PROJECT.  "
    f"[env var: {STORE_VARIABLE}, or {QUEUES_STORE} for a store of queues and workflows alone]",
)
QUEUE_YAML = click.option(
    "--queue-yaml",
    default="",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Read the queues from this file.  [default: those in the store]",
)
ID = click.argument("pipeline_id", metavar="ID")
MESSAGE = click.option(
    "--message", default="", metavar="TEXT", help="The reason, which the status shows."
)
_STAGE = (
    click.argument("path", metavar="MODULE.CLASS"),
    click.argument("arguments", metavar="[ARGUMENT]...", nargs=-1),
    click.option(
        "--kwargs", metavar="JSON", default="{}", help="Keyword arguments, as a JSON object."
    ),
    click.option("--queue-name", metavar="QUEUE", default="default", show_default=True),
)


def stage_options(command: Command) -> Command:
    """Give a command the arguments from which `stage_of` makes a stage."""
    for option in reversed(_STAGE):
        command = option(command)
    return command


def stage_of(path: str, arguments: tuple[str, ...], kwargs: str) -> Pipeline:
    """The stage of a class with these arguments. Raises UsageError."""
    try:
        found: type[Pipeline] = registry.find(path)
    except registry.MissingClassError as error:
        raise UsageError(
            f"{error}: give the MODULE.CLASS of a stage, like workflow.common.Sum"
        ) from error
    try:
        return found(*map(parse_argument, arguments), **parse_kwargs(kwargs))
    except UsageError:
        raise
    except Exception as error:  # whatever the class has against them
        raise UsageError(f"{path} does not take these arguments: {error}") from error


def parse_argument(text: str) -> Any:
    """An argument: read as JSON if possible, otherwise as text.

    >>> parse_argument("15"), parse_argument("[1, 2]"), parse_argument("anna")
    (15, [1, 2], 'anna')
    """
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def parse_kwargs(text: str) -> dict[str, Any]:
    """The keyword arguments of a JSON object. Raises UsageError.

    >>> parse_kwargs('{"seconds": 3}')
    {'seconds': 3}
    """
    try:
        found = json.loads(text, parse_constant=_refuse)
    except ValueError as error:
        raise UsageError(f"--kwargs {text!r} is not JSON ({error}): give an object") from error
    if not isinstance(found, dict):
        raise UsageError(f"--kwargs {text!r} is not an object: give one like '{{\"seconds\": 3}}'")
    return found
