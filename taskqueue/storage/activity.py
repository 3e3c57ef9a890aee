"""How many tasks of a queue were sent or leased recently, without a shared counter.

Each process counts for itself and writes its counts to an entity of its own at most once a second,
so that no entity is written by two; the sum of all is read for the statistics.
"""

import threading
from collections import Counter
from datetime import datetime, timedelta

from google.cloud.datastore import Entity
from google.cloud.datastore.query import PropertyFilter

from dfpipe.datastore import Store
from taskqueue.storage.record import due_prefix, end_of, from_usec, key_name

KIND = "TaskqueueActivity"
FINE = 5  # seconds: a slot within the last minute
COARSE = 60  # seconds: a slot within the last hour
WRITE_EVERY = 1_000_000  # microseconds

Slots = Counter[int]


def counted(slots: Slots, width: int, now: float, span: float) -> int:
    """The sum of the slots, `width` seconds wide, that touch the last `span` seconds."""
    first = (now - span) // width
    return sum(n for slot, n in slots.items() if first < slot <= now // width)


def pruned(slots: Slots, width: int, now: float, span: float) -> Slots:
    """The slots without those before the last `span` seconds."""
    first = (now - span) // width
    return Counter({slot: n for slot, n in slots.items() if slot > first})


class Activity:
    """The counts of this process, and those of all."""

    def __init__(self, client: Store, instance: str) -> None:
        self._client = client
        self._instance = instance
        self._lock = threading.Lock()
        self._counts: dict[str, tuple[Slots, Slots]] = {}
        self._written: dict[str, int] = {}

    def record(self, queue: str, number: int, now: int) -> None:
        """Count tasks; `now` is in microseconds."""
        seconds = now // 1_000_000
        with self._lock:
            fine, coarse = self._counts.get(queue, (Counter(), Counter()))
            fine, coarse = pruned(fine, FINE, seconds, 60), pruned(coarse, COARSE, seconds, 3600)
            fine[seconds // FINE] += number
            coarse[seconds // COARSE] += number
            self._counts[queue] = fine, coarse
            # A clock that stepped back must not hold the counts back.
            is_due = not 0 <= now - self._written.get(queue, -WRITE_EVERY) < WRITE_EVERY
            entity = self._entity(queue, now) if is_due else None
        if entity:
            self._put(entity)

    def flush(self, now: int) -> None:
        """Write the counts that are not written yet."""
        with self._lock:
            entities = [self._entity(queue, now) for queue in self._counts]
        for entity in entities:
            self._put(entity)

    def _put(self, entity: Entity) -> None:
        # In a batch of its own: a transaction that is running has nothing to do with it.
        with self._client.batch() as batch:
            batch.put(entity)

    def _entity(self, queue: str, now: int) -> Entity:
        self._written[queue] = now
        key = self._client.key(KIND, key_name(queue, self._instance))
        entity = Entity(key, exclude_from_indexes=("fine", "coarse"))
        for name, slots in zip(("fine", "coarse"), self._counts[queue], strict=True):
            entity[name] = [number for pair in sorted(slots.items()) for number in pair]
        entity["expires"] = from_usec(now) + timedelta(hours=2)
        return entity

    def last_minute_and_hour(self, queue: str, now: datetime) -> tuple[int, int]:
        """How many were run or leased, by all processes, in the last minute and hour."""
        query = self._client.query(kind=KIND)
        prefix = due_prefix(queue)
        for operator, name in ((">=", prefix), ("<", end_of(prefix))):
            query.add_filter(
                filter=PropertyFilter("__key__", operator, self._client.key(KIND, name))
            )
        with self._lock:
            own = self._counts.get(queue, (Counter(), Counter()))
        seen = [own] + [
            (_slots(entity["fine"]), _slots(entity["coarse"]))
            for entity in query.fetch()
            if not entity.key.name.endswith(f"/{self._instance}")
        ]
        seconds = now.timestamp()
        return (
            sum(counted(fine, FINE, seconds, 60) for fine, _ in seen),
            sum(counted(coarse, COARSE, seconds, 3600) for _, coarse in seen),
        )


def _slots(numbers: list[int]) -> Slots:
    return Counter(dict(zip(numbers[::2], numbers[1::2], strict=True)))
