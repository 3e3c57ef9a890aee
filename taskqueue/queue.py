"""A queue by its name: adding tasks, and leasing, changing and deleting those of pull queues."""

import re
import weakref
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from taskqueue import binding, limits
from taskqueue.calls import Call, check_deadline, make_call
from taskqueue.config import DEFAULT_QUEUE
from taskqueue.errors import (
    BadTaskStateError,
    BadTransactionStateError,
    DuplicateTaskNameError,
    Error,
    InvalidLeaseTimeError,
    InvalidMaxTasksError,
    InvalidQueueModeError,
    InvalidQueueNameError,
    InvalidTaskError,
    InvalidTaskNameError,
    QueuePausedError,
    TombstonedTaskError,
    TooManyTasksError,
    TransactionalRequestTooLargeError,
    UnknownTaskError,
)
from taskqueue.forms import is_reserved
from taskqueue.service import TaskQueueService, translated
from taskqueue.statistics import QueueStatistics
from taskqueue.storage.record import Request, StoredTask, is_generated
from taskqueue.task import DEFAULT_APP_VERSION, Task, checked_tag, leased_task

_NAME = re.compile(rf"[a-zA-Z0-9-]{{1,{limits.MAX_QUEUE_NAME_LENGTH}}}")
# How many tasks, and bytes, were added within each running transaction.
_added: "weakref.WeakKeyDictionary[Any, tuple[int, int]]" = weakref.WeakKeyDictionary()


class Queue:
    """A queue of the service given, or else of the one that the process is bound to.

    Every method may raise UnknownQueueError, and TransientError, DatastoreError or
    PermissionDeniedError for what the store says. Deadlines are checked and mean nothing else.
    """

    def __init__(
        self, name: str = DEFAULT_QUEUE, *, service: TaskQueueService | None = None
    ) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InvalidQueueNameError(
                f"the queue's name is {name!r}: give 1 to {limits.MAX_QUEUE_NAME_LENGTH} letters, "
                "digits and hyphens"
            )
        self._name = name
        self._service = service

    @property
    def name(self) -> str:
        """The queue's name."""
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
        """Add one task, or up to 100, and return what was given.

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
        self._check_batch(tasks, transactional)
        if not tasks:
            return []
        definition = self.service.definition(self._name)
        if definition.is_pull != (tasks[0].method == "PULL"):
            raise InvalidQueueModeError(f"queue {self._name!r} takes {definition.mode} tasks only")
        return self._add(tasks, transactional)

    def _add(self, tasks: list[Task], transactional: bool) -> list[StoredTask]:
        service = self.service
        now = service.now()
        names = service.new_names(now)
        stored = [self._stored(task, task.name or next(names), now) for task in tasks]
        with translated():
            if transactional:
                _check_transaction(service.client.current_transaction, stored)
                service.store.add_with_transaction(stored)
                failures: list[Error | None] = [None] * len(tasks)
            else:
                failures = service.store.add(stored, now)
        for task, record, failure in zip(tasks, stored, failures, strict=True):
            if failure is None:
                task._name, task._queue_name, task._enqueued = record.name, self._name, True
                task._eta_usec = record.eta
        for wake in service.added:
            wake()
        for failure in reversed(failures):
            if failure:
                raise failure
        return stored

    def _check_batch(self, tasks: list[Task], transactional: bool) -> None:
        if len({task.method == "PULL" for task in tasks}) > 1:
            raise InvalidTaskError("one call adds push or pull tasks, not both")
        if len(tasks) > limits.MAX_TASKS_PER_ADD:
            raise TooManyTasksError(
                f"{len(tasks)} tasks in one call, at most {limits.MAX_TASKS_PER_ADD} are allowed"
            )
        names: dict[str, None] = {}
        for task in tasks:
            if task.name:
                _refuse_twice(task.name, names)
            if task.was_enqueued:
                raise BadTaskStateError(f"task {task.name!r} was added before: make a new Task")
        if transactional:
            self._check_transactional(tasks)

    def _check_transactional(self, tasks: list[Task]) -> None:
        if self.service.client.current_transaction is None:
            raise BadTransactionStateError(
                "a transactional add needs a running transaction of the service's own client"
            )
        for task in tasks:
            if task.name:
                raise InvalidTaskNameError("a task that is added in a transaction has no name")

    def _stored(self, task: Task, name: str, now: int) -> StoredTask:
        due = task.due_at(now)
        return StoredTask(
            queue=self._name,
            name=name,
            eta=due,
            due=due,
            enqueued=now,
            payload=task.payload or b"",
            tag=task.tag,
            request=None if task.method == "PULL" else _request(task, self._name),
            retry_options=task.retry_options,
        )

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
        lease = partial(self.service.leasing.lease_by_tag, tag=checked_tag(tag))
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

        Raises TaskLeaseExpiredError where the lease has ended or another has the task,
        TombstonedTaskError where it was deleted, QueuePausedError in a paused queue.
        """
        _check_task(task)
        if not task.name:
            raise BadTaskStateError("a task without a name has no lease: lease it first")
        try:
            task._eta_usec = self.modify_lease(task.name, task._eta_usec, lease_seconds)
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
        """Delete tasks, leased or not, and return what was given.

        `was_deleted` of each says whether there was such a task.
        """
        tasks = _as_list(task)
        names: dict[str, None] = {}
        for each in tasks:
            if not each.name:
                raise BadTaskStateError("a task without a name cannot be deleted: add it first")
            if each.was_deleted:
                raise BadTaskStateError(f"task {each.name!r} was deleted before")
            _refuse_twice(each.name, names)
        if tasks:
            self.service.definition(self._name)
            with self.service.apart():
                now = self.service.now()
                results = self.service.store.delete(self._name, list(names), now)
            self.service.sweeper.step(now)
            for each, result in zip(tasks, results, strict=True):
                each._deleted = result
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
        """The tasks that were given up, with their payloads, the oldest dead letter first.

        `delete_tasks_by_name` removes them for good.
        """
        self.service.definition(self._name)
        with self.service.apart():
            return self.service.store.dead_letters(self._name, most)

    def retry_dead_letter(self, name: str) -> StoredTask:
        """Put a dead letter back into the queue, due at once, and return the task.

        Raises UnknownTaskError where there is none of that name, and InvalidQueueModeError where
        the queue has changed its mode since the task was added.
        """
        definition = self.service.definition(self._name)
        with self.service.apart():
            return self.service.store.revive(definition, name, self.service.now())

    def fetch_statistics(self, deadline: float = 10) -> QueueStatistics:
        """Count what stands in the queue."""
        statistics: QueueStatistics = QueueStatistics.fetch(self, deadline)
        return statistics

    # The same, with the result asked for later

    def add_async(
        self, task: Task | Iterable[Task], transactional: bool = False, rpc: Call | None = None
    ) -> Call:
        """`add` as a Call. Wrong arguments are told when the result is asked for."""
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


