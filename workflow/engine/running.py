"""Tasks that run stages, create the children of generators, and pass on filled outputs."""

import inspect
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from google.cloud.datastore import Entity

from workflow import records, registry
from workflow.engine import deaths, large, lifecycle, model
from workflow.engine.engine import Engine
from workflow.engine.evaluating import (
    ArgumentsError,
    ReturnValueError,
    check_filled,
    evaluate,
    fill_default,
)
from workflow.engine.lifecycle import Child
from workflow.engine.unit import Unit
from workflow.errors import Abort, Retry, UnexpectedPipelineError
from workflow.ordering import evaluation
from workflow.pipeline import Pipeline, fills_of, inside
from workflow.records import FINALIZE, RUN, WAITING, Record

TOO_EARLY = 20_000_000  # microseconds
DIRECT_CHILDREN = 20  # that are made in the transaction in which their generator has run
PLAN_PAGE = 100  # children
WAITING_STEP = 10  # barriers in one transaction
LONGEST_MESSAGE = 1_000  # characters

_logger = logging.getLogger(__name__)


# run


def run_stage(
    engine: Engine, pipeline_id: str, root: str, attempt: int, incarnation: str = ""
) -> None:
    """Run a stage, if it is at that attempt."""
    record = engine.record(pipeline_id, incarnation)
    if record is None or not _is_to_run(record, attempt):
        _logger.info("nothing to run: %s at attempt %d", pipeline_id, attempt + 1)
        return
    found = class_of(engine, record)
    with deaths.GATE.entered(alone=deaths.must_run_alone(record)) as is_alone:
        begun = engine.transact(partial(_begin, engine, record, found, is_alone))
        if begun is None or (found.is_async() and not _enter_async(engine, begun)):
            return
        args, kwargs = engine.arguments(begun)
        try:
            ending = _work(engine, engine.build(begun, found, args, kwargs), begun)
        except (Exception, SystemExit) as error:  # a stage may call what was made as a program
            _handle(engine, begun, error)
            return
        # Still within the gate, or another stage might end the process before this counts.
        if ending is not None:
            engine.transact(ending)
        elif begun.deaths:
            engine.transact(partial(_forget, begun))


def _begin(
    engine: Engine, seen: Record, found: type[Pipeline], is_alone: bool, unit: Unit
) -> Record | None:
    """Record that the stage's code is about to be called; None if it must not be."""
    unit.load(pipelines=[seen.id, seen.root])
    now, top = unit.again(seen), unit.pipeline(seen.root)
    if now is None or top is None or not _is_to_run(now, seen.attempt):
        return None
    if now.status == RUN and not found.is_async():
        return None  # what it has done counts already
    if top.abort_requested and now.status == WAITING:
        lifecycle.abort(unit, now, engine.finalizes)
        return None
    if now.next_retry is not None and now.next_retry - unit.now > TOO_EARLY:
        raise UnexpectedPipelineError(f"the retry of {now.id} comes too early")
    if attempts := deaths.count(now):
        lifecycle.died(unit, now, attempts, engine.finalizes)
        return None
    deaths.begin(now, is_alone)
    unit.change(now)
    return now


def _is_to_run(record: Record, attempt: int) -> bool:
    return record.attempt == attempt and record.status in (WAITING, RUN)


def class_of(engine: Engine, record: Record) -> type[Pipeline]:
    """The class of a stage; if it cannot be imported, the status says so and the queue retries."""
    try:
        found: type[Pipeline] = registry.find(record.class_path)
    except registry.MissingClassError as error:
        _note(engine, record, str(error))
        raise
    return found


def _note(engine: Engine, record: Record, message: str) -> None:
    """Show in the status why a stage waits."""

    def step(unit: Unit) -> None:
        now = unit.again(record)
        if now is not None and now.attempt == record.attempt and now.retry_message != message:
            now.retry_message = message
            unit.change(now)

    engine.transact(step)


def _enter_async(engine: Engine, record: Record) -> bool:
    """Mark an asynchronous stage as running before `run` is called; returns whether to call it."""

    def step(unit: Unit) -> bool:
        now = unit.again(record)
        if now is None or not _is_to_run(now, record.attempt):
            return False
        slots = list(unit.params(now).output_slots.values())
        if now.status == RUN:
            # Called again: unless all is there already.
            return any(not unit.slot(key, now.root).is_filled for key in slots)
        now.status, now.started = RUN, unit.now
        lifecycle.block(unit, now, FINALIZE, slots)
        unit.change(now)
        return True

    if not engine.transact(step):
        return False
    record.status = RUN
    return True


def _work(engine: Engine, stage: Pipeline, record: Record) -> Callable[[Unit], None] | None:
    """Call `run`; returns the transaction that makes what it has done count."""
    if stage.is_async():
        with evaluation():
            result = stage.run(*stage.args, **stage.kwargs)
        if inspect.isgenerator(result):
            raise UnexpectedPipelineError(f"{stage!r} is asynchronous, so it cannot yield stages")
        return None
    started = engine.service.now()
    inside(stage).fills = {}
    with evaluation():
        result = stage.run(*stage.args, **stage.kwargs)
    children: list[Child] = []
    if inspect.isgenerator(result):
        children, result = evaluate(stage, result)
    if not children:
        fill_default(stage, result)
        check_filled(stage, record.params.output_slots)
    stored = {
        name: large.stored(engine.client, record.root, text)
        for name, text in fills_of(stage).items()
    }
    if len(children) > DIRECT_CHILDREN:
        _plan(engine, record, children)
    return _ending(engine, record, stored, children, started)


