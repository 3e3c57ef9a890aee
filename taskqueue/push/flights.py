"""Tasks on their way to their handlers, and the threads that send them."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue

from taskqueue.config import QueueDefinition
from taskqueue.push.pacing import Pace
from taskqueue.push.sending import Answer, Send
from taskqueue.storage.record import StoredTask

_logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Flight:
    """A task that is being sent. `answer` is there when it has come.

    `started` and `extend_at` are readings of the monotonic clock: since when it is being sent, and
    when its lease is to be extended.
    """

    task: StoredTask
    queue_target: str | None
    started: int
    extend_at: int
    answer: Answer | None = None
    is_lost: bool = False


@dataclass(slots=True)
class Lane:
    """The state of one queue in a dispatcher.

    `look_at` is when it looks for tasks again, by the monotonic clock; `is_full`, whether it waits
    for an answer before.
    """

    definition: QueueDefinition
    pace: Pace
    look_at: int = 0
    is_full: bool = False
    flights: set[Flight] = field(default_factory=set)


class SendingThreads:
    """Threads that end with the process, whatever they wait for."""

    def __init__(self, number: int, send: Send, done: Callable[[Flight], None]) -> None:
        self._jobs: SimpleQueue[Flight | None] = SimpleQueue()
        self._send = send
        self._done = done
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(number)]
        for thread in self._threads:
            thread.start()

    def start(self, flight: Flight) -> None:
        """Send the flight's task as soon as a thread is free."""
        self._jobs.put(flight)

    def _work(self) -> None:
        while flight := self._jobs.get():
            try:
                flight.answer = self._send(flight.task, flight.queue_target)
            except Exception as error:  # a thread that died would take its task along
                _logger.exception("a task could not be sent", extra=about(flight.task))
                flight.answer = Answer(None, f"not sent: {type(error).__name__}")
            self._done(flight)

    def end(self) -> None:
        """Make the threads end when they are free."""
        for _ in self._threads:
            self._jobs.put(None)


def about(task: StoredTask) -> dict[str, object]:
    """The fields of log records that describe a task, for `extra`."""
    return {"queue": task.queue, "task": task.name, "attempt": task.retries}
