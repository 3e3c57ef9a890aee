"""The engine: what starting, running, finalizing and aborting stages does to the store.

Each handler of a task may be called twice, late, out of order or by two processes at once, and may
be killed anywhere. So all that it decides upon it reads in the transaction in which it acts, and
what is to follow is added to a queue in the same transaction.
"""

import logging
import weakref
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from google.cloud.datastore import Entity

import taskqueue
from dfpipe.datastore import run_in_transaction
from taskqueue import Task, TaskQueueService
from taskqueue.storage.record import from_usec
from workflow import binding, records, registry, values
from workflow.arguments import take_settings
from workflow.engine import large, lifecycle, model, starting
from workflow.engine.unit import Unit
from workflow.errors import UnexpectedPipelineError
from workflow.mail import Ended, Mail, result_mail
from workflow.pipeline import Pipeline, ends_quietly, inside, mail_sender, record_of
from workflow.records import ABORTED, FINALIZE, RUN, WAITING, Record
from workflow.slots import PipelineFuture, Slot, fill, take

Result = TypeVar("Result")
# What was read and changed in each transaction of an application that stages are used in: a
# transaction does not see its own writes.
_units: "weakref.WeakKeyDictionary[Any, Unit]" = weakref.WeakKeyDictionary()
_logger = logging.getLogger(__name__)


