"""A queue by its name: adding tasks, and leasing, changing and deleting those of pull queues."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from taskqueue import adding, arguments, binding, limits
from taskqueue.calls import Call, check_deadline, make_call
from taskqueue.config import DEFAULT_QUEUE
from taskqueue.errors import (
    BadTaskStateError,
    InvalidLeaseTimeError,
    InvalidMaxTasksError,
    QueuePausedError,
    TombstonedTaskError,
    UnknownTaskError,
)
from taskqueue.service import TaskQueueService
from taskqueue.storage.record import StoredTask, is_generated
from taskqueue.task import Task, leased_task


class Queue:
    """A queue of the service given, or else of the one that the process is bound to.

    Every method may raise UnknownQueueError, and TransientError, DatastoreError or
    PermissionDeniedError for errors of the store. Deadlines are checked but have no effect.
    """

    def __init__(
        self, name: str = DEFAULT_QUEUE, *, service: TaskQueueService | None = None
    ) -> None:
        self._name = arguments.checked_queue_name(name)
        self._service = service

    @property
    def name(self) -> str:
        """The name of the queue in queue.yaml."""
        return self._name

    @property
    def service(self) -> TaskQueueService:
        """The service that it works on."""
        return self._service or binding.current()

    def __repr__(self) -> str:
        return f"Queue<name={self._name!r}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Queue) and self._name == other._name

    def __hash__(self) -> int:
        return hash(self._name)

    # Adding

    def add(self, task: Task | Iterable[Task], transactional: bool = False) -> Any:
        """Add one task, or up to 100, and return the argument.

        Names are given to tasks that have none. With `transactional` the tasks exist exactly if the
        running Datastore transaction of the service's client commits; at most 5, without names.
        TaskAlreadyExistsError and TombstonedTaskError tell of the last name that cannot be used;
        the other tasks were added then.
        """
        tasks = _as_list(task)
        self.added(tasks, transactional)
        return task if isinstance(task, Task) else tasks

    def added(self, tasks: list[Task], transactional: bool = False) -> list[StoredTask]:
        """Add tasks as `add` does, and return them as they were stored."""
        return adding.add(self.service, self._name, tasks, transactional)

    # Leasing

    def lease_tasks(self, lease_seconds: float, max_tasks: int, deadline: float = 10) -> list[Task]:
        """Lease up to 1,000 tasks, the oldest first; an empty list where none is free."""
        check_deadline(deadline)
        return self._lease(lease_seconds, max_tasks, self.service.leasing.lease)

    def lease_tasks_by_tag(
        self,
        lease_seconds: float,
        max_tasks: int,
        tag: str | bytes | None = None,
        deadline: float = 10,
    ) -> list[Task]:
        """Lease tasks of one tag: the one given, or that of the oldest task.

        Where the oldest task has no tag, only tasks without a tag are leased.
        """
        check_deadline(deadline)
        lease = partial(self.service.leasing.lease_by_tag, tag=arguments.checked_tag(tag))
        return self._lease(lease_seconds, max_tasks, lease)

    def _lease(
        self, seconds: float, most: int, lease: Callable[..., list[StoredTask]]
    ) -> list[Task]:
        check_lease_seconds(seconds)
        check_max_tasks(most)
        definition = self.service.pull_queue(self._name)
        if self.service.is_paused(self._name):
            return []
        now = self.service.now()
        with self.service.apart():
            leased = lease(definition, now, seconds, most)
        return [leased_task(stored) for stored in leased]

    def modify_task_lease(self, task: Task, lease_seconds: float) -> None:
        """Let the lease of a task end so many seconds from now; 0 gives the task back.

        Raises TaskLeaseExpiredError if the lease has ended or another worker has the task,
        TombstonedTaskError where it was deleted, QueuePausedError in a paused queue.
        """
        _check_task(task)
        if not task.name:
            raise BadTaskStateError("a task without a name has no lease: lease it first")
        try:
            task.mark_leased(self.modify_lease(task.name, task.eta_usec, lease_seconds))
        except TombstonedTaskError:
            # A generated name leaves no tombstone: the object tells that it was another queue's.
            if not is_generated(task.name) or task.queue_name in (None, self._name):
                raise
            message = f"queue {self._name!r} never had the task {task.name!r}"
            raise UnknownTaskError(message) from None

    def modify_lease(self, name: str, ends: int, lease_seconds: float) -> int:
        """Let the lease of a named task that ends at `ends` end so many seconds from now.

        Times are in microseconds since 1970. Returns the new end; raises as `modify_task_lease`.
        """
        check_lease_seconds(lease_seconds)
        service = self.service
        service.pull_queue(self._name)
        if service.is_paused(self._name):
            raise QueuePausedError(f"queue {self._name!r} is paused: its leases cannot change")
        with service.apart():
            return service.store.modify_lease(self._name, name, ends, service.now(), lease_seconds)

    # Deleting

    def delete_tasks(self, task: Task | Iterable[Task]) -> Any:
        """Delete tasks, leased or not, and return the argument.

        `was_deleted` of each says whether this call deleted the task.
        """
        tasks = _as_list(task)
        names: dict[str, None] = {}
        for each in tasks:
            if not each.name:
                raise BadTaskStateError("a task without a name cannot be deleted: add it first")
            if each.was_deleted:
                raise BadTaskStateError(f"task {each.name!r} was deleted before")
            adding.note_name(each.name, names)
        if tasks:
            self.service.definition(self._name)
            with self.service.apart():
                now = self.service.now()
                results = self.service.store.delete(self._name, list(names), now)
            self.service.sweeper.step(now)
            for each, result in zip(tasks, results, strict=True):
                each.mark_deleted(result)
        return task if isinstance(task, Task) else tasks

    def delete_tasks_by_name(self, task_name: str | Iterable[str]) -> Any:
        """Delete tasks by name; returns a Task, or a list of them, with `was_deleted` set."""
        if isinstance(task_name, str):
            return self.delete_tasks(Task(name=task_name))
        names = task_name if isinstance(task_name, Iterable) else [task_name]
        return self.delete_tasks([Task(name=name) for name in names])

    def purge(self) -> None:
        """Delete all tasks of the queue. Names that were given stay reserved."""
        self.service.definition(self._name)
        with self.service.apart():
            self.service.store.purge(self._name, self.service.now())

    # Dead letters

    def dead_letters(self, most: int = limits.MAX_TASKS_PER_LEASE) -> list[StoredTask]:
        """The dead letters with their payloads, the oldest first.

        `delete_tasks_by_name` removes them for good.
        """
        self.service.definition(self._name)
        with self.service.apart():
            return self.service.store.dead_letters(self._name, most)

    def retry_dead_letter(self, name: str) -> StoredTask:
        """Put a dead letter back into the queue, due at once, and return the task.

        Raises UnknownTaskError if it does not exist, and InvalidQueueModeError where
        the queue has changed its mode since the task was added.
        """
        definition = self.service.definition(self._name)
        with self.service.apart():
            return self.service.store.revive(definition, name, self.service.now())

    def fetch_statistics(self, deadline: float = 10) -> "QueueStatistics":
        """Count the tasks of the queue."""
        check_deadline(deadline)
        return QueueStatistics.of(self)

    # The same, with the result asked for later

    def add_async(
        self, task: Task | Iterable[Task], transactional: bool = False, rpc: Call | None = None
    ) -> Call:
        """`add` as a Call. Wrong arguments raise when the result is requested."""
        return make_call(rpc, lambda: self.add(task, transactional))

    def lease_tasks_async(
        self, lease_seconds: float, max_tasks: int, rpc: Call | None = None
    ) -> Call:
        """`lease_tasks` as a Call."""
        return make_call(rpc, lambda: self.lease_tasks(lease_seconds, max_tasks))

    def lease_tasks_by_tag_async(
        self,
        lease_seconds: float,
        max_tasks: int,
        tag: str | bytes | None = None,
        rpc: Call | None = None,
    ) -> Call:
        """`lease_tasks_by_tag` as a Call."""
        return make_call(rpc, lambda: self.lease_tasks_by_tag(lease_seconds, max_tasks, tag))

    def delete_tasks_async(self, task: Task | Iterable[Task], rpc: Call | None = None) -> Call:
        """`delete_tasks` as a Call."""
        return make_call(rpc, lambda: self.delete_tasks(task))

    def delete_tasks_by_name_async(
        self, task_name: str | Iterable[str], rpc: Call | None = None
    ) -> Call:
        """`delete_tasks_by_name` as a Call."""
        return make_call(rpc, lambda: self.delete_tasks_by_name(task_name))

    def fetch_statistics_async(self, rpc: Call | None = None) -> Call:
        """`fetch_statistics` as a Call."""
        return make_call(rpc, self.fetch_statistics)


@dataclass(frozen=True)
class QueueStatistics:
    """The state of a queue.

    `tasks` counts those that are leased too; `oldest_eta_usec` is when the next task may be taken,
    in microseconds since 1970, None in an empty queue; `executed_last_minute` is how many were sent
    or leased, by all processes; `in_flight`, how many are being sent or are leased now;
    `enforced_rate`, the tasks a second that may be sent, 0 while the queue is paused, None for a
    pull queue.
    """

    queue: Queue
    tasks: int
    oldest_eta_usec: int | None = None
    executed_last_minute: int | None = None
    in_flight: int | None = None
    enforced_rate: float | None = None

    @classmethod
    def fetch(cls, queue_or_queues: Any, deadline: float = 10) -> Any:
        """The statistics of a queue or its name, or a list of them for an iterable of these.

        Raises TypeError for names and queues in one call.
        """
        check_deadline(deadline)
        if isinstance(queue_or_queues, str | Queue):
            return cls.of(_queues([queue_or_queues])[0])
        return [cls.of(queue) for queue in _queues(queue_or_queues)]

    @classmethod
    def fetch_async(cls, queue_or_queues: object, rpc: Call | None = None) -> Call:
        """`fetch` as a Call."""
        return make_call(rpc, lambda: cls.fetch(queue_or_queues))

    @classmethod
    def of(cls, queue: Queue) -> "QueueStatistics":
        """Count the tasks of one queue now, and look up its rate."""
        service = queue.service
        definition = service.definition(queue.name)
        paused = service.is_paused(queue.name)
        with service.apart():
            counts = service.store.counts(queue.name, service.now())
        rate = None if definition.is_pull else 0.0 if paused else definition.rate
        return cls(queue, counts.tasks, counts.oldest, counts.last_minute, counts.in_flight, rate)


def add(
    *task: Any, queue_name: str = DEFAULT_QUEUE, transactional: bool = False, **kwargs: Any
) -> Task:
    """Make a task of the other arguments, as Task takes them, add it to a queue and return it."""
    return Task(*task, **kwargs).add(queue_name, transactional)


def _as_list(task: Task | Iterable[Task]) -> list[Task]:
    tasks = list(task) if isinstance(task, Iterable) else [task]
    for each in tasks:
        _check_task(each)
    return tasks


def _check_task(task: object) -> None:
    if not isinstance(task, Task):
        raise TypeError(f"{task!r:.60}: expected a Task")


def _queues(given: Iterable[Any]) -> list[Queue]:
    items = list(given) if isinstance(given, Iterable) else [given]
    for item in items:
        if not isinstance(item, str | Queue):
            raise TypeError(f"{item!r:.60}: expected a Queue or the name of one")
    if len({isinstance(item, str) for item in items}) > 1:
        raise TypeError("give queues or names of queues, not both in one call")
    return [Queue(item) if isinstance(item, str) else item for item in items]


def check_lease_seconds(seconds: float) -> None:
    """Raise TypeError unless it is a number, InvalidLeaseTimeError outside 0 to a week."""
    if not isinstance(seconds, int | float):
        raise TypeError(f"lease_seconds is {seconds!r}: give a number")
    if not 0 <= seconds <= limits.MAX_LEASE_SECONDS:
        raise InvalidLeaseTimeError(
            f"lease_seconds is {seconds}: give 0 to {limits.MAX_LEASE_SECONDS}"
        )


def check_max_tasks(most: int) -> None:
    """Raise TypeError unless it is an integer, InvalidMaxTasksError outside 1 to 1,000."""
    if not isinstance(most, int):
        raise TypeError(f"max_tasks is {most!r}: give a whole number")
    if not 0 < most <= limits.MAX_TASKS_PER_LEASE:
        raise InvalidMaxTasksError(f"max_tasks is {most}: give 1 to {limits.MAX_TASKS_PER_LEASE}")
