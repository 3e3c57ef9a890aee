"""What the tasks of workflows do: one function for each handler."""

import inspect
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from google.api_core.exceptions import InvalidArgument
from google.cloud.datastore import Entity
from google.cloud.datastore.query import PropertyFilter

from workflow import registry
from workflow.engine import large, lifecycle, model
from workflow.engine.engine import Engine
from workflow.engine.evaluating import (
    ArgumentsError,
    ReturnValueError,
    check_filled,
    evaluate,
    fill_default,
)
from workflow.engine.lifecycle import Child
from workflow.engine.model import ABORTED, DONE, FINALIZE, RUN, WAITING, Record
from workflow.engine.unit import Unit
from workflow.errors import Abort, Retry, UnexpectedPipelineError
from workflow.ordering import evaluation
from workflow.pipeline import Pipeline

TOO_EARLY = 20_000_000  # microseconds
DIRECT_CHILDREN = 20  # that are made in the transaction in which their generator has run
PLAN_PAGE = 100  # children
WAITING_STEP = 10  # barriers in one transaction
ABORT_PAGE = 100
CLEANUP_PAGE = 200
CLEANUP_PAGES = 50  # in one task
LONGEST_MESSAGE = 1_000  # characters

_logger = logging.getLogger(__name__)


class BadTaskError(Exception):
    """A task has values that its handler does not take."""


class StageExitError(Exception):
    """A stage wants to end its process, which is that of others too."""


# run


def run(engine: Engine, pipeline_id: str, root: str, attempt: int) -> None:
    """Run a stage, at that attempt."""
    unit = Unit(engine.client, engine.service, engine.service.now())
    unit.load(pipelines=[pipeline_id, root])
    record, top = unit.pipeline(pipeline_id), unit.pipeline(root)
    if record is None or top is None or not _is_to_run(record, attempt):
        _logger.info("nothing to run: %s at attempt %d", pipeline_id, attempt + 1)
        return
    if top.abort_requested and record.status == WAITING:
        abort_one(engine, record)
        return
    if record.next_retry is not None and record.next_retry - unit.now > TOO_EARLY:
        raise UnexpectedPipelineError(f"the retry of {pipeline_id} comes too early")
    found = _class_of(engine, record)
    if found.is_async() and not _enter_async(engine, record):
        return
    args, kwargs = engine.arguments(record)
    try:
        stage = engine.build(record, found, args, kwargs)
        ending = _work(engine, stage, record)
    except (Exception, SystemExit) as error:  # a stage may call what was made as a program
        _handle(engine, record, error)
        return
    if ending is not None:
        engine.transact(ending)


def _is_to_run(record: Record, attempt: int) -> bool:
    return record.attempt == attempt and record.status in (WAITING, RUN)


def _class_of(engine: Engine, record: Record) -> type[Pipeline]:
    try:
        found: type[Pipeline] = registry.find(record.class_path)
    except registry.MissingClassError as error:
        _note(engine, record, str(error))
        raise
    return found


def _note(engine: Engine, record: Record, message: str) -> None:
    """Let the status tell why a stage stands still."""

    def step(unit: Unit) -> None:
        now = unit.pipeline(record.id)
        if now is not None and now.attempt == record.attempt and now.retry_message != message:
            now.retry_message = message
            unit.change(now)

    engine.transact(step)