def _ending(
    engine: Engine, record: Record, fills: Mapping[str, str], children: Sequence[Child], began: int
) -> Callable[[Unit], None]:
    """The transaction that makes what a stage has done count."""

    def step(unit: Unit) -> None:
        unit.load(pipelines=[record.id, record.root])
        now, top = unit.again(record), unit.pipeline(record.root)
        if now is None or top is None or now.status != WAITING or now.attempt != record.attempt:
            return
        deaths.forget(now)
        if children and top.abort_requested:
            lifecycle.abort(unit, now, engine.finalizes)
            return
        keys = unit.params(now).output_slots
        unit.load(slots=[keys[name] for name in fills if name in keys])
        now.started = began
        now.children = len(children)
        for name, text in fills.items():
            lifecycle.fill(unit, now, keys[name], text)
        if children:
            _yielded(unit, now, children)
        else:
            lifecycle.outputs_filled(unit, now, engine.finalizes)
        unit.change(now)

    return step


def _yielded(unit: Unit, record: Record, children: Sequence[Child]) -> None:
    record.status = RUN
    if len(children) <= DIRECT_CHILDREN:
        lifecycle.make(unit, record, children, 0)
    else:
        for first in range(0, len(children), PLAN_PAGE):
            unit.enqueue(record, "fanout", pipeline_id=record.id, root=record.root, first=first)
    own = unit.params(record).output_slots.values()
    slots = [key for child in children for key in child.params.output_slots.values()]
    lifecycle.block(unit, record, FINALIZE, list(dict.fromkeys([*own, *slots])))


def _handle(engine: Engine, record: Record, error: Exception | SystemExit) -> None:
    """Retry or abort after a stage has raised an error."""
    if not isinstance(error, Abort | Retry):
        _logger.warning("stage %s has failed", record.id, exc_info=error)
        if Unit(engine.client, engine.service, 0).params(record).task_retry:
            engine.transact(partial(_forget, record))
            raise error
    plain = isinstance(error, Abort | Retry | ArgumentsError | ReturnValueError)
    message = str(error) if plain else f"{type(error).__name__}: {error}"

    def step(unit: Unit) -> None:
        now = unit.again(record)
        if now is None or now.status != record.status or now.attempt != record.attempt:
            return
        deaths.forget(now)
        if isinstance(error, Abort):
            lifecycle.abort_from(unit, now, message[:LONGEST_MESSAGE], engine.finalizes)
        else:
            lifecycle.failed(unit, now, message[:LONGEST_MESSAGE], engine.finalizes)

    engine.transact(step)


def _forget(seen: Record, unit: Unit) -> None:
    now = unit.again(seen)
    if now is not None:
        deaths.forget(now)
        unit.change(now)


# fanout


def _plan(engine: Engine, record: Record, children: Sequence[Child]) -> None:
    """Store what a generator has yielded, before it counts."""
    for first in range(0, len(children), PLAN_PAGE):
        page = children[first : first + PLAN_PAGE]
        text = json.dumps([[child.class_path, child.params.to_json()] for child in page])
        entity = Entity(_plan_key(engine, record, first), exclude_from_indexes=("children",))
        entity["root"] = record.root
        entity["children"] = large.stored(engine.client, record.root, text)
        with engine.client.batch() as batch:
            batch.put(entity)


def _plan_key(engine: Engine, record: Record, first: int) -> Any:
    return engine.client.key(model.PLAN, f"{record.stem}/{record.attempt}/{first}")


def fanout(engine: Engine, pipeline_id: str, root: str, first: int, incarnation: str = "") -> None:
    """Create one page of the stages that a generator has yielded."""
    record = engine.record(pipeline_id, incarnation)
    if record is None:
        return
    page = engine.client.get(_plan_key(engine, record, first))
    if page is None:
        return
    text = large.read(engine.client, page["children"])
    children = [Child(path, records.Params.from_json(params)) for path, params in json.loads(text)]

    def step(unit: Unit) -> None:
        unit.load(pipelines=[pipeline_id, root])
        now, top = unit.again(record), unit.pipeline(root)
        if now is not None and now.status == RUN and top is not None and not top.abort_requested:
            lifecycle.make(unit, now, children, first)

    engine.transact(step)


# output, advance


def output(
    engine: Engine, slot_key: str, page: int, pipeline_id: str, incarnation: str = ""
) -> None:
    """Look at the barriers on a page that wait for a slot, which is filled now."""
    slot = engine.slots([slot_key]).get(slot_key)
    if slot is None:
        return
    waiting = slot.waiting
    if page < slot.pages:
        key = engine.client.key(model.WAITING_PAGE, f"{slot_key}/{page}")
        entity = engine.client.get(key)
        waiting = list(entity["barriers"]) if entity else []
    for at in range(0, len(waiting), WAITING_STEP):
        some = dict.fromkeys(waiting[at : at + WAITING_STEP])
        engine.transact(partial(_look_at, some))


def _look_at(barriers: dict[str, None], unit: Unit) -> None:
    unit.due.update(barriers)


def advance(engine: Engine, barrier: str, pipeline_id: str, incarnation: str = "") -> None:
    """Look at a barrier over many slots."""
    stored = Unit(engine.client, engine.service, 0).barrier(barrier)
    if stored is None or stored.has_fired:
        return
    slots = json.loads(large.read(engine.client, stored.slots_json))
    known = lifecycle.first_open(engine.client, slots, min(stored.at, len(slots) - 1))
    engine.transact(lambda unit: lifecycle.advance(unit, barrier, engine.finalizes, known))
