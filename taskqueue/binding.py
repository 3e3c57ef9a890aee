"""The service that `Queue` and `add` use by default: the application binds it once."""

from pathlib import Path

from dfpipe.datastore import Store
from service.clock import Clock, utc_now
from taskqueue.config import QueueConfig
from taskqueue.errors import UsageError
from taskqueue.service import TaskQueueService
from taskqueue.storage.record import to_usec

_bound: list[TaskQueueService] = []


def configure(
    store: str | Store = "sqlite:///taskqueue.db",
    queues: QueueConfig | str | Path | None = None,
    *,
    clock: Clock = utc_now,
) -> TaskQueueService:
    """Bind this process to the queues of a store and return the service.

    The arguments are those of TaskQueueService. Call it once, before the first task is made; a
    second call replaces the binding.
    """
    service = TaskQueueService(store, queues, clock=clock)
    bind(service)
    return service


def bind(service: TaskQueueService | None) -> None:
    """Bind this process to a service, or to none."""
    if service is not None and not isinstance(service, TaskQueueService):
        raise TypeError(
            f"{service!r:.60}: expected a TaskQueueService, as taskqueue.configure makes it"
        )
    _bound[:] = [service] if service else []


def current() -> TaskQueueService:
    """The bound service; raises UsageError if the process is not bound yet."""
    if not _bound:
        raise UsageError(
            "this process uses no task queues yet: call "
            "taskqueue.configure('sqlite:///FILE', 'queue.yaml') when the application starts"
        )
    return _bound[0]


def now() -> int:
    """The bound service's time, or the machine's, in microseconds since 1970."""
    return _bound[0].now() if _bound else to_usec(utc_now())
