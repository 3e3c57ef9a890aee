"""What a person can do to a workflow: abort it, retry a stage, run it again, clean up."""

from typing import Any

from google.api_core.exceptions import GoogleAPICallError

from taskqueue import Error as TaskqueueError
from workflow import registry
from workflow.arguments import take_settings
from workflow.engine import lifecycle
from workflow.engine.engine import Engine
from workflow.engine.unit import Unit
from workflow.errors import Error, PipelineSetupError, UnknownPipelineError
from workflow.pipeline import Pipeline, inside
from workflow.records import RUN, START, WAITING, Record, barrier_id


class RefusedError(Error):
    """The stage is not in a state that allows the action; the message says why."""


def abort(engine: Engine, pipeline_id: str, message: str = "") -> str:
    """Abort the workflow of a stage; returns the root's id.

    Raises UnknownPipelineError, and RefusedError where it is over or aborted already.
    """
    record = _record(engine, pipeline_id)
    if not engine.abort_root(record.root, message or "aborted by hand", record.incarnation):
        root = _record(engine, record.root)
        raise RefusedError(
            "the workflow is over" if root.is_over else "the workflow is being aborted already"
        )
    return record.root


def cleanup(engine: Engine, pipeline_id: str) -> str:
    """Delete all that is stored of a workflow, in a task; returns the root's id.

    Raises UnknownPipelineError, and RefusedError where it is not over. A workflow whose root's
    `finalized` fails need not wait for its last attempt.
    """
    root = _record(engine, _record(engine, pipeline_id).root)
    if not root.is_over and not root.end_attempt:
        raise RefusedError("the workflow is not over: abort it first, or wait")
    engine.cleanup_root(root.id, root.incarnation)
    return root.id


def retry(engine: Engine, pipeline_id: str, message: str = "") -> None:
    """Let a stage run now that waits for its next attempt, or an asynchronous one run again.

    The second is for stages whose `try_cancel` lets them; it counts as an attempt. Others cannot be
    retried: what they have done counts already. Raises UnknownPipelineError and RefusedError.
    """
    record = _record(engine, pipeline_id)
    if _record(engine, record.root).abort_requested:
        raise RefusedError("its workflow is aborted: run the workflow again")
    if record.status == WAITING:
        _retry_now(engine, record)
    elif record.status == RUN:
        _retry_async(engine, record, message or "retried by hand")
    else:
        raise RefusedError("the stage is over: run the workflow again")


def _retry_now(engine: Engine, record: Record) -> None:
    """Run a waiting stage now, by another task than that which was to do it later."""

    def step(unit: Unit) -> str | None:
        now = unit.again(record)
        if now is None or now.status != WAITING or now.attempt != record.attempt:
            raise RefusedError("the stage has gone on meanwhile")
        barrier = unit.barrier(barrier_id(record.stem, START))
        if barrier is not None and not barrier.has_fired:
            raise RefusedError("the stage waits for others, not for another attempt")
        if now.next_retry is not None:
            now.next_retry = unit.now
        before = now.task
        lifecycle.enqueue_run(unit, now)
        return before

    queue, _, name = (engine.transact(step) or "").partition("/")
    if name:
        engine.service.store.delete(queue, [name], engine.service.now())


def _retry_async(engine: Engine, record: Record, message: str) -> None:
    if not _class_of(record).is_async():
        raise RefusedError("the stage has run, and waits for those that it yielded")
    stage = engine.stage(record.id, incarnation=record.incarnation)
    if stage is not None and record.attempt + 1 >= stage.max_attempts:
        raise RefusedError("the stage has no attempt left: run the workflow again")
    if stage is None or not stage.retry(message):
        raise RefusedError("the stage does not let itself be cancelled")


def rerun(engine: Engine, pipeline_id: str) -> str:
    """Start a workflow anew, with the arguments and settings of this one; returns its id.

    Raises UnknownPipelineError, and RefusedError where it cannot be started.
    """
    root = _record(engine, _record(engine, pipeline_id).root)
    found = _class_of(root)
    args, kwargs = engine.arguments(root)
    try:
        stage: Pipeline = found(*args, **kwargs)
    except Exception as error:  # whatever the class has against them by now
        raise RefusedError(f"{root.class_path} does not take its arguments: {error}") from error
    take_settings(stage, Unit(engine.client, engine.service, 0).params(root))
    inside(stage).engine = engine
    try:
        engine.start(stage, "", False, None, None)
    except (PipelineSetupError, TaskqueueError, GoogleAPICallError) as error:
        raise RefusedError(str(error)) from error
    return str(stage.pipeline_id)


def _record(engine: Engine, pipeline_id: str) -> Record:
    found = engine.record(pipeline_id)
    if found is None:
        raise UnknownPipelineError(f"there is no workflow with a stage {pipeline_id[:100]!r}")
    return found


def _class_of(record: Record) -> type[Any]:
    try:
        return registry.find(record.class_path)
    except registry.MissingClassError as error:
        raise RefusedError(str(error)) from error
