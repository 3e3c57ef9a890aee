"""Queues and tasks as v1beta2 resources, for the REST API and the command line.

All times in resources are in microseconds since 1970, 64-bit numbers are strings.
"""

import base64
import binascii
from contextlib import suppress
from functools import partial
from typing import Any

from taskqueue.arguments import checked_tag
from taskqueue.config import QueueDefinition
from taskqueue.errors import InvalidQueueModeError, TaskLeaseExpiredError, UnknownTaskError
from taskqueue.queue import Queue, check_lease_seconds, check_max_tasks
from taskqueue.service import TaskQueueService, translated
from taskqueue.storage.record import StoredTask
from taskqueue.storage.store import QueueCounts
from taskqueue.task import Task

LEASE_EXPIRED = "leaseExpired"  # the reason in an error of the REST API
MOST_LISTED = 100
MOST_LEASE_BYTES = 2**20  # of one lease through REST
Resource = dict[str, Any]


def encoded(payload: bytes) -> str:
    """A payload as `payloadBase64` has it: the URL-safe alphabet, with padding."""
    return base64.urlsafe_b64encode(payload).decode()


def decoded(text: str) -> bytes:
    """The payload of a `payloadBase64`, of either alphabet, padded or not; raises ValueError."""
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"payloadBase64 is not base64: {error}") from error


def long_name(project: str, queue: str) -> str:
    """The `queueName` of a task in the REST API."""
    return f"projects/{project}/taskqueues/{queue}"


def task_resource(
    task: StoredTask, project: str, now: int, *, with_payload: bool = True
) -> Resource:
    """A task; `leaseTimestamp` is when it can be leased, or leased again; 0 if that is now."""
    resource: Resource = {
        "kind": "taskqueues#task",
        "id": task.name,
        "queueName": long_name(project, task.queue),
        "enqueueTimestamp": str(task.enqueued),
        "leaseTimestamp": str(task.due if task.due > now else 0),
        "retry_count": task.retries,
    }
    if with_payload:
        resource["payloadBase64"] = encoded(task.payload)
    if task.tag is not None:
        resource["tag"] = task.tag
    if task.request:
        resource |= {"eta": str(task.eta), "url": task.request.url, "method": task.request.method}
        resource |= {"status": task.status, "reason": task.reason} if task.executions else {}
    if task.dead is not None:
        resource |= {"deadTimestamp": str(task.dead), "reason": task.reason}
    return resource


def tasks_resource(
    tasks: list[StoredTask], project: str, now: int, *, with_payloads: bool = True
) -> Resource:
    """A list of tasks; an empty one has no `items`."""
    items = [task_resource(task, project, now, with_payload=with_payloads) for task in tasks]
    return {"kind": "taskqueues#tasks"} | ({"items": items} if items else {})


def queue_resource(
    definition: QueueDefinition, project: str, counts: QueueCounts | None
) -> Resource:
    """A queue, with numbers of its tasks if they were counted."""
    resource: Resource = {
        "kind": "taskqueues#taskqueue",
        "id": long_name(project, definition.name),
        "acl": {
            "adminEmails": [],
            "consumerEmails": list(definition.users),
            "producerEmails": list(definition.writers),
        },
    }
    if definition.is_pull and definition.retry and definition.retry.task_retry_limit is not None:
        resource["maxLeases"] = definition.retry.task_retry_limit
    if counts:
        resource["stats"] = {
            "totalTasks": counts.tasks,
            "oldestTask": str(counts.oldest or 0),
            "leasedLastMinute": str(counts.last_minute),
            "leasedLastHour": str(counts.last_hour),
        }
    return resource


