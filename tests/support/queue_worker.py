"""A worker of a pull queue that writes down what it does: the history of a run.

Called with the store's URL, a file and a seed. Lines: LEASED name begin end, MODIFIED name old-end
new-end, DELETED name; times in microseconds. It leases for a moment or for longer, forgets some
leases, deletes others too late, and stops when the queue is empty. As soon as it has leased
something it says so on standard output, and goes on when a line comes in: so all take part.
"""

import random
import sys
from pathlib import Path
from typing import TextIO

import taskqueue
from taskqueue import Queue, Task, TaskQueueService
from taskqueue.storage.record import to_usec
from tests.support.taskqueues import YAML

QUEUE = "pull"


def open_service(url: str) -> TaskQueueService:
    """The service of one process."""
    return TaskQueueService(url, taskqueue.parse_config(YAML))


class Worker:
    """Leases tasks and deletes most of them."""

    def __init__(self, service: TaskQueueService, history: TextIO, seed: int) -> None:
        self.queue = Queue(QUEUE, service=service)
        self.history = history
        self.rng = random.Random(seed)

    def work(self) -> bool:
        """One round; whether there was, or may be, something to do."""
        seconds = self.rng.choice([0.02, 1, 2])
        tasks = self.queue.lease_tasks(seconds, self.rng.choice([1, 20, 200]))
        for task in tasks:
            end = to_usec(task.eta)
            self.note("LEASED", task, end - round(seconds * 1_000_000), end)
        for task in self.rng.sample(tasks, min(2, len(tasks))):
            self.modify(task)
        kept = [task for task in tasks if self.rng.random() < 0.95]
        self.queue.delete_tasks(kept)
        for task in kept:
            if task.was_deleted:
                self.note("DELETED", task)
        self.history.flush()
        return bool(tasks) or bool(self.queue.service.store.tasks(QUEUE, 1))

    def modify(self, task: Task) -> None:
        before = to_usec(task.eta)
        try:
            self.queue.modify_task_lease(task, self.rng.choice([0, 0.1, 2]))
        except (taskqueue.TaskLeaseExpiredError, taskqueue.TombstonedTaskError):
            return
        self.note("MODIFIED", task, before, to_usec(task.eta))

    def note(self, event: str, task: Task, *times: int) -> None:
        print(event, task.name, *times, file=self.history)


def add(service: TaskQueueService, number: int) -> list[str]:
    """Add tasks, some with tags and later times, and return their names."""
    names: list[str] = []
    for start in range(0, number, 100):
        tasks = [
            Task(f"{n}", method="PULL", tag=None if n % 3 else "t", countdown=n % 7 / 10)
            for n in range(start, min(start + 100, number))
        ]
        Queue(QUEUE, service=service).add(tasks)
        names += [str(task.name) for task in tasks]
    return names


if __name__ == "__main__":
    _, url, file, seed = sys.argv
    with Path(file).open("w") as stream:
        worker = Worker(open_service(url), stream, int(seed))
        while not stream.tell():
            worker.work()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        while worker.work():
            pass
