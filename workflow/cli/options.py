"""The options that several commands have, and what they name."""

import json
from collections.abc import Callable
from typing import Any

import click

from workflow import registry
from workflow.errors import UsageError
from workflow.pipeline import Pipeline
from workflow.settings import STORE as STORE_VARIABLE

Command = Callable[..., Any]

STORE = click.option(
    "--store",
    default="",
    metavar="URL",
    envvar=STORE_VARIABLE,
    show_envvar=True,
    help="The store: sqlite:///FILE or datastore://PROJECT.",
)
QUEUE_YAML = click.option(
    "--queue_yaml",
    default="",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="The file that defines the queues; default: those that the store was last used with.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
ID = click.argument("pipeline_id", metavar="ID")
MESSAGE = click.option(
    "--message", default="", metavar="TEXT", help="The reason; the status shows it."
)
_STAGE = (
    click.argument("path", metavar="MODULE.CLASS"),
    click.argument("arguments", metavar="[ARGUMENT]...", nargs=-1),
    click.option(
        "--kwargs", metavar="JSON", default="{}", help="Keyword arguments, as a JSON object."
    ),
    click.option("--queue_name", metavar="QUEUE", default="default", show_default=True),
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
            f"{error}: give MODULE.CLASS of a stage, as workflow.common.Sum"
        ) from error
    try:
        return found(*map(parse_word, arguments), **parse_kwargs(kwargs))
    except UsageError:
        raise
    except Exception as error:  # whatever the class has against them
        raise UsageError(f"{path} cannot be made of these arguments: {error}") from error


def parse_word(word: str) -> Any:
    """An argument: JSON where it is JSON, else a text.

    >>> parse_word("15"), parse_word("[1, 2]"), parse_word("anna"), parse_word('"15"')
    (15, [1, 2], 'anna', '15')
    """
    try:
        return json.loads(word, parse_constant=_refuse)
    except ValueError:
        return word


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


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
        raise UsageError(f"--kwargs {text!r} is no object: give one, as '{{\"seconds\": 3}}'")
    return found
