"""Tasks in a Datastore: adding, changing, deleting, listing and counting them.

Any number of processes and threads may work on one store. What decides about a task is always a
transaction that reads that task; queries run outside of transactions, so that workers on the same
queue do not hold each other up.
"""

import random
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from google.cloud.datastore import Entity, Key
from google.cloud.datastore.query import PropertyFilter

from dfpipe.datastore import Query, Store, count, fetch_keys, get_values, run_in_transaction
from taskqueue import limits
from taskqueue.config import QueueDefinition
from taskqueue.errors import (
    Error,
    InvalidQueueModeError,
    TaskAlreadyExistsError,
    TaskLeaseExpiredError,
    TombstonedTaskError,
    UnknownTaskError,
)
from taskqueue.storage.activity import KIND as ACTIVITY
from taskqueue.storage.activity import Activity
from taskqueue.storage.record import (
    KIND,
    LARGEST_INLINE,
    StoredTask,
    due_prefix,
    end_of,
    from_entity,
    from_usec,
    is_generated,
    key_name,
    name_of,
    order_key,
    part_keys,
    parted_size,
    parts,
    postponed,
    to_entity,
    tombstone,
)

MOST_WRITES = 500  # entities in one commit
MOST_BYTES = 8 * 2**20  # in one commit, which Datastore limits to 10 MiB

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """The numbers of a queue's tasks, and of those that were sent or leased lately.

    `oldest` is the time of the task that is next, in microseconds; None in an empty queue.
    """

    tasks: int
    in_flight: int
    dead: int
    oldest: int | None
    last_minute: int
    last_hour: int


def chunks(
    items: Iterable[Item], size: Callable[[Item], int] = lambda _: 0
) -> Iterator[list[Item]]:
    """Cut items into lists that fit into one commit each: by number, and by size in bytes."""
    chunk: list[Item] = []
    total = 0
    for item in items:
        bytes_ = size(item)
        if chunk and (len(chunk) == MOST_WRITES or total + bytes_ > MOST_BYTES):
            yield chunk
            chunk, total = [], 0
        chunk.append(item)
        total += bytes_
    if chunk:
        yield chunk


