"""Starting a workflow: its root is stored and its first task added, both or neither."""

import hashlib
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from google.api_core.exceptions import GoogleAPICallError, RetryError

from taskqueue import Error as TaskqueueError
from taskqueue import Task, TaskQueueService
from taskqueue.storage.record import to_usec
from workflow.arguments import params_of
from workflow.engine import lifecycle
from workflow.engine.unit import Unit
from workflow.errors import Error, PipelineExistsError, PipelineSetupError
from workflow.pipeline import Pipeline, inside
from workflow.records import Params, stem_of
from workflow.slots import make_strict, own

# The part of workflow.engine.engine.Engine that a start needs: it is above this module.
Transact = Callable[[Callable[[Unit], Any]], Any]
LONGEST_KEY = 500  # bytes; the keys of slots and barriers begin with it


def root_id(idempotence_key: str | bytes) -> str:
    """The id of a root: the key, its SHA-1 if it is not UTF-8, or a random id if it is empty."""
    given = idempotence_key
    if not isinstance(given, str | bytes):
        raise PipelineSetupError(f"the idempotence key is {given!r}: give a text")
    raw = given if isinstance(given, bytes) else given.encode(errors="surrogatepass")
    if len(raw) > LONGEST_KEY:
        raise PipelineSetupError(f"the idempotence key is longer than {LONGEST_KEY} bytes")
    try:
        return raw.decode() or uuid.uuid4().hex
    except UnicodeDecodeError:
        return hashlib.sha1(raw).hexdigest()  # noqa: S324  # a name, no secret


def start(
    service: TaskQueueService,
    transact_alone: Transact,
    stage: Pipeline,
    idempotence_key: str | bytes,
    return_task: bool,
    countdown: float | None,
    eta: datetime | None,
) -> Task | None:
    """Store a root and add the task that runs it; see Pipeline.start."""
    if countdown is not None and eta is not None:
        raise PipelineSetupError("give a countdown or an eta, not both")
    name = root_id(idempotence_key)
    # An id that was generated belongs to no other workflow, ever.
    incarnation = uuid.uuid4().hex if idempotence_key else ""
    try:
        due = _due(service.now(), countdown, eta)
        if service.definition(stage.queue_name).is_pull:
            raise PipelineSetupError(
                f"queue {stage.queue_name!r} is a pull queue: name a push queue"
            )
        return _start(transact_alone, stage, (name, incarnation), return_task, due)
    except PipelineSetupError:
        raise
    except (
        Error,
        TaskqueueError,
        GoogleAPICallError,
        RetryError,
        TypeError,
        ValueError,
        OverflowError,
        RecursionError,
    ) as error:
        raise PipelineSetupError(f"Error starting {stage!r}: {error}") from error


def _due(now: int, countdown: float | None, eta: datetime | None) -> int | None:
    if countdown is not None:
        return now + round(countdown * 1_000_000)
    if eta is not None:
        if not isinstance(eta, datetime):
            raise TypeError(f"the eta is {eta!r}: give a datetime")
        return to_usec(eta if eta.tzinfo else eta.replace(tzinfo=UTC))
    return None


def _start(
    transact_alone: Transact,
    stage: Pipeline,
    identity: tuple[str, str],
    return_task: bool,
    eta: int | None,
) -> Task | None:
    name, incarnation = identity
    params: Params = params_of(stage, [])
    make_strict(stage.outputs)
    own(stage.outputs, stem_of(name, incarnation))
    params.output_slots = {slot.name: str(slot.key) for slot in stage.outputs}
    child = lifecycle.Child(stage.class_path, params)

    def step(unit: Unit) -> None:
        if unit.pipeline(name) is not None:
            raise PipelineExistsError(f"a workflow with the id {name!r} was started before")
        record = lifecycle.new_pipeline(unit, name, child, incarnation)
        if return_task:
            unit.change(record)
        else:
            lifecycle.begin(unit, record, eta)
        inside(stage).record = record

    try:
        transact_alone(step)
    # Also after Ctrl-C: nothing was stored, so the stage can be started again.
    except BaseException:
        inside(stage).record = None
        raise
    if not return_task:
        return None
    values = {"pipeline_id": name, "root": name, "attempt": 0}
    if incarnation:
        values["incarnation"] = incarnation
    when = None if eta is None else datetime.fromtimestamp(eta / 1_000_000, UTC)
    url = f"{params.base_path}/run"
    return Task(url=url, params=values, target=params.target, eta=when)
