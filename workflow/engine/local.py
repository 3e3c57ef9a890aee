"""Running the tasks of workflows in this process, without a dispatcher and a server."""

import logging
import random
from collections.abc import Callable
from urllib.parse import parse_qsl, urlsplit

from taskqueue.push.sending import Answer, outcome_of
from taskqueue.storage.leasing import Outcome, Verdict
from taskqueue.storage.record import StoredTask
from workflow.engine.engine import Engine
from workflow.engine.tasks import HANDLERS, handle

LEASE = 600.0  # seconds
MOST = 100  # tasks taken at once
_logger = logging.getLogger(__name__)

# Calls the handler of any other task, and returns the HTTP status of the answer.
Other = Callable[[StoredTask], int]


class LocalRunner:
    """Takes the push tasks that are due and calls their handlers, one after another."""

    def __init__(
        self, engine: Engine, other: Other | None = None, rng: random.Random | None = None
    ) -> None:
        self.engine = engine
        self._other = other
        self._rng = rng
        service = engine.service
        self._queues = [name for name, q in service.config.queues.items() if not q.is_pull]

    def step(self) -> int:
        """Handle the tasks that are due now; returns how many there were."""
        service = self.engine.service
        number = 0
        for queue in self._queues:
            tasks = service.leasing.claim(service.definition(queue), service.now(), LEASE, MOST)
            if self._rng:
                self._rng.shuffle(tasks)
            for task in tasks:
                service.leasing.settle([self._outcome(task)], service.now())
            number += len(tasks)
        return number

    def next_due(self) -> int | None:
        """When the next task is due, in microseconds; None if there are no tasks."""
        found = [self.engine.service.store.next_due(queue) for queue in self._queues]
        return min((due for due in found if due is not None), default=None)

    def _outcome(self, task: StoredTask) -> Outcome:
        retry = self.engine.service.definition(task.queue).retry
        return outcome_of(task, self.call(task), retry, self.engine.service.now(), 0.0)

    def call(self, task: StoredTask) -> Answer:
        """Call the handler of a task."""
        assert task.request is not None
        name = urlsplit(task.request.url).path.rpartition("/")[2]
        try:
            if name in HANDLERS:
                handle(self.engine, name, dict(parse_qsl(task.payload.decode())))
                return Answer(200)
            return Answer(self._other(task) if self._other else 404, "no handler")
        # As a server does: the answer 500 lets the queue retry the task.
        except Exception as error:
            _logger.warning("task %s has failed", task.name, exc_info=error)
            return Answer(500, f"{type(error).__name__}: {error}")


__all__ = ["LocalRunner", "Verdict"]