class TaskStore:
    """The tasks of all queues of one store.

    `client` is one of dfpipe.datastore.connect; `instance` tells this process apart from others in
    the counts of what was run lately.
    """

    def __init__(self, client: Store, *, instance: str | None = None) -> None:
        self.client = client
        self.activity = Activity(client, instance or uuid.uuid4().hex)
        self.random = random.Random()  # noqa: S311  # spreads workers, guards nothing

    def key(self, queue: str, name: str) -> Key:
        """The key of a task's entity, which holds its queue and name."""
        return self.client.key(KIND, key_name(queue, name))

    def in_range(self, name: str, prefix: str, until: str | None = None) -> Query:
        """A query for the tasks whose order key `name` has the prefix, up to and with `until`."""
        query = self.client.query(kind=KIND, order=[name])
        query.add_filter(filter=PropertyFilter(name, ">=", prefix))
        if until is None:
            query.add_filter(filter=PropertyFilter(name, "<", end_of(prefix)))
        else:
            query.add_filter(filter=PropertyFilter(name, "<=", until))
        return query

    # Adding

    def add(self, tasks: Sequence[StoredTask], now: int) -> list[Error | None]:
        """Store tasks at once, whatever transaction is running.

        For each of them: None, or why its name could not be used.
        """
        results: list[Error | None] = []
        for chunk in chunks(map(_in_parts, tasks), lambda task: task.size):
            if all(is_generated(task.name) for task in chunk):
                with self.client.batch():
                    self._put(chunk)
                results += [None] * len(chunk)
            else:
                results += run_in_transaction(self.client, partial(self._add_named, chunk, now))
        return results

    def _add_named(self, tasks: Sequence[StoredTask], now: int) -> list[Error | None]:
        keys = [self.key(task.queue, task.name) for task in tasks]
        stored = get_values(self.client, keys, "due", "expires")
        results = [
            None if found is None else _name_taken(found, task, now)
            for found, task in zip(stored, tasks, strict=True)
        ]
        self._put(task for task, taken in zip(tasks, results, strict=True) if not taken)
        return results

    def _put(self, tasks: Iterable[StoredTask]) -> None:
        entities = []
        for task in tasks:
            entities.append(to_entity(task, self.client))
            if task.parted:
                entities += parts(task, self.client)
        self.client.put_multi(entities)

    def add_with_transaction(self, tasks: Sequence[StoredTask]) -> None:
        """Store tasks with generated names if and when the running transaction commits."""
        self._put(map(_in_parts, tasks))

    # Reading

    def get(self, queue: str, name: str) -> StoredTask:
        """One task, leased or not.

        Raises UnknownTaskError, or TombstonedTaskError where there was one lately.
        """
        task = _alive(self.client.get(self.key(queue, name)), queue, name)
        found = self.with_payloads([task])
        if not found:
            raise TombstonedTaskError(_deleted(queue, name))
        return found[0]

    def tasks(self, queue: str, most: int, *, with_payloads: bool = True) -> list[StoredTask]:
        """The tasks of a queue, leased or not, in the order in which they may be taken next.

        Without payloads, large ones are not read.
        """
        return self._fetch(self.in_range("due", due_prefix(queue)), most, with_payloads)

    def dead_letters(
        self, queue: str, most: int, *, with_payloads: bool = True
    ) -> list[StoredTask]:
        """The dead letters, the oldest first."""
        return self._fetch(self.in_range("dead", due_prefix(queue)), most, with_payloads)

    def dead_names(self, queue: str, until: int) -> list[str]:
        """The names of the dead letters up to that time, in microseconds."""
        prefix = due_prefix(queue)
        keys = fetch_keys(self.in_range("dead", prefix, order_key(prefix, until)))
        return [name_of(key).removeprefix(prefix) for key in keys]

    def _fetch(self, query: Query, most: int, with_payloads: bool) -> list[StoredTask]:
        found = (from_entity(entity) for entity in query.fetch(limit=most))
        tasks = [task for task in found if task is not None]
        return self.with_payloads(tasks) if with_payloads else tasks

    def with_payloads(self, tasks: list[StoredTask]) -> list[StoredTask]:
        """The tasks with the payloads that are stored in parts; without those deleted meanwhile."""
        return [found for task in tasks if (found := self._with_payload(task))]

    def _with_payload(self, task: StoredTask) -> StoredTask | None:
        if not task.parted:
            return task
        keys = part_keys(self.key(task.queue, task.name), task.parted, self.client)
        stored = get_values(self.client, keys, "data")
        if None in stored:
            return None
        return task._replace(payload=b"".join(found[0] for found in stored if found))

    def next_due(self, queue: str) -> int | None:
        """When the queue's next task may be taken, in microseconds; None in an empty queue."""
        query = self.in_range("due", due_prefix(queue))
        return next((int(entity["due"][-16:]) for entity in query.fetch(limit=1)), None)

    def counts(self, queue: str, now: int) -> QueueCounts:
        """Count the tasks of a queue."""
        prefix = due_prefix(queue)
        minute, hour = self.activity.last_minute_and_hour(queue, from_usec(now))
        return QueueCounts(
            tasks=count(self.client, self.in_range("due", prefix)),
            in_flight=self.in_flight(queue, now),
            dead=count(self.client, self.in_range("dead", prefix)),
            oldest=self.next_due(queue),
            last_minute=minute,
            last_hour=hour,
        )

    def in_flight(self, queue: str, now: int) -> int:
        """How many tasks of a queue are leased, or being sent, now."""
        prefix = due_prefix(queue)
        expired = count(self.client, self.in_range("leased", prefix, order_key(prefix, now)))
        return count(self.client, self.in_range("leased", prefix)) - expired

    # Changing

    def modify_lease(self, queue: str, name: str, eta: int, now: int, seconds: float) -> int:
        """Let the lease that ends at `eta` end so many seconds from now; returns its new end.

        Raises TaskLeaseExpiredError where that lease has ended or is not the latest one, and what
        `get` raises.
        """

        def change() -> int:
            entity = self.client.get(self.key(queue, name))
            task = _alive(entity, queue, name)
            if not task.is_pull:
                raise InvalidQueueModeError(
                    f"task {name!r} is a push task: only leases of pull tasks can be changed"
                )
            if task.dead is not None or task.due != eta or task.due < now:
                raise TaskLeaseExpiredError(
                    f"the lease of task {name!r} has ended, or another has the task: lease it again"
                )
            until = now + round(seconds * 1_000_000)
            postponed(entity, until, leased=seconds > 0)
            self.client.put(entity)
            return until

        return run_in_transaction(self.client, change)

    def delete(self, queue: str, names: Sequence[str], now: int) -> list[bool]:
        """Delete tasks, including dead letters; returns for each name whether it existed."""
        results: list[bool] = []
        for chunk in chunks(names):
            results += run_in_transaction(self.client, partial(self._delete, queue, chunk, now))
        return results

    def _delete(self, queue: str, names: Sequence[str], now: int) -> list[bool]:
        keys = [self.key(queue, name) for name in names]
        stored = get_values(self.client, keys, "due", "dead", "parted")
        alive: list[bool] = []
        gone: list[tuple[Key, int]] = []
        for key, found in zip(keys, stored, strict=True):
            due, dead, parted = found or (None, None, None)
            # A tombstone is neither due nor dead.
            alive.append(due is not None or dead is not None)
            if alive[-1]:
                gone.append((key, parted_size(parted)))
        self.remove(gone, now)
        return alive

    def remove(self, tasks: Iterable[tuple[Key, int]], now: int) -> None:
        """Within a batch or transaction: delete tasks, leaving tombstones for given names.

        Each is its key and the size of the payload that is stored in parts.
        """
        expires = from_usec(now) + limits.TOMBSTONE
        gone, tombstones = [], []
        for key, parted in tasks:
            if is_generated(name_of(key).split("/", 1)[1]):
                gone.append(key)
            else:
                tombstones.append(tombstone(key, expires))
            if parted:
                gone += part_keys(key, parted, self.client)
        self.client.delete_multi(gone)
        self.client.put_multi(tombstones)

    def purge(self, queue: str, now: int) -> None:
        """Delete all tasks of a queue, leased ones too; dead letters stay."""
        found = self.in_range("parted", due_prefix(queue)).fetch()
        parted = (
            (entity.key, parted_size(entity["parted"])) for entity in found if "due" in entity
        )
        self._remove_all(parted, now)
        rest = fetch_keys(self.in_range("due", due_prefix(queue)))
        self._remove_all(((key, 0) for key in rest), now)

    def _remove_all(self, tasks: Iterator[tuple[Key, int]], now: int) -> None:
        while chunk := list(islice(tasks, MOST_WRITES // 2)):
            with self.client.batch():
                self.remove(chunk, now)

    def revive(self, queue: QueueDefinition, name: str, now: int) -> StoredTask:
        """Put a dead letter back into its queue, due at once, its counts at zero; returns it.

        Raises UnknownTaskError if the dead letter does not exist, and InvalidQueueModeError if the
        queue no longer takes tasks of that kind.
        """

        def change() -> StoredTask:
            entity = self.client.get(self.key(queue.name, name))
            task = from_entity(entity) if entity else None
            if task is None or task.dead is None:
                raise UnknownTaskError(
                    f"queue {queue.name!r} has no dead letter {name!r}: "
                    f"see `taskqueue deadletters --taskqueue-name={queue.name}`"
                )
            if task.is_pull != queue.is_pull:
                raise InvalidQueueModeError(
                    f"queue {queue.name!r} is a {queue.mode} queue now: it cannot take {name!r}; "
                    "read the payload with `taskqueue gettask` and add a new task"
                )
            revived = task.revived(now)
            self.client.put(to_entity(revived, self.client))
            return revived

        return run_in_transaction(self.client, change)

    def sweep(self, now: int) -> int:
        """Remove expired tombstones and counts, at most 500 of each; returns how many."""
        return sum(self._sweep(kind, now) for kind in (KIND, ACTIVITY))

    def _sweep(self, kind: str, now: int) -> int:
        query = self.client.query(kind=kind)
        query.add_filter(filter=PropertyFilter("expires", "<=", from_usec(now)))
        keys = list(fetch_keys(query, MOST_WRITES))

        def change() -> int:
            stored = get_values(self.client, keys, "expires")
            gone = [
                key
                for key, found in zip(keys, stored, strict=True)
                if found and found[0] is not None and found[0] <= from_usec(now)
            ]
            self.client.delete_multi(gone)
            return len(gone)

        return run_in_transaction(self.client, change) if keys else 0


def _name_taken(found: tuple[Any, ...], task: StoredTask, now: int) -> Error | None:
    due, expires = found
    if expires is not None and expires <= from_usec(now):
        return None
    if due is not None:
        return TaskAlreadyExistsError(
            f"queue {task.queue!r} already has a task named {task.name!r}"
        )
    return TombstonedTaskError(
        f"queue {task.queue!r} had a task named {task.name!r} in the last 9 days; use another name"
    )


def _alive(entity: Entity | None, queue: str, name: str) -> StoredTask:
    task = from_entity(entity) if entity else None
    if task is not None:
        return task
    if entity is not None or is_generated(name):
        raise TombstonedTaskError(_deleted(queue, name))
    raise UnknownTaskError(f"queue {queue!r} has no task named {name!r}")


def _deleted(queue: str, name: str) -> str:
    return f"task {name!r} of queue {queue!r} was deleted"


def _in_parts(task: StoredTask) -> StoredTask:
    return task._replace(parted=task.size) if task.size > LARGEST_INLINE else task
