"""Stages and their values as JSON values: plain functions over records."""

from typing import Any

from workflow import values
from workflow.arguments import SECRET
from workflow.records import ABORTED, DONE, Params, Record, Slot

LONGEST_VALUE = 2_000  # characters of a value in a tree

Tree = dict[str, Any]


def about(record: Record, params: Params, slots: dict[str, Slot]) -> Tree:
    """A stage without its arguments, outputs and children; `slots` has its default output."""
    told = {
        "classPath": record.class_path,
        "childCount": record.children,
        "queueName": params.queue_name,
        "currentAttempt": record.attempt + 1,
        "maxAttempts": params.max_attempts,
        "backoffSeconds": params.backoff_seconds,
        "backoffFactor": params.backoff_factor,
        "status": status_of(record, params, slots),
        "isOver": record.is_over,
        "createdTimeMs": record.created // 1000,
    }
    for name, usec in (
        ("startTimeMs", record.started),
        ("endTimeMs", record.finalized),
        ("nextRetryTimeMs", record.next_retry if record.state == "retry" else None),
    ):
        if usec is not None:
            told[name] = usec // 1000
    # A stage that succeeded at once may have waited before, say for its module.
    is_settled = record.status == DONE and not (record.attempt or record.end_attempt)
    if record.retry_message and not is_settled:
        told["lastRetryMessage"] = record.retry_message
    return told


def details(record: Record, params: Params, most: int | None = None) -> Tree:
    """Arguments, outputs and children: the first `most` of each."""
    shown = [(name, arg) for name, arg in params.kwargs.items() if not name.startswith(SECRET)]
    return {
        "args": [_argument(argument) for argument in params.args[:most]],
        "kwargs": {name: _argument(argument) for name, argument in shown[:most]},
        "argumentCount": len(params.args) + len(shown),
        "outputs": params.output_slots,
        "children": record.child_ids(0, most),
        "afterSlotKeys": params.after_all[:most],
    }


def slots_of(detail: Tree) -> list[str]:
    """The keys of the slots that `details` names."""
    given = [*detail["args"], *detail["kwargs"].values()]
    needed = [argument["slotKey"] for argument in given if argument["type"] == "slot"]
    return [*detail["outputs"].values(), *needed, *detail["afterSlotKeys"]]


def abort_message(root: Record, record: Record) -> Tree:
    """Why the workflow was aborted; the root shows it before its stages are aborted."""
    is_told = record.status == ABORTED or record.is_root
    return {"abortMessage": root.abort_message} if root.abort_message and is_told else {}


def failure(root: Record, failed: Record | None) -> Tree:
    """The stage whose failure aborted the workflow; empty if there is none."""
    if failed is None:
        return {}
    message = failed.retry_message or root.abort_message or ""
    told = {"pipelineId": failed.id, "classPath": failed.class_path, "message": message}
    return {"failure": told}


def said(entity: Any) -> Tree:
    """The message and links that the stage has set."""
    if entity is None:
        return {}
    found = {
        "statusTimeMs": entity["time"] // 1000,
        "statusMessage": entity["message"],
        "statusConsoleUrl": entity["console_url"],
        "statusLinks": values.loads(entity["links"]),
    }
    return {name: value for name, value in found.items() if value}


def status_of(record: Record, params: Params, slots: dict[str, Slot]) -> str:
    """The state that is shown: one of STATES, or `finalizing` once the default output is there."""
    default = slots.get(params.output_slots["default"])
    if record.status not in (DONE, ABORTED) and default is not None and default.is_filled:
        return "finalizing"
    return record.state


def _argument(argument: dict[str, Any]) -> Tree:
    if argument["type"] == "slot":
        return {"type": "slot", "slotKey": argument["slot"]}
    text = values.dumps(argument["value"])
    if len(text) > LONGEST_VALUE:
        return {"type": "value", "value": f"{text[:LONGEST_VALUE]}..."}
    return argument
