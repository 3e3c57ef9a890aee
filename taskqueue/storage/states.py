"""The state of queues in the store: their last definitions, and which are paused."""

import hashlib
import json
from dataclasses import asdict

from google.cloud.datastore import Entity, Key

from dfpipe.datastore import Store, run_in_transaction
from taskqueue.config import QueueConfig, QueueDefinition
from taskqueue.retry import TaskRetryOptions

KIND = "TaskqueueQueue"
UNINDEXED = ("definition", "paused", "applied")
# The entity that says which queue.yaml was applied last; no queue can have that name.
APPLIED = "/applied"
CACHE = 2_000_000  # microseconds for which a process relies on what it read of a queue's pause


class QueueStates:
    """The states of the queues of a store."""

    def __init__(self, client: Store) -> None:
        self._client = client
        self._seen: dict[str, tuple[int, bool]] = {}

    def apply(self, config: QueueConfig) -> None:
        """Store the queues of a queue.yaml, unless it was the last one that was stored.

        A queue that is not in it any more is paused. One that is, is resumed, unless the file says
        `resume_paused_queues: false`.
        """
        said = [config.resume_paused_queues, sorted(_packed(config).items())]
        digest = hashlib.sha256(json.dumps(said).encode()).hexdigest()
        key = self._client.key(KIND, APPLIED)
        applied = self._client.get(key)
        if applied is None or applied["applied"] != digest:
            run_in_transaction(self._client, lambda: self._apply(config, key, digest))
            self._seen.clear()

    def _apply(self, config: QueueConfig, key: Key, digest: str) -> None:
        stored = {entity.key.name: entity for entity in self._entities()}
        for name, packed in _packed(config).items():
            paused = name in stored and stored[name]["paused"] and not config.resume_paused_queues
            self._client.put(self._entity(name, packed, paused))
        for name in stored.keys() - config.queues.keys():
            self._client.put(self._entity(name, stored[name]["definition"], True))
        entity = Entity(key, exclude_from_indexes=UNINDEXED)
        entity["applied"] = digest
        self._client.put(entity)

    def _entities(self) -> list[Entity]:
        found = self._client.query(kind=KIND).fetch()
        return [entity for entity in found if entity.key.name != APPLIED]

    def _entity(self, name: str, definition: str, paused: bool) -> Entity:
        entity = Entity(self._client.key(KIND, name), exclude_from_indexes=UNINDEXED)
        entity.update(definition=definition, paused=paused)
        return entity

    def names(self) -> list[str]:
        """The names of all queues that were ever stored, paused ones included."""
        return sorted(entity.key.name for entity in self._entities())

    def definition(self, queue: str) -> QueueDefinition | None:
        """The latest stored definition of a queue, or None."""
        entity = self._client.get(self._client.key(KIND, queue))
        return _unpacked(entity["definition"]) if entity else None

    def is_paused(self, queue: str, now: int) -> bool:
        """Whether the queue is paused; another process's change is seen within 2 seconds."""
        read, paused = self._seen.get(queue, (-CACHE, False))
        if not 0 <= now - read < CACHE:
            entity = self._client.get(self._client.key(KIND, queue))
            paused = entity is not None and entity["paused"]
            self._seen[queue] = now, paused
        return paused

    def set_paused(self, definition: QueueDefinition, paused: bool) -> None:
        """Pause or resume a queue; the tasks of a paused queue are neither sent nor leased."""
        packed = json.dumps(asdict(definition))
        with self._client.batch() as batch:
            batch.put(self._entity(definition.name, packed, paused))
        self._seen.pop(definition.name, None)


def _packed(config: QueueConfig) -> dict[str, str]:
    return {name: json.dumps(asdict(queue)) for name, queue in config.queues.items()}


def _unpacked(packed: str) -> QueueDefinition:
    values = json.loads(packed)
    if values["retry"] is not None:
        values["retry"] = TaskRetryOptions(**values["retry"])
    for name in ("users", "writers"):
        values[name] = tuple(values[name])
    return QueueDefinition(**values)
