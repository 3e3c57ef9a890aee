"""Which tasks there are: one for each active account and cron slot, and those that go on for it."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
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
        tasks = [_fetch_task(account, slot, 0) for account in chunk]
        add_once(service, tasks)
        total += len(tasks)
        enqueued += sum(task.was_enqueued for task in tasks)
    return Counts(total, enqueued, total - enqueued)


def enqueue_next(service: TaskQueueService, account: str, slot: int, part: int) -> None:
    """Add the task that goes on where the one with the number before it stopped."""
    add_once(service, [_fetch_task(account, slot, part)])


def enqueue_at(service: TaskQueueService, account: str, when: datetime, now: datetime) -> datetime:
    """Add a task for the time when a rate limit is reset, once however many ask; returns the time.

    It is at least a second, and at most LONGEST_WAIT, from now.
    """
    seconds = -((_EPOCH - when) // timedelta(seconds=1))
    eta = max(_EPOCH + timedelta(seconds=seconds), now + timedelta(seconds=1))
    eta = min(eta, now + LONGEST_WAIT)
    name = task_name(account, "reset", int(eta.timestamp()))
    params = {"account": account, "slot": slot_of(eta), "part": 0}
    add_once(service, [Task(name=name, url=FETCH_URL, params=params, eta=eta)])
    return eta


def enqueue_purge(service: TaskQueueService, day: str, part: int) -> None:
    """Add the task that purges the store, once for each day and part."""
    name = f"purge-{day}-{part}"
    add_once(service, [Task(name=name, url=PURGE_URL, params={"day": day, "part": part})])


def _fetch_task(account: str, slot: int, part: int) -> Task:
    params = {"account": account, "slot": slot, "part": part}
    return Task(name=task_name(account, slot, part), url=FETCH_URL, params=params)


def add_once(service: TaskQueueService, tasks: list[Task]) -> None:
    """Add tasks to the queue; those whose names were used before are there, or done, already."""
    try:
        Queue(QUEUE, service=service).add(tasks)
    except (TaskAlreadyExistsError, TombstonedTaskError):
        return
