"""Queues over a store, with a clock that stands still until it is moved."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import taskqueue
from taskqueue import Queue, Task, TaskQueueService

YAML = """
queue:
- name: default
  rate: 5/s
- name: pull
  mode: pull
- name: other
  mode: pull
- name: twice
  mode: pull
  retry_parameters:
    task_retry_limit: 2
"""
START = datetime(2026, 1, 7, 12, 0, tzinfo=UTC)


class Clock:
    """A clock for tests."""

    def __init__(self) -> None:
        self.time = START
        self.monotonic = 10**9

    def __call__(self) -> datetime:
        return self.time

    def move(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self.monotonic += round(seconds * 1_000_000)

    def step_back(self, seconds: float) -> None:
        """Set the clock back, which the monotonic one does not notice."""
        self.time -= timedelta(seconds=seconds)

    def ticks(self) -> int:
        """The monotonic clock in microseconds, for a Dispatcher."""
        return self.monotonic


def make_service(client: Any, clock: Clock, yaml: str = YAML) -> TaskQueueService:
    """A service over the client, with the queues above and names that are told in advance."""
    config = taskqueue.parse_config(yaml)
    return TaskQueueService(client, config, clock=clock, rng=random.Random(7))


def pull_task(payload: str | bytes = "payload", **kwargs: Any) -> Task:
    """A pull task."""
    return Task(payload, method="PULL", **kwargs)


def names(tasks: list[Task]) -> list[str | None]:
    """The names of tasks."""
    return [task.name for task in tasks]


def fill(queue: Queue, *task_names: str, **kwargs: Any) -> list[Task]:
    """Add a pull task of each name."""
    tasks: list[Task] = queue.add([pull_task(name=name, **kwargs) for name in task_names])
    return tasks