class QueueResources:
    """The queues of a service, as one project. Every method may raise taskqueue.errors.Error."""

    def __init__(self, service: TaskQueueService, project: str = "default") -> None:
        self.service = service
        self.project = project

    def get_queue(self, queue: str, stats: bool = False) -> Resource:
        """The queue, with its statistics if wanted."""
        definition = self._definition(queue)
        if not stats:
            return queue_resource(definition, self.project, None)
        with translated():
            counts = self.service.store.counts(queue, self.service.now())
        return queue_resource(definition, self.project, counts)

    def list_tasks(self, queue: str, most: int = MOST_LISTED) -> Resource:
        """The first tasks of a queue, leased or not, without their payloads."""
        self._definition(queue)
        with translated():
            tasks = self.service.store.tasks(queue, most, with_payloads=False)
        return tasks_resource(tasks, self.project, self.service.now(), with_payloads=False)

    def get_task(self, queue: str, name: str) -> Resource:
        """One task of a queue, with its payload in Base64."""
        return task_resource(self._task(queue, name), self.project, self.service.now())

    def insert(self, queue: str, task: Task) -> Resource:
        """Add a task and return it as it was stored."""
        # Not read again: a worker may have taken, and deleted, the task already.
        [stored] = Queue(queue, service=self.service).added([task])
        return task_resource(stored, self.project, stored.enqueued)

    def lease(
        self,
        queue: str,
        seconds: float,
        most: int,
        *,
        by_tag: bool = False,
        tag: str | None = None,
        most_bytes: int = MOST_LEASE_BYTES,
    ) -> Resource:
        """Lease tasks: any, those of the tag, or those of the oldest task's tag."""
        self._definition(queue)
        check_lease_seconds(seconds)
        check_max_tasks(most)
        tag = checked_tag(tag)
        service = self.service
        definition = service.pull_queue(queue)
        now = service.now()
        if service.is_paused(queue):
            return tasks_resource([], self.project, now)
        lease = partial(service.leasing.lease_by_tag, tag=tag) if by_tag else service.leasing.lease
        with translated():
            leased = lease(definition, now, seconds, most, most_bytes=most_bytes)
        return tasks_resource(leased, self.project, now)

    def modify(
        self, queue: str, name: str, seconds: float, lease_timestamp: int | None = None
    ) -> Resource:
        """Let the lease of a task end so many seconds from now; 0 gives the task back.

        `lease_timestamp` says which lease: one that has ended, or is another's by now, raises
        TaskLeaseExpiredError. Without it, the current lease is changed.
        """
        task = self._task(queue, name)
        if not task.leased:
            raise TaskLeaseExpiredError(f"task {name!r} is not leased: lease it first")
        ends = task.due if lease_timestamp is None else lease_timestamp
        due = Queue(queue, service=self.service).modify_lease(name, ends, seconds)
        # Not read again: what was given back may be another's by now.
        changed = task._replace(due=due, leased=seconds > 0)
        return task_resource(changed, self.project, self.service.now())

    def delete(self, queue: str, name: str) -> None:
        """Delete a task, leased or not; raises UnknownTaskError if it does not exist."""
        if not Queue(queue, service=self.service).delete_tasks_by_name(name).was_deleted:
            raise UnknownTaskError(f"queue {queue!r} has no task named {name!r}")

    def clear(self, queue: str, most: int) -> int:
        """Delete the first tasks of a queue; returns how many."""
        self._definition(queue)
        with translated():
            tasks = self.service.store.tasks(queue, most, with_payloads=False)
            names = [task.name for task in tasks]
            return sum(self.service.store.delete(queue, names, self.service.now()))

    def dead_letters(self, queue: str, most: int) -> Resource:
        """The dead letters, the oldest first, without their payloads."""
        self._definition(queue)
        with translated():
            tasks = self.service.store.dead_letters(queue, most, with_payloads=False)
        return tasks_resource(tasks, self.project, self.service.now(), with_payloads=False)

    def revive(self, queue: str, name: str) -> Resource:
        """Put a dead letter back into its queue."""
        definition = self._definition(queue)
        with translated():
            now = self.service.now()
            task = self.service.store.revive(definition, name, now)
        return task_resource(task, self.project, now)

    def revive_all(self, queue: str) -> int:
        """Put back all dead letters that the queue has now and can take; returns how many."""
        definition = self._definition(queue)
        revived, now = 0, self.service.now()
        with translated():
            for name in self.service.store.dead_names(queue, now):
                # Another may have put it back, or the queue has changed its mode.
                with suppress(UnknownTaskError, InvalidQueueModeError):
                    self.service.store.revive(definition, name, now)
                    revived += 1
        return revived

    def _definition(self, queue: str) -> QueueDefinition:
        return self.service.definition(Queue(queue).name)

    def _task(self, queue: str, name: str) -> StoredTask:
        self._definition(queue)
        checked = str(Task(name=name).name)
        with translated():
            return self.service.store.get(queue, checked)
