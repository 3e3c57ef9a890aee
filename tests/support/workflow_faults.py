"""Run workflows while deliveries are repeated, late and shuffled, and processes are killed."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from taskqueue import TaskQueueService
from taskqueue.push.sending import Answer
from taskqueue.storage.record import StoredTask
from tests.support.taskqueues import Clock
from workflow.engine import deaths
from workflow.engine.engine import Engine
from workflow.engine.local import LocalRunner
from workflow.pipeline import INCARNATION_HEADER

MOST = 20_000


class KilledError(BaseException):
    """The process ends here; nothing may catch it."""


class Process:
    """Stands in for the processes that run stages, one after another."""

    def __init__(self) -> None:
        self.number = 0
        self.deaths: Counter[str] = Counter()

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let stages run in these processes instead of the one of the test."""
        monkeypatch.setattr(deaths, "this_process", lambda: str(self.number))
        monkeypatch.setattr(deaths, "is_alive", lambda name: name == str(self.number))

    def die(self, stage: str = "") -> None:
        """End this process, in the middle of the code of a stage."""
        self.number += 1
        self.deaths[stage] += 1
        raise KilledError


PROCESS = Process()


class MortalClient:
    """A client whose process may be killed before and after each of its operations."""

    def __init__(self, client: Any, is_killed: Callable[[], bool]) -> None:
        self._client = client
        self._is_killed = is_killed

    def _live(self) -> None:
        if self._is_killed():
            raise KilledError

    def get_multi(self, *args: Any, **kwargs: Any) -> Any:
        self._live()
        return self._client.get_multi(*args, **kwargs)

    def get(self, *args: Any, **kwargs: Any) -> Any:
        self._live()
        return self._client.get(*args, **kwargs)

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
    def transaction(self, **kwargs: Any) -> Iterator[Any]:
        with self._client.transaction(**kwargs) as transaction:
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

    A task whose handler was killed, or has failed, stays in the queue. `again` is the share of
    tasks that are delivered twice, `set_back` of those before which the clock is set back; `seen`
    are all tasks so far, and `late` are tasks of former workflows, which are delivered between the
    others.
    """

    def __init__(self, engine: Engine, clock: Clock, rng: random.Random, again: float) -> None:
        self.engine = engine
        self.service: TaskQueueService = engine.service
        self.clock = clock
        self.rng = rng
        self.again = again
        self.set_back = 0.0
        self.kills = 0
        self.seen: dict[str, StoredTask] = {}
        self.late: list[StoredTask] = []
        self._runner = LocalRunner(engine, other=self._callback)

    def run(self, most: int | None = None) -> None:
        """Deliver at most so many tasks; without a limit, all until none is left."""
        for _ in range(MOST if most is None else most):
            if self.set_back and self.rng.random() < self.set_back:
                self.clock.step_back(self.rng.choice([1, 100, 10_000]))
            tasks = self.service.store.tasks("default", 50)
            due = [task for task in tasks if task.due <= self.service.now()]
            if self.late:
                self._call(self.rng.choice(self.late))
            if due:
                self._deliver(self.rng.choice(due))
            elif tasks:
                self.clock.move((tasks[0].due - self.service.now()) / 1_000_000)
            else:
                return
        assert most is not None, "the workflow does not end"

    def _deliver(self, task: StoredTask) -> None:
        self.seen[task.name] = task
        answer = self._call(task)
        if answer is None or (self.rng.random() < self.again and self._call(task) is None):
            return
        if answer.is_success:
            try:
                self.service.store.delete("default", [task.name], self.service.now())
            except KilledError:
                self.kills += 1
        else:
            self.clock.move(1)

    def _call(self, task: StoredTask) -> Answer | None:
        """The answer to a task; None if its process was killed."""
        try:
            return self._runner.call(task)
        except KilledError:
            self.kills += 1
            return None

    def _callback(self, task: StoredTask) -> int:
        assert task.request is not None
        assert urlsplit(task.request.url).path == "/_ah/pipeline/callback"
        fields = dict(parse_qsl(task.payload.decode()))
        incarnation = dict(task.request.headers).get(INCARNATION_HEADER)
        stage = self.engine.stage(
            fields.pop("pipeline_id"), resolve_outputs=False, incarnation=incarnation
        )
        if stage is not None:
            stage.callback(**fields)
        return 200