class Engine:
    """Workflows on the queues and the store of a service.

    `mail` says how to send mails; with None, none are sent.
    """

    def __init__(self, service: TaskQueueService, mail: Mail | None = None) -> None:
        self.service = service
        self.client = service.client
        self.mail = mail

    def transact(self, step: Callable[[Unit], Result]) -> Result:
        """Run a step and what follows from it: in the transaction that is running, or in its own.

        A transaction of its own is tried again when others were quicker.
        """
        running = self.client.current_transaction
        if running is None:
            return self.transact_alone(step)
        unit = _units.get(running)
        if unit is None:
            unit = _units[running] = self._unit()
        return self._run(unit, step)

    def transact_alone(self, step: Callable[[Unit], Result]) -> Result:
        """Run a step and what follows from it in a transaction of its own."""
        units: list[Unit] = []

        def attempt() -> Result:
            units[:] = [self._unit()]
            return self._run(units[0], step)

        result = run_in_transaction(self.client, attempt)
        if units[0].has_enqueued:
            for wake in self.service.added:
                wake()
        return result

    def _unit(self) -> Unit:
        return Unit(self.client, self.service, self.service.now())

    def _run(self, unit: Unit, step: Callable[[Unit], Result]) -> Result:
        result = step(unit)
        lifecycle.settle(unit, self.finalizes)
        unit.flush()
        return result

    def finalizes(self, record: Record) -> bool:
        """Whether something is to be called when the stage is finalized."""
        try:
            found = registry.find(record.class_path)
        except registry.MissingClassError:
            return True  # the task will tell
        return not ends_quietly(found, record.is_root, self.mail is not None)

    # Stages as objects

    def record(self, pipeline_id: str, incarnation: str | None = None) -> Record | None:
        """The current record of a stage; None if there is none with that incarnation."""
        if not records.is_id(pipeline_id):
            return None
        found = Unit(self.client, self.service, 0).pipeline(pipeline_id)
        if found is None or incarnation not in (None, found.incarnation):
            return None
        return found

    def stage(
        self,
        pipeline_id: str,
        fallback: type[Pipeline] = Pipeline,
        resolve_outputs: bool = True,
        incarnation: str | None = None,
    ) -> Pipeline | None:
        """The stage with an id, and with that incarnation if given; None if there is none.

        It is of the class `fallback` if its own cannot be imported.
        """
        record = self.record(pipeline_id, incarnation)
        if record is None:
            return None
        try:
            found = registry.find(record.class_path)
        except registry.MissingClassError:
            found = fallback
        stage = self.build(record, found, *self.arguments(record, must_resolve=False))
        if resolve_outputs:
            self.resolve(stage.outputs)
        return stage

    def arguments(
        self, record: Record, *, must_resolve: bool = True
    ) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of a stage, filled slots as their values.

        Raises UnexpectedPipelineError if a slot is not filled; with `must_resolve=False`, the
        argument is a Slot then.
        """
        params = Unit(self.client, self.service, 0).params(record)
        slots = self.slots(params.argument_slots())

        def value_of(argument: dict[str, Any]) -> Any:
            if argument["type"] == "value":
                return argument["value"]
            key = argument["slot"]
            slot = slots.get(key)
            if slot is not None and slot.value is not None:
                return values.loads(large.read(self.client, slot.value))
            if must_resolve:
                raise UnexpectedPipelineError(f"{record.id} needs the slot {key}, not filled yet")
            return Slot("argument", key)

        args = [value_of(argument) for argument in params.args]
        return args, {name: value_of(argument) for name, argument in params.kwargs.items()}

    def build(
        self, record: Record, found: type[Pipeline], args: list[Any], kwargs: dict[str, Any]
    ) -> Pipeline:
        """The stage of a record, as a class makes it of these arguments."""
        stage: Pipeline = found(*args, **kwargs)
        params = Unit(self.client, self.service, 0).params(record)
        take_settings(stage, params)
        inside(stage).record, inside(stage).engine = record, self
        stage.outputs = PipelineFuture(found.output_names, force_strict=record.is_root)
        take(stage.outputs, params.output_slots)
        return stage

    def slots(self, keys: list[str]) -> dict[str, records.Slot]:
        """The slots that are stored, by key."""
        found: dict[str, records.Slot] = {}
        for at in range(0, len(keys), 500):
            some = [self.client.key(model.SLOT, key) for key in keys[at : at + 500]]
            for entity in large.lookup(self.client, some):
                found[entity.key.name] = model.slot_of(entity)
        return found

    def resolve(self, outputs: PipelineFuture) -> None:
        """Give the slots of a future the values that are there."""
        stored = self.slots([slot.key for slot in outputs if slot.key])
        for slot in outputs:
            found = stored.get(slot.key or "")
            if found is not None and found.value is not None:
                value = values.loads(large.read(self.client, found.value))
                fill(slot, value, found.filler, from_usec(found.fill_time or 0))

    # Calls of the stages

    def start(
        self,
        stage: Pipeline,
        idempotence_key: str | bytes,
        return_task: bool,
        countdown: float | None,
        eta: datetime | None,
    ) -> Task | None:
        """Store a root and add the task that runs it; see Pipeline.start."""
        return starting.start(
            self.service,
            self.transact_alone,
            stage,
            idempotence_key,
            return_task,
            countdown,
            eta,
        )

    def fill(self, stage: Pipeline, slot: Slot, text: str) -> None:
        """Fill an output of a stage that is not within `run`."""
        record = record_of(stage)
        stored = large.stored(self.client, record.root, text)

        def step(unit: Unit) -> None:
            found = unit.again(record)
            if found is not None and found.status != ABORTED:
                lifecycle.fill(unit, found, str(slot.key), stored)

        self.transact(step)

    def complete(self, stage: Pipeline, text: str) -> None:
        """Fill the default output of an asynchronous stage that is running."""
        record = record_of(stage)
        stored = large.stored(self.client, record.root, text)

        def step(unit: Unit) -> None:
            found = unit.again(record)
            if found is None or found.status not in (WAITING, RUN):
                return
            key = unit.params(found).output_slots["default"]
            if not unit.slot(key, found.root).is_filled:
                lifecycle.fill(unit, found, key, stored)
            if found.status == WAITING:
                # Sooner than its own start: a callback that a former attempt has asked for.
                found.status = RUN
                lifecycle.block(
                    unit, found, FINALIZE, list(unit.params(found).output_slots.values())
                )
                unit.change(found)

        self.transact(step)

    def retry(self, stage: Pipeline, message: str) -> bool:
        """Run a stage again that is running; whether it was."""
        record = record_of(stage)

        def step(unit: Unit) -> bool:
            found = unit.again(record)
            if found is None or found.status != RUN or found.attempt != record.attempt:
                return False
            return lifecycle.failed(unit, found, message, self.finalizes)

        return self.transact(step)

    def abort(self, stage: Pipeline, message: str) -> bool:
        """Abort the workflow of a stage; whether it was this call that did it."""
        record = record_of(stage)
        return self.abort_root(record.root, message, record.incarnation)

    def abort_root(self, root_id: str, message: str, incarnation: str | None = None) -> bool:
        """Abort a workflow; returns whether this call did it.

        With `incarnation`, a workflow that was started later with the same key is left alone.
        """

        def step(unit: Unit) -> bool:
            root = _root(unit, root_id, incarnation)
            return root is not None and lifecycle.request_abort(unit, root, message)

        return self.transact(step)

    def cleanup(self, stage: Pipeline) -> None:
        """Delete a workflow, in a task."""
        record = record_of(stage)
        self.cleanup_root(record.root, record.incarnation)

    def cleanup_root(self, root_id: str, incarnation: str | None = None) -> bool:
        """Delete a workflow, in a task; returns whether there is one. See `abort_root`."""

        def step(unit: Unit) -> bool:
            root = _root(unit, root_id, incarnation)
            if root is None:
                return False
            unit.enqueue(root, "cleanup", root=root.id)
            return True

        return self.transact(step)

    def set_status(
        self, stage: Pipeline, message: str | None, console_url: str | None, links: dict[str, str]
    ) -> None:
        """Store the message that a stage shows; the last write counts."""
        record = record_of(stage)
        names = ("message", "console_url", "links", "time")
        key = self.client.key(model.STATUS, record.stem)
        entity = Entity(key, exclude_from_indexes=names)
        entity["root"] = record.root
        entity["message"] = message
        entity["console_url"] = console_url
        entity["links"] = values.dumps(dict(sorted(links.items())))
        entity["time"] = self.service.now()
        with self.client.batch() as batch:
            batch.put(entity)

    def send_result_email(self, stage: Pipeline, sender: str | None) -> None:
        """Send a mail about how a workflow ended; failures are only logged."""
        mail = self.mail or Mail()
        send = mail_sender(stage) or mail.send
        if send is None:
            return
        try:
            root = str(stage.pipeline_id)
            ended = Ended(stage.class_path, root, stage.base_path, stage.was_aborted)
            send(*result_mail(ended, mail, sender))
        # `send` is the user's own; the workflow has ended whether or not its mail is sent.
        except Exception:
            _logger.exception("the mail about %s could not be sent", stage)


def _root(unit: Unit, root_id: str, incarnation: str | None) -> Record | None:
    root = unit.pipeline(root_id)
    if root is None or incarnation not in (None, root.incarnation):
        return None
    return root


def current() -> Engine:
    """The bound engine, or one on the queues that the process is bound to.

    Raises taskqueue.UsageError if there are none.
    """
    engine: Engine = binding.current()
    return engine


binding.enter("engine", lambda: Engine(taskqueue.binding.current()))
