"""Running workflows while deliveries are repeated and shuffled, and processes killed."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from taskqueue import TaskQueueService
from taskqueue.storage.record import StoredTask
from tests.support.taskqueues import Clock
from workflow.engine.engine import Engine
from workflow.engine.local import LocalRunner

MOST = 20_000


class KilledError(BaseException):
    """The process ends here; nothing may catch it."""


class MortalClient:
    """A client whose process may be killed before and after each of its operations."""

    def __init__(self, client: Any, is_killed: Callable[[], bool]) -> None:
        self._client = client
        self._is_killed = is_killed

    def _live(self) -> None:
        if self._is_killed():
            raise KilledError

    def get_multi(self, *args: Any, **words: Any) -> Any:
        self._live()
        return self._client.get_multi(*args, **words)

    def get(self, *args: Any, **words: Any) -> Any:
        self._live()
        return self._client.get(*args, **words)

    def put_multi(self, entities: Any) -> None:
        self._writing(self._client.put_multi, entities)

    def put(self, entity: Any) -> None:
        self._writing(self._client.put, entity)

    def delete_multi(self, keys: Any) -> None:
        self._writing(self._client.delete_multi, keys)

    def _writing(self, write: Callable[[Any], None], what: Any) -> None:
        if self._client.current_batch is not None:
            write(what)
            return
        self._live()
        write(what)
        self._live()

    @contextmanager
    def transaction(self, **words: Any) -> Iterator[Any]:
        with self._client.transaction(**words) as transaction:
            yield transaction
            self._live()
        self._live()

    @contextmanager
    def batch(self) -> Iterator[Any]:
        with self._client.batch() as batch:
            yield batch
            self._live()
        self._live()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


class Deliveries:
    """The tasks of a service, delivered in any order, some of them more than once.

    A task whose handler was killed, or has failed, stays in the queue.
    """

    def __init__(self, engine: Engine, clock: Clock, rng: random.Random, again: float) -> None:
        self.engine = engine
        self.service: TaskQueueService = engine.service
        self.clock = clock
        self.rng = rng
        self.again = again
        self.kills = 0
        self._runner = LocalRunner(engine, other=self._callback)

    def run(self, most: int | None = None) -> None:
        """Deliver so many tasks, or until there is nothing left."""
        for _ in range(MOST if most is None else most):
            tasks = self.service.store.tasks("default", 50)
            due = [task for task in tasks if task.due <= self.service.now()]
            if due:
                self._deliver(self.rng.choice(due))
            elif tasks:
                self.clock.move((tasks[0].due - self.service.now()) / 1_000_000)
            else:
                return
        assert most is not None, "it does not come to an end"

    def _deliver(self, task: StoredTask) -> None:
        try:
            answer = self._runner.call(task)
            if self.rng.random() < self.again:
                self._runner.call(task)
        except KilledError:
            self.kills += 1
            return
        if answer.is_success:
            try:
                self.service.store.delete("default", [task.name], self.service.now())
            except KilledError:
                self.kills += 1
        else:
            self.clock.move(1)

    def _callback(self, task: StoredTask) -> int:
        assert task.request is not None
        assert urlsplit(task.request.url).path == "/_ah/pipeline/callback"
        words = dict(parse_qsl(task.payload.decode()))
        stage = self.engine.stage(words.pop("pipeline_id"), resolve_outputs=False)
        if stage is not None:
            stage.callback(**words)
        return 200
