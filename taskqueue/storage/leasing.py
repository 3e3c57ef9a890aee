"""Taking tasks so that no other worker has them, and storing their results."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import partial

from google.api_core.exceptions import Aborted
from google.cloud.datastore import Entity, Key

from dfpipe.datastore import fetch_keys, get_values, run_in_transaction
from service.waiting import Backoff
from taskqueue import limits
from taskqueue.config import QueueDefinition
from taskqueue.errors import TransientError
from taskqueue.retry import effective, may_retry
from taskqueue.storage.record import (
    StoredTask,
    due_prefix,
    from_entity,
    given_up,
    group_prefix,
    name_of,
    order_key,
    parted_size,
    postponed,
    retry_options,
    sent,
    to_entity,
)
from taskqueue.storage.store import MOST_BYTES, MOST_WRITES, TaskStore, chunks

MOST_COLLISIONS = 20
FIRST_WAIT, LONGEST_WAIT = 0.01, 0.5  # seconds, after a collision
WIDEST_SPREAD = 8
FIRST_GUESS = 2**16  # bytes of a task, until some were seen

# Changes the entity of a due task so that it is taken, or returns why it becomes a dead letter.
Take = Callable[[Entity], str | None]


_logger = logging.getLogger(__name__)


class Verdict(Enum):
    """The result of a push task that was taken."""

    DONE = "done"
    RETRY = "retry"
    RELEASE = "release"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one task, which is as `claim` gave it.

    RETRY and RELEASE make it due again at `eta` (microseconds); RELEASE takes the attempt back, as
    if the task had not been taken. `status` is the handler's answer, None where it gave none. DEAD
    makes it a dead letter, or deletes it if the queue keeps none (`is_kept`).
    """

    task: StoredTask
    verdict: Verdict
    eta: int = 0
    status: int | None = None
    reason: str | None = None
    is_kept: bool = True