def add(
    *task: Any, queue_name: str = DEFAULT_QUEUE, transactional: bool = False, **words: Any
) -> Task:
    """Make a task of the other arguments, as Task takes them, add it to a queue and return it."""
    return Task(*task, **words).add(queue_name, transactional)


def _as_list(task: Task | Iterable[Task]) -> list[Task]:
    tasks = list(task) if isinstance(task, Iterable) else [task]
    for each in tasks:
        _check_task(each)
    return tasks


def _check_task(task: object) -> None:
    if not isinstance(task, Task):
        raise TypeError(f"{task!r:.60} is no task: give a Task")


def _refuse_twice(name: str, before: dict[str, None]) -> None:
    if name in before:
        raise DuplicateTaskNameError(f"the call names task {name!r} twice")
    before[name] = None


def _request(task: Task, queue: str) -> Request:
    headers = tuple((name, value) for name, value in task._headers.items() if not is_reserved(name))
    usec = task.dispatch_deadline_usec
    return Request(
        method=task.method,
        url=f"/_ah/queue/{queue}{task.url}" if task.on_queue_url else task.url,
        headers=headers,
        target="" if task.target is DEFAULT_APP_VERSION else task.target or None,
        deadline_seconds=None if usec is None else usec / 1_000_000,
    )


def _check_transaction(transaction: Any, tasks: list[StoredTask]) -> None:
    """Hold the limits of what one transaction may add."""
    number, size = _added.get(transaction, (0, 0))
    number += len(tasks)
    size += sum(len(task.payload) for task in tasks)
    if number > limits.MAX_TASKS_PER_TRANSACTION:
        raise TooManyTasksError(
            f"{number} tasks in one transaction, at most {limits.MAX_TASKS_PER_TRANSACTION} "
            "are allowed"
        )
    if size > limits.MAX_TRANSACTIONAL_REQUEST_SIZE_BYTES:
        raise TransactionalRequestTooLargeError(
            f"the tasks of the transaction have {size} bytes, at most "
            f"{limits.MAX_TRANSACTIONAL_REQUEST_SIZE_BYTES} are allowed"
        )
    _added[transaction] = number, size


def check_lease_seconds(seconds: float) -> None:
    """Refuse what is no number (TypeError), or no time for a lease (InvalidLeaseTimeError)."""
    if not isinstance(seconds, int | float):
        raise TypeError(f"lease_seconds is {seconds!r}: give a number")
    if not 0 <= seconds <= limits.MAX_LEASE_SECONDS:
        raise InvalidLeaseTimeError(
            f"lease_seconds is {seconds}: give 0 to {limits.MAX_LEASE_SECONDS}"
        )


def check_max_tasks(most: int) -> None:
    """Refuse what is no whole number (TypeError), or too many tasks (InvalidMaxTasksError)."""
    if not isinstance(most, int):
        raise TypeError(f"max_tasks is {most!r}: give a whole number")
    if not 0 < most <= limits.MAX_TASKS_PER_LEASE:
        raise InvalidMaxTasksError(f"max_tasks is {most}: give 1 to {limits.MAX_TASKS_PER_LEASE}")
