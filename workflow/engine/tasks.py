"""The handlers of the tasks of workflows, and the values that they take."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from workflow import records
from workflow.engine.ending import abort, cleanup, finalized
from workflow.engine.engine import Engine
from workflow.engine.running import advance, fanout, output, run_stage
from workflow.errors import BadTaskError, StageExitError

HANDLERS: dict[str, Callable[..., None]] = {
    "run": run_stage,
    "finalized": finalized,
    "output": output,
    "advance": advance,
    "fanout": fanout,
    "abort": abort,
    "cleanup": cleanup,
}
_NUMBERS = ("attempt", "page", "first")


def handle(engine: Engine, handler: str, fields: Mapping[str, str]) -> None:
    """Call the handler of a task with the values of the task.

    Raises KeyError for an unknown handler, BadTaskError for values that it does not take, and those
    errors of stages that the queue retries.
    """
    function = HANDLERS[handler]
    taken = _taken(function, fields)
    try:
        function(engine, **taken)
    except SystemExit as error:
        raise StageExitError(f"a stage has called sys.exit({error})") from error


def _taken(function: Callable[..., None], fields: Mapping[str, str]) -> dict[str, Any]:
    """The values of a task, as its handler takes them."""
    for name, word in fields.items():
        is_number = word.isascii() and word.isdigit() and len(word) < 10
        if not is_number if name in _NUMBERS else not records.is_id(word) and name != "cursor":
            raise BadTaskError(f"{name} is {word[:100]!r}, which this task does not take")
    taken: dict[str, Any] = {
        name: int(word) if name in _NUMBERS else word for name, word in fields.items()
    }
    try:
        inspect.signature(function).bind(None, **taken)
    except TypeError as error:
        raise BadTaskError(f"the task {function.__name__}: {error}") from error
    return taken
