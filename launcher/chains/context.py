"""What the launcher's stages and handlers work with; a process is bound to one context."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from launcher.chains.records import Records
from launcher.jobs import Runner
from launcher.settings import LauncherSettings
from taskqueue import Queue, Task, TaskAlreadyExistsError, TaskQueueService, TombstonedTaskError
from workflow.pipeline import DEFAULT_BASE_PATH

START_URL = "/tasks/launcher/start"
LOOK_URL = "/tasks/launcher/look"
LOOK, POLL = "look", "poll"


@dataclass(frozen=True, slots=True)
class Context:
    """The settings, the queues and their store, and the runners by the kinds of steps."""

    settings: LauncherSettings
    service: TaskQueueService
    runners: Mapping[str, Runner] = field(default_factory=dict)

    @property
    def target(self) -> str | None:
        """The service that tasks go to; None for the queue's own."""
        return self.settings.target or None

    @property
    def records(self) -> Records:
        """The records of executions in the store of this process."""
        return Records(self.service.client)

    def now(self) -> datetime:
        """The time, aware and in UTC."""
        return self.service.clock()

    def add(self, task: Task, *, in_transaction: bool = False) -> bool:
        """Add a task; returns whether it is new, and no task of its name was added before."""
        try:
            Queue(self.settings.queue, service=self.service).add(task, in_transaction)
        except (TaskAlreadyExistsError, TombstonedTaskError):
            return False
        return True

    def look_task(self, pipeline_id: str, seconds: float = 0, **fields: Any) -> Task:
        """A task that makes a step look at its job, some seconds from now."""
        params = {"pipeline_id": pipeline_id, "what": LOOK, "number": 0, "key": ""}
        eta = self.now() + timedelta(seconds=seconds)
        url = f"{DEFAULT_BASE_PATH}/callback"
        params |= fields.pop("params", {})
        return Task(url=url, params=params, eta=eta, target=self.target, **fields)


_bound: list[Context] = []


def bind(context: Context | None) -> None:
    """Bind this process to a context, or to none."""
    _bound[:] = [context] if context else []


def current() -> Context:
    """The context that this process is bound to. Without one this is a bug: AssertionError."""
    assert _bound, "no launcher is bound to this process: see launcher.app.create_app"
    return _bound[0]
