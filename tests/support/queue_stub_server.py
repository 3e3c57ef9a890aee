"""The old library's in-memory queues, driven by JSON lines; runs in an environment of its own.

A line holds [operation, time, arguments...]; the answer is {"result": ...} or {"error": class}.
Task objects are kept by number: each `add` and lease appends those that it names.
"""

import json
import logging
import os
import sys
import types
from typing import Any

logging.disable(logging.CRITICAL)
os.environ.update(APPLICATION_ID="test", HTTP_HOST="localhost")

from google.appengine.api import apiproxy_stub_map  # noqa: E402  # after its environment is set
from google.appengine.api.taskqueue import taskqueue, taskqueue_stub  # noqa: E402  # the same


class Server:
    """The stub with a clock that is told the time."""

    def __init__(self, queue_yaml: str) -> None:
        self.queue_yaml = queue_yaml
        self.now = 0.0
        taskqueue.time = types.SimpleNamespace(time=lambda: self.now, mktime=None)
        self.reset()

    def reset(self) -> None:
        self.tasks: list[Any] = []
        stub = taskqueue_stub.TaskQueueServiceStub(
            queue_config_path=self.queue_yaml, gettime=lambda: self.now
        )
        stub._GetGroup()._next_task_id = 10**6
        apiproxy_stub_map.apiproxy = apiproxy_stub_map.APIProxyStubMap()
        apiproxy_stub_map.apiproxy.RegisterStub("taskqueue", stub)

    def add(self, queue: str, fields: list[dict[str, Any]]) -> list[Any]:
        tasks = [taskqueue.Task(**each, method="PULL") for each in fields]
        self.tasks += tasks
        taskqueue.Queue(queue).add(tasks)
        return [task.was_enqueued for task in tasks]

    def add_again(self, queue: str, number: int) -> None:
        taskqueue.Queue(queue).add(self.tasks[number])

    def lease_tasks(self, queue: str, *args: Any) -> list[Any]:
        return self.leased(taskqueue.Queue(queue).lease_tasks(*args))

    def lease_tasks_by_tag(self, queue: str, *args: Any) -> list[Any]:
        return self.leased(taskqueue.Queue(queue).lease_tasks_by_tag(*args))

    def leased(self, tasks: list[Any]) -> list[Any]:
        self.tasks += tasks
        return [
            [t.name, t.payload.decode(), t.tag, t.retry_count, round(t.eta_posix * 1e6)]
            for t in tasks
        ]

    def modify_task_lease(self, queue: str, number: int, seconds: float) -> int:
        taskqueue.Queue(queue).modify_task_lease(self.tasks[number], seconds)
        return round(self.tasks[number].eta_posix * 1e6)

    def delete_tasks(self, queue: str, numbers: list[int]) -> list[bool]:
        tasks = [self.tasks[number] for number in numbers]
        return [task.was_deleted for task in taskqueue.Queue(queue).delete_tasks(tasks)]

    def delete_tasks_by_name(self, queue: str, names: list[str]) -> list[bool]:
        return [t.was_deleted for t in taskqueue.Queue(queue).delete_tasks_by_name(names)]

    def purge(self, queue: str) -> None:
        taskqueue.Queue(queue).purge()

    def fetch_statistics(self, queue: str) -> list[Any]:
        found = taskqueue.Queue(queue).fetch_statistics()
        return [found.tasks, found.oldest_eta_usec]

    def answer(self, line: str) -> dict[str, Any]:
        operation, self.now, *args = json.loads(line)
        try:
            return {"result": getattr(self, operation)(*args)}
        except (taskqueue.Error, TypeError) as error:
            return {"error": type(error).__name__}


if __name__ == "__main__":
    server = Server(sys.argv[1])
    for line in sys.stdin:
        print(json.dumps(server.answer(line)), flush=True)  # noqa: T201  # the answer
