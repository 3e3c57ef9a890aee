"""Tasks that finalize stages, abort workflows and delete them."""

import logging
from functools import partial
from typing import Any

from google.api_core.exceptions import InvalidArgument
from google.cloud.datastore.query import PropertyFilter

from workflow import registry
from workflow.engine import deaths, lifecycle, model
from workflow.engine.engine import Engine
from workflow.engine.running import LONGEST_MESSAGE, class_of
from workflow.engine.unit import Unit
from workflow.errors import BadTaskError
from workflow.ordering import evaluation
from workflow.records import ABORTED, RUN, WAITING, Record

ABORT_PAGE = 100
CLEANUP_PAGE = 200
CLEANUP_PAGES = 50  # in one task

_logger = logging.getLogger(__name__)


# finalized


def finalized(engine: Engine, pipeline_id: str, root: str, incarnation: str = "") -> None:
    """Call `finalized` of a stage that is done or aborted."""
    record = engine.record(pipeline_id, incarnation)
    if record is None or not _is_to_end(record):
        return
    found = class_of(engine, record)
    with deaths.GATE.entered(alone=deaths.must_run_alone(record)) as is_alone:
        begun = engine.transact(partial(_begin_end, record, is_alone))
        if begun is None:
            return
        arguments = engine.arguments(begun, must_resolve=begun.status != ABORTED)
        failure: str | None = None
        try:
            stage = engine.build(begun, found, *arguments)
            engine.resolve(stage.outputs)
            with evaluation():
                stage.finalized()
        except (Exception, SystemExit) as error:  # whatever the stage does there
            _logger.warning("finalized() of %s has failed", record.id, exc_info=error)
            failure = f"{type(error).__name__}: {error}"[:LONGEST_MESSAGE]
        engine.transact(partial(_end, begun, failure))


def _is_to_end(record: Record) -> bool:
    return not record.is_over and record.status in (RUN, ABORTED)


def _begin_end(seen: Record, is_alone: bool, unit: Unit) -> Record | None:
    """Record that `finalized` is about to be called; None if it must not be."""
    now = unit.again(seen)
    if now is None or not _is_to_end(now):
        return None
    if attempts := deaths.count(now):
        lifecycle.end_failed(unit, now, attempts, lifecycle.DIED)
        return None
    deaths.begin(now, is_alone)
    unit.change(now)
    return now


def _end(seen: Record, failure: str | None, unit: Unit) -> None:
    now = unit.again(seen)
    if now is None or now.is_over or now.end_attempt != seen.end_attempt:
        return
    deaths.forget(now)
    if failure is None:
        lifecycle.end(unit, now)
    else:
        lifecycle.end_failed(unit, now, 1, failure)


# abort


def abort(engine: Engine, root: str, cursor: str = "", incarnation: str = "") -> None:
    """Abort the stages of a workflow, a page of them, and the others in another task."""
    if engine.record(root, incarnation) is None:
        return
    query = engine.client.query(kind=model.PIPELINE)
    query.add_filter(filter=PropertyFilter("root", "=", root))
    try:
        found = query.fetch(limit=ABORT_PAGE, start_cursor=cursor.encode() or None)
        records = [model.pipeline_of(entity) for entity in found]
    except (InvalidArgument, ValueError) as error:  # as the two clients say it
        raise BadTaskError(
            f"cursor is {cursor[:100]!r}: expected a cursor of this store"
        ) from error
    for record in records:
        is_open = record.status in (WAITING, RUN) and not record.is_over
        if is_open and record.incarnation == incarnation:
            abort_one(engine, record)
    token = found.next_page_token
    if token and len(records) == ABORT_PAGE:
        after = token.decode() if isinstance(token, bytes) else token

        def step(unit: Unit) -> None:
            top = unit.pipeline(root)
            if top is not None and top.incarnation == incarnation:
                unit.enqueue(top, "abort", root=root, cursor=after)

        engine.transact(step)


def abort_one(engine: Engine, record: Record) -> None:
    """Abort one stage, unless it is asynchronous, runs, and cannot be cancelled."""
    if record.status == RUN and not _may_abort(engine, record):
        return

    def step(unit: Unit) -> None:
        now = unit.again(record)
        if now is not None and now.status in (WAITING, RUN) and not now.is_over:
            lifecycle.abort(unit, now, engine.finalizes)

    engine.transact(step)


def _may_abort(engine: Engine, record: Record) -> bool:
    try:
        found = registry.find(record.class_path)
        if not found.is_async():
            return True
        stage = engine.build(record, found, *engine.arguments(record, must_resolve=False))
        with deaths.GATE.entered():
            return bool(stage.try_cancel())
    except registry.MissingClassError:
        return True
    except deaths.BusyError:
        raise
    except Exception:  # whatever the stage does there
        _logger.exception("try_cancel() of %s has failed: it is left alone", record.id)
        return False


# cleanup


def cleanup(engine: Engine, root: str, incarnation: str = "") -> None:
    """Delete everything of a workflow; if there is much, the rest in another task."""
    top = engine.record(root, incarnation)
    if top is None:
        return
    most = float(CLEANUP_PAGES)
    try:
        Unit(engine.client, engine.service, 0).params(top)
    except LookupError:
        most = float("inf")  # what another task needs is deleted already
    for kind in model.KINDS:
        while keys := _keys_of(engine, kind, root):
            # The root goes last: its absence says that all of it is gone.
            others = [key for key in keys if kind != model.PIPELINE or key.name != root]
            if not engine.transact(partial(_delete, top, others or keys)) or not others:
                return
            most -= 1
            if most <= 0:
                engine.transact(lambda unit: unit.enqueue(top, "cleanup", root=root))
                return


def _delete(top: Record, keys: list[Any], unit: Unit) -> bool:
    """Delete these keys, unless the workflow is gone: they may belong to a newer one by now."""
    if unit.again(top) is None:
        return False
    unit.client.delete_multi(keys)
    return True


def _keys_of(engine: Engine, kind: str, root: str) -> list[Any]:
    query = engine.client.query(kind=kind)
    query.add_filter(filter=PropertyFilter("root", "=", root))
    query.keys_only()
    return [entity.key for entity in query.fetch(limit=CLEANUP_PAGE)]
