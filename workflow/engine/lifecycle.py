"""The steps in a stage's life, each within the transaction that makes it.

A stage waits until the slots that it needs are filled, runs, and is finalized when its outputs are
filled. A barrier stands for such a wait. Of all its slots it watches one that is not filled, the
last; when that one is filled it looks for another, and fires when there is none. So a slot that is
filled concerns few, and a barrier over thousands of slots looks at each of them once.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from google.cloud.datastore import Entity

from dfpipe.datastore import Store
from workflow.engine import large, model
from workflow.engine.unit import Unit
from workflow.records import (
    ABORTED,
    DONE,
    FINALIZE,
    RUN,
    START,
    WAITING,
    Barrier,
    Params,
    Record,
    Slot,
    barrier_id,
)

INLINE_WAITING = 10  # barriers that the filling of a slot looks at itself
PAGE_WAITING = 100  # barriers on one page
LOOKED_AT_ONCE = 20  # slots
MOST_LOOKS = 200  # slots that one transaction looks at for one barrier
LONGEST_WAIT = 30 * 86_400.0  # seconds before another attempt

DIED = "its process ended while no other stage ran in it: killed, or out of memory"

# Whether something is to be called when the stage is finalized.
Finalizes = Callable[[Record], bool]


@dataclass(frozen=True, slots=True)
class Child:
    """A stage that is to be made: its class and arguments."""

    class_path: str
    params: Params


# Slots


def fill(unit: Unit, record: Record, key: str, value: str) -> None:
    """Fill a slot for a stage; `value` is JSON, or the name of parts."""
    slot = unit.slot(key, record.root)
    was_filled = slot.is_filled
    slot.value, slot.filler, slot.fill_time = value, record.id, unit.now
    if not was_filled:
        _notify(unit, record, slot)
    unit.change(slot)


def _notify(unit: Unit, record: Record, slot: Slot) -> None:
    if not slot.pages and len(slot.waiting) <= INLINE_WAITING:
        unit.due.update(dict.fromkeys(slot.waiting))
        slot.waiting = []
        return
    for page in range(slot.pages + 1):
        unit.enqueue(record, "output", slot_key=slot.id, page=page, pipeline_id=record.id)


def _wait_for(unit: Unit, key: str, barrier: Barrier) -> None:
    slot = unit.slot(key, barrier.root)
    slot.waiting.append(barrier.id)
    if len(slot.waiting) == PAGE_WAITING:
        unit.put(_page(unit, slot))
        slot.waiting, slot.pages = [], slot.pages + 1
    unit.change(slot)


def _page(unit: Unit, slot: Slot) -> Entity:
    key = unit.client.key(model.WAITING_PAGE, f"{slot.id}/{slot.pages}")
    entity = Entity(key, exclude_from_indexes=("barriers",))
    entity["root"] = slot.root
    entity["barriers"] = slot.waiting
    return entity


# Barriers


def block(unit: Unit, record: Record, purpose: str, slots: Sequence[str]) -> None:
    """Let the stage wait for slots before it starts or is finalized."""
    name = barrier_id(record.stem, purpose)
    text = unit.stored(record.root, json.dumps(slots))
    barrier = Barrier(
        id=name, root=record.root, pipeline_id=record.id, slots_json=text, at=len(slots)
    )
    unit.change(barrier)
    unit.due[name] = None


def settle(unit: Unit, finalizes: Finalizes) -> None:
    """Look at the barriers that are due, and do what follows."""
    while unit.due:
        name = next(iter(unit.due))
        del unit.due[name]
        advance(unit, name, finalizes)


def advance(unit: Unit, name: str, finalizes: Finalizes, known: int | None = None) -> None:
    """Let a barrier fire, or watch a slot that is not filled. Harmless when done again.

    `known`: all slots behind this place are filled, as was seen before the transaction.
    """
    barrier = unit.barrier(name)
    record = unit.pipeline(barrier.pipeline_id) if barrier is not None else None
    if barrier is None or record is None or barrier.has_fired:
        return
    slots = json.loads(unit.read(barrier.slots_json))
    first = at = min(barrier.at, len(slots) - 1, len(slots) if known is None else known)
    while at >= 0:
        if (first - at) % LOOKED_AT_ONCE == 0:
            unit.load(slots=slots[max(0, at - LOOKED_AT_ONCE + 1) : at + 1])
        if not unit.slot(slots[at], barrier.root).is_filled:
            break
        at -= 1
        if first - at == MOST_LOOKS:
            # It watches none now: the task goes on.
            barrier.at = at + 1
            unit.enqueue(record, "advance", barrier=name, pipeline_id=record.id)
            unit.change(barrier)
            return
    if at >= 0:
        if at != barrier.at:
            barrier.at = at
            _wait_for(unit, slots[at], barrier)
            unit.change(barrier)
        return
    barrier.at, barrier.trigger_time = -1, unit.now
    unit.change(barrier)
    _fire(unit, barrier, record, finalizes)


def _fire(unit: Unit, barrier: Barrier, record: Record, finalizes: Finalizes) -> None:
    if barrier.purpose == START and record.status == WAITING:
        enqueue_run(unit, record)
    elif barrier.purpose == FINALIZE and record.status == RUN:
        outputs_filled(unit, record, finalizes)


def first_open(client: Store, slots: Sequence[str], at: int) -> int:
    """The last place, up to `at`, of a slot that is not filled; -1 where there is none.

    A slot that is filled stays so, hence this may be looked up before a transaction.
    """
    page = 100
    while at >= 0:
        names = slots[max(0, at - page + 1) : at + 1]
        found = large.lookup(client, [client.key(model.SLOT, name) for name in names])
        filled = {entity.key.name for entity in found if "value" in entity}
        for name in reversed(names):
            if name not in filled:
                return at
            at -= 1
    return at


# Stages


def enqueue_run(unit: Unit, record: Record, eta: int | None = None) -> None:
    """Add the task that runs a stage."""
    record.task = unit.enqueue(
        record, "run", eta=eta, pipeline_id=record.id, root=record.root, attempt=record.attempt
    )
    unit.change(record)


def make(unit: Unit, parent: Record, children: Sequence[Child], first: int) -> None:
    """Make the stages that a generator yielded, of which the first has the number `first`."""
    ids = parent.child_ids(first, first + len(children))
    unit.load(pipelines=ids)
    unit.load(slots={key for child in children for key in child.params.blocking_slots()[-1:]})
    for name, child in zip(ids, children, strict=True):
        if unit.pipeline(name) is None:
            begin(unit, new_pipeline(unit, name, child, parent.incarnation, parent))


def new_pipeline(
    unit: Unit, name: str, child: Child, incarnation: str, parent: Record | None = None
) -> Record:
    """The record of a new stage; without a parent, of a root."""
    root = name if parent is None else parent.root
    record = Record(
        id=name,
        root=root,
        parent="" if parent is None else parent.id,
        incarnation=incarnation,
        class_path=child.class_path,
        params_json=unit.stored(root, child.params.to_json()),
        created=unit.now,
    )
    record.__dict__["params"] = child.params
    return record


def begin(unit: Unit, record: Record, eta: int | None = None) -> None:
    """Let a new stage wait for its arguments, or run it if it has them."""
    slots = unit.params(record).blocking_slots()
    if slots:
        block(unit, record, START, slots)
    else:
        enqueue_run(unit, record, eta)
    unit.change(record)


def outputs_filled(unit: Unit, record: Record, finalizes: Finalizes) -> None:
    """All outputs are filled: the stage is to be finalized, or done."""
    if finalizes(record):
        record.status, record.deaths = RUN, 0  # deaths of `run` are not those of `finalized`
        enqueue_finalized(unit, record)
    else:
        record.status, record.finalized = DONE, unit.now
    unit.change(record)


def enqueue_finalized(unit: Unit, record: Record, eta: int | None = None) -> None:
    """Add the task that finalizes a stage."""
    record.begun = None
    record.task = unit.enqueue(
        record, "finalized", eta=eta, pipeline_id=record.id, root=record.root
    )
    unit.change(record)


def request_abort(unit: Unit, root: Record, message: str) -> bool:
    """Abort a workflow; returns False if that was done before, or the workflow is over."""
    if root.abort_requested or root.is_over:
        return False
    root.abort_requested, root.abort_message = True, message
    unit.enqueue(root, "abort", root=root.id)
    unit.change(root)
    return True


def abort(unit: Unit, record: Record, finalizes: Finalizes) -> None:
    """Abort one stage."""
    record.status, record.deaths = ABORTED, 0
    if finalizes(record):
        enqueue_finalized(unit, record)
    else:
        record.finalized = unit.now
    unit.change(record)


def abort_from(unit: Unit, record: Record, message: str, finalizes: Finalizes) -> None:
    """Abort a workflow because one of its stages wants it, or can do no more.

    That stage ends at once, also where it is asynchronous: nobody would complete it.
    """
    root = unit.pipeline(record.root)
    if root is not None:
        # Also if the root is over already: it does not wait for every stage.
        root.failed = root.failed or record.id
        request_abort(unit, root, message)
        unit.change(root)
    abort(unit, record, finalizes)


def seconds_to_retry(params: Params, attempt: int) -> float:
    """How long a stage waits after an attempt, which counts from 0: 30 days at most."""
    try:
        seconds = params.backoff_seconds * params.backoff_factor**attempt
    except OverflowError:
        return LONGEST_WAIT
    return min(seconds, LONGEST_WAIT)


def failed(unit: Unit, record: Record, message: str, finalizes: Finalizes) -> bool:
    """Try a stage again later, or abort the workflow after its last attempt; returns which."""
    params = unit.params(record)
    record.begun = None
    record.retry_message = message
    if record.attempt + 1 >= params.max_attempts:
        who = "" if record.is_root else f"{record.class_path}#{record.id}: "
        reason = f"Aborting after {record.attempt + 1} attempts: {who}{message}"
        abort_from(unit, record, reason.rstrip(": "), finalizes)
        return False
    seconds = seconds_to_retry(params, record.attempt)
    record.attempt += 1
    record.status = WAITING
    record.next_retry = unit.now + round(seconds * 1_000_000)
    enqueue_run(unit, record, record.next_retry)
    return True


def died(unit: Unit, record: Record, attempts: int, finalizes: Finalizes) -> None:
    """Let the deaths of a stage's process count as so many failed attempts."""
    last = unit.params(record).max_attempts - 1
    record.attempt = max(record.attempt, min(record.attempt + attempts - 1, last))
    failed(unit, record, DIED, finalizes)


def end_failed(unit: Unit, record: Record, attempts: int, message: str) -> None:
    """Call `finalized` again later, or end a stage without it after the last attempt."""
    params = unit.params(record)
    record.end_attempt += attempts
    most = params.max_attempts
    record.begun = None
    record.retry_message = f"finalized() failed, attempt {record.end_attempt} of {most}: {message}"
    if record.end_attempt >= most:
        end(unit, record)
        return
    seconds = seconds_to_retry(params, record.end_attempt - 1)
    enqueue_finalized(unit, record, unit.now + round(seconds * 1_000_000))


def end(unit: Unit, record: Record) -> None:
    """Nothing more is to be done for a stage that has its outputs, or was aborted."""
    if record.status == RUN:
        record.status = DONE
    record.finalized = unit.now
    unit.change(record)
