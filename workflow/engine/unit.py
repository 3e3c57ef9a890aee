"""What one transaction reads and changes of workflows, and adds to the queues."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from google.cloud.datastore import Entity

from dfpipe.datastore import Store
from taskqueue import TaskQueueService
from taskqueue.storage.record import Request, StoredTask
from workflow.engine import large, model
from workflow.records import Barrier, Params, Record, Slot, Stored

_KINDS: dict[type, str] = {
    Record: model.PIPELINE,
    Slot: model.SLOT,
    Barrier: model.BARRIER,
}
_READERS: dict[str, Any] = {
    model.PIPELINE: model.pipeline_of,
    model.SLOT: model.slot_of,
    model.BARRIER: model.barrier_of,
}
HEADERS = (("Content-Type", "application/x-www-form-urlencoded"),)


class Unit:
    """The records that a transaction has read or made, each once; `flush` writes what has changed.

    Everything that it changes, it has read before, so two that meet never both commit. `now` is in
    microseconds.
    """

    def __init__(self, client: Store, service: TaskQueueService, now: int) -> None:
        self.client = client
        self.now = now
        self._service = service
        self._records: dict[tuple[str, str], Stored | None] = {}
        self._changed: dict[tuple[str, str], Stored] = {}
        self._entities: list[Entity] = []
        self._tasks: list[StoredTask] = []
        self.has_enqueued = False
        # Large texts that were stored meanwhile, which the transaction does not see.
        self._texts: dict[str, str] = {}
        # Barriers whose slots may all be filled by now.
        self.due: dict[str, None] = {}

    # Reading

    def load(
        self,
        *,
        pipelines: Iterable[str] = (),
        slots: Iterable[str] = (),
        barriers: Iterable[str] = (),
    ) -> None:
        """Read, at once, what is not known yet."""
        wanted = [(model.PIPELINE, name) for name in pipelines]
        wanted += [(model.SLOT, name) for name in slots]
        wanted += [(model.BARRIER, name) for name in barriers]
        new = [each for each in dict.fromkeys(wanted) if each not in self._records]
        if not new:
            return
        found = large.lookup(self.client, [self.client.key(*each) for each in new])
        self._records.update(dict.fromkeys(new))
        for entity in found:
            kind = entity.key.kind
            self._records[kind, entity.key.name] = _READERS[kind](entity)

    def pipeline(self, name: str) -> Record | None:
        """A stage; None if there is none with that id, or it was deleted."""
        self.load(pipelines=[name])
        found = self._records[model.PIPELINE, name]
        assert found is None or isinstance(found, Record)
        return found

    def again(self, seen: Record) -> Record | None:
        """A stage that was seen before; None if it is gone, or its id belongs to a newer one."""
        now = self.pipeline(seen.id)
        return now if now is not None and now.incarnation == seen.incarnation else None

    def slot(self, name: str, root: str) -> Slot:
        """An output, which need not be stored yet."""
        self.load(slots=[name])
        found = self._records[model.SLOT, name]
        assert found is None or isinstance(found, Slot)
        return found or Slot(id=name, root=root)

    def barrier(self, name: str) -> Barrier | None:
        """A barrier; None if there is none with that id."""
        self.load(barriers=[name])
        found = self._records[model.BARRIER, name]
        assert found is None or isinstance(found, Barrier)
        return found

    def params(self, record: Record) -> Params:
        """The arguments of a stage, also where they are stored in parts."""
        if "params" not in record.__dict__:
            record.__dict__["params"] = Params.from_json(self.read(record.params_json))
        return record.params

    def read(self, text: str) -> str:
        """The text itself, or the one stored in the parts that it names."""
        return self._texts.get(text) or large.read(self.client, text)

    # Changing

    def change(self, record: Stored) -> None:
        """Write the record at the end, as it is then."""
        place = _KINDS[type(record)], record.id
        self._records[place] = record
        self._changed[place] = record

    def stored(self, root: str, text: str) -> str:
        """What to store for a text: the text, or the name of its parts, which are stored now."""
        name = large.stored(self.client, root, text)
        if name != text:
            self._texts[name] = text
        return name

    def put(self, entity: Entity) -> None:
        """Write an entity at the end."""
        self._entities.append(entity)

    def enqueue(
        self, record: Record, handler: str, *, eta: int | None = None, **values: object
    ) -> str:
        """Add a task for a handler of the stage's workflow; returns queue/name of the task."""
        if record.incarnation:
            values["incarnation"] = record.incarnation
        task = make_task(self._service, self.params(record), handler, values, self.now, eta)
        self._tasks.append(task)
        return f"{task.queue}/{task.name}"

    def flush(self) -> None:
        """Write all of it that was not written yet, as part of the running transaction."""
        entities = [model.to_entity(record, self.client) for record in self._changed.values()]
        if entities or self._entities:
            self.client.put_multi(entities + self._entities)
        if self._tasks:
            self._service.store.add_with_transaction(self._tasks)
            self.has_enqueued = True
        self._changed, self._entities, self._tasks = {}, [], []


def make_task(
    service: TaskQueueService,
    params: Params,
    handler: str,
    values: dict[str, Any],
    now: int,
    eta: int | None = None,
) -> StoredTask:
    """The task that calls a handler with these values, not stored yet."""
    due = now if eta is None else eta
    return StoredTask(
        queue=params.queue_name,
        name=next(service.new_names(now)),
        eta=due,
        due=due,
        enqueued=now,
        payload=urlencode(values).encode(),
        request=Request("POST", f"{params.base_path}/{handler}", HEADERS, params.target),
    )
