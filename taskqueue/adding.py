"""Adding tasks to a queue: the checks of a whole call, and of a whole transaction."""

import weakref
from collections.abc import Sequence
from typing import Any, Protocol

from taskqueue import limits
from taskqueue.errors import (
    BadTaskStateError,
    BadTransactionStateError,
    DuplicateTaskNameError,
    Error,
    InvalidQueueModeError,
    InvalidTaskError,
    InvalidTaskNameError,
    TooManyTasksError,
    TransactionalRequestTooLargeError,
)
from taskqueue.service import TaskQueueService, translated
from taskqueue.storage.record import StoredTask

# How many tasks, and bytes, were added within each running transaction.
_added: "weakref.WeakKeyDictionary[Any, tuple[int, int]]" = weakref.WeakKeyDictionary()


class NewTask(Protocol):
    """What adding needs from a Task."""

    @property
    def name(self) -> str | None:
        """Its name, if it has one."""

    @property
    def method(self) -> str:
        """The task's HTTP method; PULL for a pull task."""

    @property
    def was_enqueued(self) -> bool:
        """Whether `add` has stored the task before."""

    def record(self, queue: str, name: str, now: int) -> StoredTask:
        """The task as it is stored."""

    def mark_added(self, stored: StoredTask) -> None:
        """Remember that the task was stored, so that it is not added twice."""


def add(
    service: TaskQueueService, queue: str, tasks: Sequence[NewTask], transactional: bool = False
) -> list[StoredTask]:
    """Add tasks as `Queue.add` says, and return them as they were stored.

    As in the old library, the tasks are checked before the queue is looked up.
    """
    _check_batch(tasks)
    if transactional:
        _check_transactional(service, tasks)
    if not tasks:
        return []
    definition = service.definition(queue)
    if definition.is_pull != (tasks[0].method == "PULL"):
        raise InvalidQueueModeError(f"queue {queue!r} takes {definition.mode} tasks only")
    now = service.now()
    names = service.new_names(now)
    records = [task.record(queue, task.name or next(names), now) for task in tasks]
    failures = _store(service, records, transactional, now)
    for task, record, failure in zip(tasks, records, failures, strict=True):
        # Tasks whose names can be used are added although others fail.
        if failure is None:
            task.mark_added(record)
    # A dispatcher in this process need not wait for its next poll.
    for wake in service.added:
        wake()
    for failure in reversed(failures):
        if failure:
            raise failure
    return records


def _store(
    service: TaskQueueService, records: list[StoredTask], transactional: bool, now: int
) -> Sequence[Error | None]:
    """Store tasks; for each of them, why its name could not be used, or None."""
    with translated():
        if not transactional:
            return service.store.add(records, now)
        _check_transaction(service.client.current_transaction, records)
        service.store.add_with_transaction(records)
        return [None] * len(records)


def _check_batch(tasks: Sequence[NewTask]) -> None:
    if len({task.method == "PULL" for task in tasks}) > 1:
        raise InvalidTaskError("one call adds push or pull tasks, not both")
    if len(tasks) > limits.MAX_TASKS_PER_ADD:
        raise TooManyTasksError(
            f"{len(tasks)} tasks in one call, at most {limits.MAX_TASKS_PER_ADD} are allowed"
        )
    names: dict[str, None] = {}
    for task in tasks:
        if task.name:
            note_name(task.name, names)
        if task.was_enqueued:
            raise BadTaskStateError(f"task {task.name!r} was added before: make a new Task")


def note_name(name: str, names: dict[str, None]) -> None:
    """Add a name to those of a call; raises DuplicateTaskNameError if it is among them."""
    if name in names:
        raise DuplicateTaskNameError(f"the call names task {name!r} twice")
    names[name] = None


def _check_transactional(service: TaskQueueService, tasks: Sequence[NewTask]) -> None:
    if service.client.current_transaction is None:
        raise BadTransactionStateError(
            "a transactional add needs a running transaction of the service's own client"
        )
    if any(task.name for task in tasks):
        raise InvalidTaskNameError("a task that is added in a transaction has no name")


def _check_transaction(transaction: object, records: Sequence[StoredTask]) -> None:
    """Enforce the limits of a transactional add."""
    number, size = _added.get(transaction, (0, 0))
    number += len(records)
    size += sum(len(task.payload) for task in records)
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
