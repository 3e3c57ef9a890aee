"""What stands in a queue, in numbers."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taskqueue.calls import Call, check_deadline, make_call

if TYPE_CHECKING:
    from taskqueue.queue import Queue


@dataclass(frozen=True)
class QueueStatistics:
    """The state of a queue.

    `tasks` counts those that are leased too; `oldest_eta_usec` is when the next task may be taken,
    in microseconds since 1970, None in an empty queue; `executed_last_minute` is how many were sent
    or leased, by all processes; `in_flight`, how many are being sent or are leased now;
    `enforced_rate`, the tasks a second that may be sent, 0 while the queue is paused, None for a
    pull queue.
    """

    queue: "Queue"
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
        from taskqueue.queue import Queue

        if isinstance(queue_or_queues, str | Queue):
            return cls._of(_queues([queue_or_queues])[0])
        return [cls._of(queue) for queue in _queues(queue_or_queues)]

    @classmethod
    def fetch_async(cls, queue_or_queues: Any, rpc: Call | None = None) -> Call:
        """`fetch` as a Call."""
        return make_call(rpc, lambda: cls.fetch(queue_or_queues))

    @classmethod
    def _of(cls, queue: "Queue") -> "QueueStatistics":
        service = queue.service
        definition = service.definition(queue.name)
        paused = service.is_paused(queue.name)
        with service.apart():
            counts = service.store.counts(queue.name, service.now())
        rate = None if definition.is_pull else 0.0 if paused else definition.rate
        return cls(queue, counts.tasks, counts.oldest, counts.last_minute, counts.in_flight, rate)


def _queues(given: Iterable[Any]) -> "list[Queue]":
    from taskqueue.queue import Queue

    items = list(given) if isinstance(given, Iterable) else [given]
    for item in items:
        if not isinstance(item, str | Queue):
            raise TypeError(f"{item!r:.60} is no queue: give a Queue or the name of one")
    if len({isinstance(item, str) for item in items}) > 1:
        raise TypeError("give queues or names of queues, not both in one call")
    return [Queue(item) if isinstance(item, str) else item for item in items]