class Leasing:
    """Claims on the tasks of a store.

    Workers look for due tasks with a query and then take them in a transaction that reads them
    again, so no task is taken twice. Who collides with another looks further back the next time,
    at a random place, so that many workers do not compete for the same few tasks.
    """

    def __init__(self, store: TaskStore, sleep: Callable[[float], None] = time.sleep) -> None:
        self.store = store
        self._sleep = sleep
        self._mean_bytes = FIRST_GUESS

    def lease(
        self,
        queue: QueueDefinition,
        now: int,
        seconds: float,
        most: int,
        *,
        most_bytes: int = limits.MAX_LEASE_PAYLOAD_BYTES,
    ) -> list[StoredTask]:
        """Lease the pull tasks that are due, in the order of time and name.

        Their payloads have at most `most_bytes` together. A task that was leased as often as its
        retry options, or else those of the queue, allow becomes a dead letter instead.
        """
        return self._lease(queue, "due", due_prefix(queue.name), now, seconds, most, most_bytes)

    def lease_by_tag(
        self,
        queue: QueueDefinition,
        now: int,
        seconds: float,
        most: int,
        tag: str | None = None,
        *,
        most_bytes: int = limits.MAX_LEASE_PAYLOAD_BYTES,
    ) -> list[StoredTask]:
        """Lease only tasks of one tag: the one given, or that of the task that comes first.

        Where the first task has no tag, only tasks without a tag are leased.
        """
        if tag is None:
            first = self._first_due(queue, now)
            if first is None:
                return []
            tag = first.get("tag")
        prefix = group_prefix(queue.name, tag)
        return self._lease(queue, "group", prefix, now, seconds, most, most_bytes)

    def _first_due(self, queue: QueueDefinition, now: int) -> Entity | None:
        """The first pull task; push tasks before it become dead letters."""
        prefix = due_prefix(queue.name)
        while True:
            query = self.store.in_range("due", prefix, order_key(prefix, now))
            first: Entity | None = next(iter(query.fetch(limit=1)), None)
            if first is None or "group" in first:
                return first
            with suppress(Aborted):  # another worker has set it aside: look again
                self._take(queue, [first.key], now, limits.MAX_LEASE_PAYLOAD_BYTES, _other_mode)

    def _lease(
        self,
        queue: QueueDefinition,
        order: str,
        prefix: str,
        now: int,
        seconds: float,
        most: int,
        most_bytes: int,
    ) -> list[StoredTask]:
        until = now + round(seconds * 1_000_000)

        def take(entity: Entity) -> str | None:
            if "group" not in entity:
                return _other_mode(entity)
            leases = entity["retries"]
            if not may_retry(leases + 1, 0.0, effective(retry_options(entity), queue.retry)):
                times = "once" if leases == 1 else f"{leases} times"
                return f"leased {times}, as often as task_retry_limit allows"
            entity["retries"] = leases + 1
            postponed(entity, until, leased=True)
            return None

        taken = self._take_due(
            queue, order, prefix, now, most, take, still_due=until <= now, most_bytes=most_bytes
        )
        if taken:
            self.store.activity.record(queue.name, len(taken), now)
        return self.store.with_payloads(taken)

    def claim(
        self, queue: QueueDefinition, now: int, seconds: float, most: int
    ) -> list[StoredTask]:
        """Take the push tasks that are due, in the order of time and name.

        They keep their `eta`, and are due again for everyone when the lease ends.
        """
        until = now + round(seconds * 1_000_000)

        def take(entity: Entity) -> str | None:
            if "group" in entity:
                return _other_mode(entity)
            entity["retries"] += 1
            entity.setdefault("first_try", now)
            sent(entity, until)
            return None

        return self._take_due(queue, "due", due_prefix(queue.name), now, most, take)

    def _take_due(
        self,
        queue: QueueDefinition,
        order: str,
        prefix: str,
        now: int,
        most: int,
        take: Take,
        *,
        still_due: bool = False,
        most_bytes: int = limits.MAX_LEASE_PAYLOAD_BYTES,
    ) -> list[StoredTask]:
        """Take up to `most` due tasks whose key `order` begins with the prefix.

        `still_due`: what was taken remains due, so that the query gives it again.
        """
        taken: list[StoredTask] = []
        seen: set[str] = set()
        collisions = 0
        backoff = self._backoff()
        while (wanted := min(most - len(taken), self._chunk())) > 0:
            spread = wanted * min(2**collisions, WIDEST_SPREAD)
            limit = spread + (len(seen) if still_due else 0)
            found = self._due_keys(order, prefix, now, limit)
            keys = self._some([key for key in found if name_of(key) not in seen], wanted)
            room = most_bytes - sum(task.size for task in taken)
            try:
                got, left = self._take(queue, keys, now, room, take)
            except Aborted as error:
                collisions += 1
                self._give_way(collisions, backoff, error)
                continue
            taken += got
            seen.update(map(name_of, keys[: len(keys) - left]))
            self._learn(got)
            is_all = len(found) < limit and seen.issuperset(map(name_of, found))
            if not keys or (left and not got) or is_all:
                break
        return sorted(taken, key=lambda task: (task.due, task.name)) if collisions else taken

    def _give_way(self, collisions: int, backoff: Backoff, error: Aborted) -> None:
        """Wait for the workers that want the same tasks. Raises TransientError at last."""
        if collisions > MOST_COLLISIONS:
            raise TransientError("too many workers want the same tasks: try again") from error
        self._sleep(backoff.next())

    def _chunk(self) -> int:
        return max(1, min(MOST_WRITES, MOST_BYTES // self._mean_bytes))

    def _learn(self, tasks: Sequence[StoredTask]) -> None:
        if tasks:
            self._mean_bytes = 1 + sum(task.size for task in tasks) // len(tasks)

    def _due_keys(self, order: str, prefix: str, now: int, most: int) -> list[Key]:
        return list(fetch_keys(self.store.in_range(order, prefix, order_key(prefix, now)), most))

    def _some(self, keys: list[Key], wanted: int) -> list[Key]:
        """`wanted` adjacent keys, from a random place."""
        start = self.store.random.randint(0, max(0, len(keys) - wanted))
        return keys[start : start + wanted]

    def _take(
        self, queue: QueueDefinition, keys: list[Key], now: int, room: int, take: Take
    ) -> tuple[list[StoredTask], int]:
        """Take those that are still due, in one transaction.

        Returns them, and how many at the end were left because of their payloads' size.
        """
        client = self.store.client
        changed: list[Entity] = []
        hopeless: list[tuple[Entity, str]] = []
        size = left = 0
        with client.transaction():
            stored = {name_of(entity.key): entity for entity in client.get_multi(keys)}
            for at, key in enumerate(keys):
                entity = stored.get(name_of(key))
                if entity is None or not _is_due(entity, now):
                    continue
                parted = parted_size(entity.get("parted"))
                size += parted or len(entity["payload"])
                if size > min(room, MOST_BYTES):
                    left = len(keys) - at
                    break
                if reason := take(entity):
                    hopeless.append((entity, reason))
                else:
                    changed.append(entity)
            client.put_multi(changed)
            self._give_up(queue, hopeless, now)
        for entity, reason in hopeless:
            about = {"queue": queue.name, "task": name_of(entity.key).partition("/")[2]}
            _logger.error("a task failed for good: %s", reason, extra=about)
        return [task for entity in changed if (task := from_entity(entity))], left

    def _give_up(
        self, queue: QueueDefinition, tasks: Sequence[tuple[Entity, str]], now: int
    ) -> None:
        """Within a transaction: keep tasks as dead letters, or delete them if the queue says so."""
        if not queue.dead_letters:
            gone = ((entity.key, parted_size(entity.get("parted"))) for entity, _ in tasks)
            self.store.remove(gone, now)
            return
        for entity, reason in tasks:
            given_up(entity, now, reason)
        self.store.client.put_multi([entity for entity, _ in tasks])

    def _backoff(self) -> Backoff:
        return Backoff(
            first=FIRST_WAIT, longest=LONGEST_WAIT, jitter=1, uniform=self.store.random.uniform
        )

    def extend(self, task: StoredTask, now: int, seconds: float) -> StoredTask | None:
        """Let the lease of a push task end so many seconds from now.

        Returns the task as it is then; None if the lease was lost.
        """
        until = now + round(seconds * 1_000_000)
        longer = task._replace(due=until)

        def change() -> StoredTask | None:
            entity = self.store.client.get(self.store.key(task.queue, task.name))
            if entity is None or not _holds(task, entity.get("leased")):
                return None
            self.store.client.put(to_entity(longer, self.store.client))
            return longer

        return run_in_transaction(self.store.client, change)

    def settle(self, outcomes: Sequence[Outcome], now: int) -> list[bool]:
        """Store what became of tasks that were claimed.

        For each: whether the lease was still held; if not, the task is another's and is left alone.
        """
        results: list[bool] = []
        for chunk in chunks(outcomes, lambda outcome: len(outcome.task.payload)):
            results += run_in_transaction(self.store.client, partial(self._settle, chunk, now))
        for queue in {outcome.task.queue for outcome in outcomes}:
            self._record(queue, outcomes, now)
        return results

    def _settle(self, outcomes: Sequence[Outcome], now: int) -> list[bool]:
        keys = [self.store.key(o.task.queue, o.task.name) for o in outcomes]
        stored = get_values(self.store.client, keys, "leased")
        held: list[bool] = []
        done: list[tuple[Key, int]] = []
        others: list[Entity] = []
        for key, outcome, found in zip(keys, outcomes, stored, strict=True):
            held.append(found is not None and _holds(outcome.task, found[0]))
            if not held[-1]:
                continue
            is_kept = outcome.is_kept or outcome.verdict is not Verdict.DEAD
            if outcome.verdict is Verdict.DONE or not is_kept:
                done.append((key, 0))
            else:
                others.append(to_entity(_settled(outcome, now), self.store.client))
        self.store.remove(done, now)
        self.store.client.put_multi(others)
        return held

    def _record(self, queue: str, outcomes: Sequence[Outcome], now: int) -> None:
        ran = sum(o.task.queue == queue and o.verdict is not Verdict.RELEASE for o in outcomes)
        if ran:
            self.store.activity.record(queue, ran, now)


def _holds(task: StoredTask, leased: str | None) -> bool:
    """Whether the stored lease is still the one under which a task was claimed.

    A later lease ends later, so its end tells it apart.
    """
    return leased == order_key(due_prefix(task.queue), task.due)


def _other_mode(entity: Entity) -> str:
    """Why a task that was added while its queue had the other mode becomes a dead letter."""
    was, now = ("pull", "push") if "group" in entity else ("push", "pull")
    return f"a {was} task in a queue that has become a {now} queue"


def _is_due(entity: Entity, now: int) -> bool:
    return "due" in entity and int(entity["due"][-16:]) <= now


def _settled(outcome: Outcome, now: int) -> StoredTask:
    """The task as it is stored after that outcome, which is not DONE."""
    task = outcome.task
    if outcome.verdict is Verdict.RELEASE:
        first = None if task.retries == 1 else task.first_try
        retries = task.retries - 1
        return task._replace(leased=False, due=outcome.eta, retries=retries, first_try=first)
    return task._replace(
        leased=False,
        eta=outcome.eta or task.eta,
        due=outcome.eta or task.eta,
        dead=now if outcome.verdict is Verdict.DEAD else None,
        executions=task.executions + (outcome.status is not None),
        status=outcome.status,
        reason=outcome.reason,
    )