def _enter_async(engine: Engine, record: Record) -> bool:
    """Let an asynchronous stage be running before `run` is called; whether it is to be called."""

    def step(unit: Unit) -> bool:
        now = unit.pipeline(record.id)
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
    stage._fills = {}
    with evaluation():
        result = stage.run(*stage.args, **stage.kwargs)
    children: list[Child] = []
    if inspect.isgenerator(result):
        children, result = evaluate(stage, result)
    if not children:
        fill_default(stage, result)
        check_filled(stage, record.params.output_slots)
    stored = {
        name: large.stored(engine.client, record.root, text) for name, text in stage._fills.items()
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
        now, top = unit.pipeline(record.id), unit.pipeline(record.root)
        if now is None or top is None or now.status != WAITING or now.attempt != record.attempt:
            return
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
    """Do what a stage that has raised is to lead to."""
    if not isinstance(error, Abort | Retry):
        _logger.warning("stage %s has failed", record.id, exc_info=error)
        if Unit(engine.client, engine.service, 0).params(record).task_retry:
            raise error
    plain = isinstance(error, Abort | Retry | ArgumentsError | ReturnValueError)
    message = str(error) if plain else f"{type(error).__name__}: {error}"

    def step(unit: Unit) -> None:
        now = unit.pipeline(record.id)
        if now is None or now.status != record.status or now.attempt != record.attempt:
            return
        if isinstance(error, Abort):
            lifecycle.abort_from(unit, now, message[:LONGEST_MESSAGE], engine.finalizes)
        else:
            lifecycle.failed(unit, now, message[:LONGEST_MESSAGE], engine.finalizes)

    engine.transact(step)


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
    return engine.client.key(model.PLAN, f"{record.id}/{record.attempt}/{first}")


def fanout(engine: Engine, pipeline_id: str, root: str, first: int) -> None:
    """Make a page of the stages that a generator has yielded."""
    record = engine.record(pipeline_id)
    if record is None:
        return
    page = engine.client.get(_plan_key(engine, record, first))
    if page is None:
        return
    text = large.read(engine.client, page["children"])
    children = [Child(path, model.Params.from_json(params)) for path, params in json.loads(text)]

    def step(unit: Unit) -> None:
        unit.load(pipelines=[pipeline_id, root])
        now, top = unit.pipeline(pipeline_id), unit.pipeline(root)
        if now is not None and now.status == RUN and top is not None and not top.abort_requested:
            lifecycle.make(unit, now, children, first)

    engine.transact(step)


# output, advance


def output(engine: Engine, slot_key: str, page: int, pipeline_id: str) -> None:
    """Tell those on a page that wait for a slot that it is filled."""
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


def advance(engine: Engine, barrier: str, pipeline_id: str) -> None:
    """Look at a barrier over many slots."""
    stored = Unit(engine.client, engine.service, 0).barrier(barrier)
    if stored is None or stored.has_fired:
        return
    slots = json.loads(large.read(engine.client, stored.slots_json))
    known = lifecycle.first_open(engine.client, slots, min(stored.at, len(slots) - 1))
    engine.transact(lambda unit: lifecycle.advance(unit, barrier, engine.finalizes, known))


# finalized


def finalized(engine: Engine, pipeline_id: str, root: str) -> None:
    """Call `finalized` of a stage that is done or aborted."""
    record = engine.record(pipeline_id)
    if record is None or record.is_over or record.status not in (RUN, ABORTED):
        return
    found = _class_of(engine, record)
    arguments = engine.arguments(record, must_resolve=record.status != ABORTED)
    stage = engine.build(record, found, *arguments)
    engine.resolve(stage.outputs)
    with evaluation():
        stage.finalized()

    def step(unit: Unit) -> None:
        now = unit.pipeline(pipeline_id)
        if now is None or now.is_over:
            return
        if now.status == RUN:
            now.status = DONE
        now.finalized = unit.now
        unit.change(now)

    engine.transact(step)


# abort


def abort(engine: Engine, root: str, cursor: str = "") -> None:
    """Abort the stages of a workflow, a page of them, and go on in another task."""
    query = engine.client.query(kind=model.PIPELINE)
    query.add_filter(filter=PropertyFilter("root", "=", root))
    try:
        found = query.fetch(limit=ABORT_PAGE, start_cursor=cursor.encode() or None)
        records = [model.pipeline_of(entity) for entity in found]
    except InvalidArgument as error:
        raise BadTaskError(f"cursor is {cursor[:100]!r}, which is none of this store") from error
    for record in records:
        if record.status in (WAITING, RUN) and not record.is_over:
            abort_one(engine, record)
    token = found.next_page_token
    if token and len(records) == ABORT_PAGE:
        after = token.decode() if isinstance(token, bytes) else token

        def step(unit: Unit) -> None:
            top = unit.pipeline(root)
            if top is not None:
                unit.enqueue(top, "abort", root=root, cursor=after)

        engine.transact(step)


def abort_one(engine: Engine, record: Record) -> None:
    """Abort one stage, unless it is asynchronous, runs, and does not let itself be cancelled."""
    if record.status == RUN and not _may_abort(engine, record):
        return

    def step(unit: Unit) -> None:
        now = unit.pipeline(record.id)
        if now is not None and now.status in (WAITING, RUN) and not now.is_over:
            lifecycle.abort(unit, now, engine.finalizes)

    engine.transact(step)


def _may_abort(engine: Engine, record: Record) -> bool:
    try:
        found = registry.find(record.class_path)
        if not found.is_async():
            return True
        stage = engine.build(record, found, *engine.arguments(record, must_resolve=False))
        return bool(stage.try_cancel())
    except registry.MissingClassError:
        return True
    except Exception:
        _logger.exception("try_cancel() of %s has failed: it is left alone", record.id)
        return False


# cleanup


def cleanup(engine: Engine, root: str) -> None:
    """Delete everything of a workflow; what is left when there is much, in another task."""
    unit = Unit(engine.client, engine.service, 0)
    top = unit.pipeline(root)
    most = float(CLEANUP_PAGES)
    try:
        if top is not None:
            unit.params(top)
    except LookupError:
        most = float("inf")  # what another task needs is deleted already
    for kind in model.KINDS:
        while keys := _keys_of(engine, kind, root):
            # The root goes last: its absence says that all of it is gone.
            others = [key for key in keys if kind != model.PIPELINE or key.name != root]
            engine.client.delete_multi(others or keys)
            most -= 1
            if top is not None and most <= 0:
                engine.transact(lambda unit: unit.enqueue(top, "cleanup", root=root))
                return


def _keys_of(engine: Engine, kind: str, root: str) -> list[Any]:
    query = engine.client.query(kind=kind)
    query.add_filter(filter=PropertyFilter("root", "=", root))
    query.keys_only()
    return [entity.key for entity in query.fetch(limit=CLEANUP_PAGE)]


HANDLERS: dict[str, Callable[..., None]] = {
    "run": run,
    "finalized": finalized,
    "output": output,
    "advance": advance,
    "fanout": fanout,
    "abort": abort,
    "cleanup": cleanup,
}
_NUMBERS = ("attempt", "page", "first")


def handle(engine: Engine, handler: str, words: Mapping[str, str]) -> None:
    """Do what a task says: the handler's name, and the values that were given to it.

    Raises KeyError for an unknown handler, BadTaskError for values that it does not take, and what
    the stages raise that is left to the queue.
    """
    function = HANDLERS[handler]
    taken = _taken(function, words)
    try:
        function(engine, **taken)
    except SystemExit as error:
        raise StageExitError(f"a stage has called sys.exit({error})") from error


def _taken(function: Callable[..., None], words: Mapping[str, str]) -> dict[str, Any]:
    """The values of a task, as its handler takes them."""
    for name, word in words.items():
        is_number = word.isascii() and word.isdigit() and len(word) < 10
        if not is_number if name in _NUMBERS else not model.is_id(word) and name != "cursor":
            raise BadTaskError(f"{name} is {word[:100]!r}, which this task does not take")
    taken: dict[str, Any] = {
        name: int(word) if name in _NUMBERS else word for name, word in words.items()
    }
    try:
        inspect.signature(function).bind(None, **taken)
    except TypeError as error:
        raise BadTaskError(f"the task {function.__name__}: {error}") from error
    return taken
