"""Takes the posts of the pull queue `ingest` into the store; any number of these may run."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from collector.dead_letters import letter_entity
from collector.ingest import QUEUE
from collector.sources import Found
from collector.storing import Stored, store
from dfpipe.errors import DfpipeError
from dfpipe.formats import own
from dfpipe.formats.files import parse
from dfpipe.formats.result import Skip
from dfpipe.post import Post
from taskqueue import Queue, Task, TaskQueueService
from taskqueue.errors import Error
from taskqueue.service import translated

ACCOUNT = "ingest"  # under which dead letters are put
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """How a worker works. Times are in seconds.

    A batch that is not stored when its lease ends is given to another worker: storing it twice
    changes nothing.
    """

    lease: float = 60.0
    most_tasks: int = 200
    poll: float = 0.5


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of the tasks of one lease."""

    tasks: int
    posts: int
    set_aside: int
    stored: Stored


class IngestWorker:
    """Leases tasks, stores their posts and deletes the tasks, until `stop`.

    `on_batch` is called after each batch.
    """

    def __init__(
        self,
        service: TaskQueueService,
        settings: WorkerSettings | None = None,
        on_batch: Callable[[Batch], None] = lambda batch: None,
    ) -> None:
        self._service = service
        self._queue = Queue(QUEUE, service=service)
        self._settings = settings or WorkerSettings()
        self._on_batch = on_batch
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Lease no more and let `run` return; for other threads, and for signal handlers."""
        self._stopping.set()

    def run(self) -> None:
        """Work until `stop`; a batch that was begun is finished."""
        while not self._stopping.is_set():
            try:
                idle = self.work() is None
            except (Error, DfpipeError) as error:
                _logger.warning("a batch waits for the end of its lease: %s", error)
                idle = True
            if idle:
                self._stopping.wait(self._settings.poll)

    def work(self) -> Batch | None:
        """Take one batch in; None where no task was free.

        Raises what the queue and the store raise: the tasks come again when their lease ends.
        """
        tasks = self._queue.lease_tasks(self._settings.lease, self._settings.most_tasks)
        if not tasks:
            return None
        with translated():
            batch = self._take(tasks)
        self._queue.delete_tasks(tasks)
        _logger.info("a batch is stored", extra={"tasks": batch.tasks, "posts": batch.posts})
        self._on_batch(batch)
        return batch

    def _take(self, tasks: list[Task]) -> Batch:
        """Store the posts of tasks; of the same post the last one, which is the edited one."""
        client, now = self._service.client, self._service.clock()
        posts, letters = [], []
        for line in (line for task in tasks for line in (task.payload or b"").splitlines()):
            found = read_line(line)
            if isinstance(found.result, Post):
                posts.append(found.result)
            elif isinstance(found.result, Skip):
                letters.append(letter_entity(client, ACCOUNT, found, found.result.reason, now))
        stored = store(client, posts, beside=letters)
        return Batch(len(tasks), len(posts), len(letters), stored)


def read_line(line: bytes) -> Found:
    """The post of a line of a task; a Skip for what another program than /ingest put there."""
    record = parse(line)
    if isinstance(record, Skip):
        return Found(record, line.decode(errors="replace"))
    if not isinstance(record, dict):
        return Found(Skip("not a JSON object"), record)
    (result,) = own.results(record)
    return Found(result, record)
