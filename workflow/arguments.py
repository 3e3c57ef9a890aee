"""The arguments and settings of a stage, as they are stored."""

import math
from typing import Any

from workflow import values
from workflow.records import Params
from workflow.slots import PipelineFuture, Slot

# What `with_params` sets.
SETTINGS = ("backoff_seconds", "backoff_factor", "max_attempts", "target")
# Keyword arguments whose names begin so are shown nowhere.
SECRET = "secret_"  # noqa: S105


def params_of(stage: Any, after: list[str]) -> Params:
    """A stage, a `Pipeline`, as it is stored; it waits for the slots `after`, too.

    Raises TypeError or ValueError for arguments without JSON, and for settings that are wrong.
    """
    _check_settings(stage)
    return Params(
        args=[argument_of(value) for value in stage.args],
        kwargs={name: argument_of(value) for name, value in stage.kwargs.items()},
        after_all=after,
        output_slots={},
        queue_name=stage.queue_name,
        base_path=stage.base_path,
        backoff_seconds=stage.backoff_seconds,
        backoff_factor=stage.backoff_factor,
        max_attempts=stage.max_attempts,
        task_retry=stage.task_retry,
        target=stage.target,
    )


def take_settings(stage: object, params: Params) -> None:
    """Give a stage the settings that were stored."""
    for name in (*SETTINGS, "task_retry", "queue_name", "base_path"):
        setattr(stage, name, getattr(params, name))


def argument_of(value: object) -> dict[str, Any]:
    """An argument as Params have it: a value, or the slot that it comes from."""
    slot = value.default if isinstance(value, PipelineFuture) else value
    if isinstance(slot, Slot):
        if slot.key is None:
            raise TypeError(f"{slot!r} belongs to a stage that was not yielded before")
        return {"type": "slot", "slot": slot.key}
    # As it will be read, whatever becomes of the object that was given.
    return {"type": "value", "value": values.loads(values.dumps(value))}


def _check_settings(stage: Any) -> None:
    if not isinstance(stage.max_attempts, int) or stage.max_attempts < 1:
        raise ValueError(f"max_attempts is {stage.max_attempts!r}: give a whole number from 1")
    for name in ("backoff_seconds", "backoff_factor"):
        value = getattr(stage, name)
        if not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise ValueError(f"{name} is {value!r}: give a number from 0")
