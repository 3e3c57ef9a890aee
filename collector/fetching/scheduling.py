"""Fetch tasks: one for each active account and cron slot, and the ones that continue it."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice

from taskqueue import Queue, Task, TaskAlreadyExistsError, TaskQueueService, TombstonedTaskError
from taskqueue.limits import MAX_TASKS_PER_ADD

QUEUE = "timeline"
FETCH_URL = "/tasks/timeline"
PURGE_URL = "/tasks/purge"
SLOT = timedelta(minutes=17)  # how often cron.yaml calls /timeline
LONGEST_WAIT = timedelta(days=1)  # for the reset of a rate limit
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9]+")


@dataclass(frozen=True, slots=True)
class Counts:
    """What one call of cron did: active accounts, and of their tasks those new and those there."""

    accounts: int
    enqueued: int
    already: int


@dataclass(frozen=True, slots=True)
class Part:
    """One task of an account, as its form: tasks that continue each other are one chain.

    A chain begins with the task of a slot, or with one that waited for a reset; `slot` is when.
    """

    account: str
    slot: int
    chain: str
    number: int = 0


def slot_of(now: datetime) -> int:
    """The number of the cron slot that a time is in, counted from 1970.

    >>> slot_of(datetime(1970, 1, 1, 0, 33, 59, tzinfo=UTC))
    1
    """
    return (now - _EPOCH) // SLOT


def task_name(account: str, *words: object) -> str:
    """The name of an account's task: readable, and another for each account.

    >>> task_name("bluesky:timeline", 7, 0)
    'bluesky-timeline-23e22d4d04aa-7-0'
    """
    readable = _NOT_IN_A_NAME.sub("-", account)[:40].strip("-")
    digest = hashlib.sha256(account.encode()).hexdigest()[:12]
    return "-".join([readable, digest, *map(str, words)])


def enqueue_slot(service: TaskQueueService, accounts: Iterable[str], now: datetime) -> Counts:
    """Add the task of each account for the slot that `now` is in, where it is not there yet.

    Raises what Queue.add raises, but for names that are used.
    """
    slot = slot_of(now)
    ids = iter(accounts)
    total = enqueued = 0
    while chunk := list(islice(ids, MAX_TASKS_PER_ADD)):
        tasks = [_fetch_task(Part(account, slot, str(slot))) for account in chunk]
        add_once(service, tasks)
        total += len(tasks)
        enqueued += sum(task.was_enqueued for task in tasks)
    return Counts(total, enqueued, total - enqueued)


def enqueue_next(service: TaskQueueService, part: Part) -> None:
    """Add the task that continues where this part stopped."""
    add_once(service, [_fetch_task(replace(part, number=part.number + 1))])


def enqueue_at(service: TaskQueueService, account: str, when: datetime, now: datetime) -> datetime:
    """Add a task for the time when a rate limit is reset, once however many ask; returns the time.

    It is at least a second, and at most LONGEST_WAIT, from now.
    """
    seconds = -((_EPOCH - when) // timedelta(seconds=1))
    eta = max(_EPOCH + timedelta(seconds=seconds), now + timedelta(seconds=1))
    eta = min(eta, now + LONGEST_WAIT)
    part = Part(account, slot_of(eta), f"reset-{int(eta.timestamp())}")
    add_once(service, [_fetch_task(part, eta)])
    return eta


def enqueue_purge(service: TaskQueueService, day: str, part: int) -> None:
    """Add the task that purges the store, once for each day and part."""
    name = f"purge-{day}-{part}"
    add_once(service, [Task(name=name, url=PURGE_URL, params={"day": day, "part": part})])


def _fetch_task(part: Part, eta: datetime | None = None) -> Task:
    name = task_name(part.account, part.chain, part.number)
    return Task(name=name, url=FETCH_URL, params=asdict(part), eta=eta)


def add_once(service: TaskQueueService, tasks: list[Task]) -> None:
    """Add tasks to the queue; those whose names were used before are there, or done, already."""
    try:
        Queue(QUEUE, service=service).add(tasks)
    except (TaskAlreadyExistsError, TombstonedTaskError):
        return
