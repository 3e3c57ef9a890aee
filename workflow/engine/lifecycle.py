"""The steps in a stage's life, each within the transaction that makes it.

A stage waits until the slots that it needs are filled, runs, and is finalized when its outputs are
filled. A barrier represents such a wait. It watches one of its unfilled slots at a time, the last
one. When that slot is filled, the barrier moves to another unfilled slot, and fires if there is
none. So filling a slot wakes few barriers, and a barrier over thousands of slots checks each once.
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

INLINE_WAITING = 10  # barriers that are checked in the transaction that fills a slot
PAGE_WAITING = 100  # barriers on one page
LOOKED_AT_ONCE = 20  # slots that are read together
MOST_LOOKS = 200  # slots that one transaction checks for one barrier
LONGEST_WAIT = 30 * 86_400.0  # seconds before another attempt

DIED = "its process ended while no other stage ran in it: killed, or out of memory"

# Whether the stage has code to call when it is finalized.
Finalizes = Callable[[Record], bool]


@dataclass(frozen=True, slots=True)
class Child:
    """A stage to create: its class and arguments."""

    class_path: str
    params: Params


# Slots


def fill(unit: Unit, record: Record, key: str, value: str) -> None:
    """Fill a slot on behalf of a stage; `value` is JSON, or the name of stored parts."""
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
    """Make the stage wait for slots before it starts or is finalized."""
    name = barrier_id(record.stem, purpose)
    text = unit.stored(record.root, json.dumps(slots))
    barrier = Barrier(
        id=name, root=record.root, pipeline_id=record.id, slots_json=text, at=len(slots)
    )
    unit.change(barrier)
    unit.due[name] = None


def settle(unit: Unit, finalizes: Finalizes) -> None:
    """Check the barriers that are due, and those that become due by that."""
    while unit.due:
        name = next(iter(unit.due))
        del unit.due[name]
        advance(unit, name, finalizes)


def advance(unit: Unit, name: str, finalizes: Finalizes, known: int | None = None) -> None:
    """Fire a barrier, or make it watch an unfilled slot. Repeating this changes nothing.

    `known` is a place: all slots after it were filled already before the transaction.
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
            # It watches no slot now: the task continues here.
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
    """The last place, up to `at`, of an unfilled slot; -1 if all are filled.

    A filled slot stays filled, so the result can be computed before a transaction.
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
    """Create the stages that a generator yielded; `first` is the number of the first one."""
    ids = parent.child_ids(first, first + len(children))
    unit.load(pipelines=ids)
    unit.load(slots={key for child in children for key in child.params.blocking_slots()[-1:]})
    for name, child in zip(ids, children, strict=True):
        if unit.pipeline(name) is None:
            begin(unit, new_pipeline(unit, name, child, parent.incarnation, parent))


def new_pipeline(
    unit: Unit, name: str, child: Child, incarnation: str, parent: Record | None = None
) -> Record:
    """The record of a new stage, which is a root if it has no parent."""
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
    """Make a new stage wait for its arguments, or run it if they are all there."""
    slots = unit.params(record).blocking_slots()
    if slots:
        block(unit, record, START, slots)
    else:
        enqueue_run(unit, record, eta)
    unit.change(record)


def outputs_filled(unit: Unit, record: Record, finalizes: Finalizes) -> None:
    """Finalize a stage whose outputs are all filled, or mark it as done."""
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
    """Abort a workflow; returns False if it is over, or being aborted already."""
    if root.abort_requested or root.is_over:
        return False
    root.abort_requested, root.abort_message = True, message
    unit.enqueue(root, "abort", root=root.id)
    unit.change(root)
    return True


def abort(unit: Unit, record: Record, finalizes: Finalizes) -> None:
    """Abort one stage; its `finalized` is called if it has one."""
    record.status, record.deaths = ABORTED, 0
    if finalizes(record):
        enqueue_finalized(unit, record)
    else:
        record.finalized = unit.now
    unit.change(record)


def abort_from(unit: Unit, record: Record, message: str, finalizes: Finalizes) -> None:
    """Abort a workflow because one of its stages asks for it, or has no attempts left.

    That stage ends at once, even if it is asynchronous: nothing would complete it later.
    """
    root = unit.pipeline(record.root)
    if root is not None:
        # Also if the root is over already: it does not wait for every stage.
        root.failed = root.failed or record.id
        request_abort(unit, root, message)
        unit.change(root)
    abort(unit, record, finalizes)


def seconds_to_retry(params: Params, attempt: int) -> float:
    """How long a stage waits after an attempt, at most 30 days. The first attempt is 0."""
    try:
        seconds = params.backoff_seconds * params.backoff_factor**attempt
    except OverflowError:
        return LONGEST_WAIT
    return min(seconds, LONGEST_WAIT)


def failed(unit: Unit, record: Record, message: str, finalizes: Finalizes) -> bool:
    """Retry a stage later, or abort the workflow after its last attempt; True if it is retried."""
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
    """Count the deaths of a stage's process as failed attempts."""
    last = unit.params(record).max_attempts - 1
    record.attempt = max(record.attempt, min(record.attempt + attempts - 1, last))
    failed(unit, record, DIED, finalizes)


def end_failed(unit: Unit, record: Record, attempts: int, message: str) -> None:
    """Call `finalized` again later; after the last attempt, end the stage without it."""
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
    """End a stage that has all its outputs, or was aborted."""
    if record.status == RUN:
        record.status = DONE
    record.finalized = unit.now
    unit.change(record)
