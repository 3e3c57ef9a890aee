"""Find stages that would wait forever, and resume or end them.

A stage makes progress only while it has a task in a queue. A queue may give the task up, and a
person may purge or delete it. Nothing would ever happen to the stage then, so a cron job looks
for such stages every few minutes. It changes nothing for stages whose tasks are there.
"""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

from google.cloud.datastore.query import PropertyFilter

from taskqueue import TombstonedTaskError, UnknownTaskError
from taskqueue.storage.record import StoredTask
from workflow.engine import lifecycle, model
from workflow.engine.engine import Engine
from workflow.engine.running import PLAN_PAGE, advance
from workflow.engine.unit import Unit
from workflow.pipeline import revive
from workflow.records import ABORTED, FINALIZE, START, WAITING, Barrier, Record, barrier_id

_logger = logging.getLogger(__name__)
# What was done, and how often.
Report = Counter[str]

ABORTED_STAGE = "aborted"
ENDED = "ended"
RESUMED = "resumed"
FAILED = "failed"


def reap(engine: Engine) -> Report:
    """Look at every stage of every workflow that is open; returns what was done for how many.

    `resumed`: its task was lost, and is there again. `aborted`: its task was given up by the
    queue, so its workflow is aborted. `ended`: its `finalized` was given up, so it is over.
    `failed`: so many workflows could not be looked at; the log says why.
    """
    report: Report = Counter()
    for root in _open_roots(engine):
        try:
            _reap_root(engine, root, report)
        except Exception:  # the others are looked at all the same
            _logger.exception("workflow %s cannot be looked at", root)
            report[FAILED] += 1
    return report


def _open_roots(engine: Engine) -> Iterator[str]:
    query = engine.client.query(kind=model.PIPELINE)
    query.add_filter(filter=PropertyFilter("is_open", "=", True))
    query.keys_only()
    yield from [entity.key.name for entity in query.fetch()]


def _reap_root(engine: Engine, root: str, report: Report) -> None:
    query = engine.client.query(kind=model.PIPELINE)
    query.add_filter(filter=PropertyFilter("root", "=", root))
    is_aborting, is_over = False, True
    top: Record | None = None
    for entity in query.fetch():
        record = model.pipeline_of(entity)
        top = record if record.is_root else top
        is_aborting = is_aborting or record.abort_requested
        if not record.is_over:
            is_over = False
            _reap_stage(engine, record, report)
    if top is None:
        return  # deleted meanwhile
    if is_over:
        engine.transact(partial(_close, top))
    elif is_aborting:
        # Stages that its tasks have not reached are aborted now; others do not change.
        engine.transact(partial(_abort_again, top))


def _close(seen: Record, unit: Unit) -> None:
    """Look at it no more: all its stages are over, so there will be no others."""
    top = unit.again(seen)
    if top is not None:
        top.is_open = False
        unit.change(top)


def _abort_again(seen: Record, unit: Unit) -> None:
    top = unit.again(seen)
    if top is not None:
        unit.enqueue(top, "abort", root=top.id)


def _reap_stage(engine: Engine, record: Record, report: Report) -> None:
    purpose = START if record.status == WAITING else FINALIZE
    barrier = Unit(engine.client, engine.service, 0).barrier(barrier_id(record.stem, purpose))
    if record.status != ABORTED and barrier is not None and not barrier.has_fired:
        if purpose == FINALIZE:
            _reap_children(engine, record, report)
            _reap_run(engine, record, report)
            if not record.children and _revive(engine, record):
                report[RESUMED] += 1
                return
        _look(engine, record, barrier, report)
        return
    if record.task is None:
        return
    task = task_of(engine, record)
    if task is not None and task.dead is None:
        return
    if task is None:
        _change(engine, record, RESUMED, report, _resume)
    elif record.status == WAITING:
        _change(engine, record, ABORTED_STAGE, report, partial(_give_up, task))
    else:
        _change(engine, record, ENDED, report, partial(_end, task))


def task_of(engine: Engine, record: Record) -> StoredTask | None:
    """The task that was last added for a stage, given up or not; None where it is gone."""
    queue, name = str(record.task).split("/", 1)
    try:
        return engine.service.store.get(queue, name)
    except (UnknownTaskError, TombstonedTaskError):
        return None


def _change(
    engine: Engine,
    seen: Record,
    what: str,
    report: Report,
    change: Callable[[Engine, Unit, Record], None],
) -> None:
    """Change a stage, unless something has happened to it since it was seen."""

    def step(unit: Unit) -> bool:
        now = unit.again(seen)
        if now is None or (now.status, now.attempt, now.task, now.finalized) != (
            seen.status,
            seen.attempt,
            seen.task,
            seen.finalized,
        ):
            return False
        change(engine, unit, now)
        return True

    report[what] += engine.transact(step)


def _resume(engine: Engine, unit: Unit, record: Record) -> None:
    if record.status == WAITING:
        lifecycle.enqueue_run(unit, record, record.next_retry)
    else:
        lifecycle.enqueue_finalized(unit, record)


def _give_up(task: StoredTask, engine: Engine, unit: Unit, record: Record) -> None:
    record.retry_message = f"its task was given up by queue {task.queue}: {task.reason}"
    message = f"stage {record.id} was given up by queue {task.queue}: {task.reason}"
    lifecycle.abort_from(unit, record, message, engine.finalizes)


def _end(task: StoredTask, engine: Engine, unit: Unit, record: Record) -> None:
    record.retry_message = f"finalized() was given up by queue {task.queue}: {task.reason}"
    record.end_attempt += 1  # it has failed, so the status shows the message
    lifecycle.end(unit, record)


def _reap_run(engine: Engine, record: Record, report: Report) -> None:
    """Abort where the task that was to run an asynchronous stage was given up."""
    if record.task is None or record.children:
        return
    task = task_of(engine, record)
    if task is not None and task.dead is not None:
        _change(engine, record, ABORTED_STAGE, report, partial(_give_up, task))


def _revive(engine: Engine, record: Record) -> bool:
    """Let an asynchronous stage go on that waits for something lost; whether it did."""
    try:
        stage = engine.stage(record.id, incarnation=record.incarnation)
        return stage is not None and revive(stage, engine.service.now())
    except Exception:  # of the class, that may take other arguments by now
        _logger.exception("the stage %s cannot be looked at", record.id)
        return False


def _reap_children(engine: Engine, record: Record, report: Report) -> None:
    """Make the stages that a generator has yielded and that are not there."""
    for first in range(0, record.children, PLAN_PAGE):
        ids = record.child_ids(first, first + PLAN_PAGE)
        found = engine.client.get_multi([engine.client.key(model.PIPELINE, name) for name in ids])
        if len(found) < len(ids):
            _change(engine, record, RESUMED, report, partial(_fan_out, first))


def _fan_out(first: int, engine: Engine, unit: Unit, record: Record) -> None:
    unit.enqueue(record, "fanout", pipeline_id=record.id, root=record.root, first=first)


def _look(engine: Engine, record: Record, barrier: Barrier, report: Report) -> None:
    """Let a barrier fire whose last slot was filled without its being told."""
    slots = json.loads(Unit(engine.client, engine.service, 0).read(barrier.slots_json))
    if lifecycle.first_open(engine.client, slots, min(barrier.at, len(slots) - 1)) != barrier.at:
        advance(engine, barrier.id, record.id)
        report[RESUMED] += 1
