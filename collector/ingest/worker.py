"""Stores the posts of the pull queue `ingest`; any number of workers may run."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from google.api_core.exceptions import GoogleAPIError, InvalidArgument
from google.auth.exceptions import GoogleAuthError

from collector.fetching.dead_letters import letter_entity
from collector.ingest.intake import QUEUE
from collector.sources import Found
from dfpipe.datastore import StoreError
from dfpipe.errors import DfpipeError
from dfpipe.posts.formats import own
from dfpipe.posts.formats.json_stream import parse
from dfpipe.posts.formats.result import Skip
from dfpipe.posts.post import Post
from dfpipe.posts.storing import Stored, store
from taskqueue import Queue, Task, TaskQueueService
from taskqueue.errors import Error
from taskqueue.service import translated

ACCOUNT = "ingest"  # under which dead letters are put
# An embedded store writes one commit at a time, and /ingest must not wait long for this one.
BATCH_POSTS = 200
MOST_REASON = 1_000  # characters
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """How a worker works. Times are in seconds.

    A task that is not stored when its lease ends is given to another worker: storing it twice
    changes nothing. Up to `most_tasks` are leased at a time;
    where fewer are there, the next ones are looked for `poll` seconds later.
    """

    lease: float = 60.0
    most_tasks: int = 500
    poll: float = 0.5


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of some leased tasks: their number, and what their posts gave."""

    tasks: int = 0
    posts: int = 0
    set_aside: int = 0
    stored: Stored = field(default_factory=Stored)

    def __add__(self, other: "Batch") -> "Batch":
        """Add up two batches, field by field."""
        return Batch(
            self.tasks + other.tasks,
            self.posts + other.posts,
            self.set_aside + other.set_aside,
            self.stored + other.stored,
        )


class IngestWorker:
    """Leases tasks, stores their posts and deletes the tasks, until `stop`.

    `on_batch` is called when a batch is stored and its tasks are deleted.
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
            taken = 0
            try:
                taken = (self.work() or Batch()).tasks
            except (Error, DfpipeError) as error:
                _logger.warning("no tasks could be leased: %s", error)
            # Many small leases cost more than a few large ones.
            if taken < self._settings.most_tasks:
                self._stopping.wait(self._settings.poll)

    def work(self) -> Batch | None:
        """Take in what one lease gives, in batches; None where no task was free.

        The tasks of a batch that cannot be stored come again when their lease ends. Raises what
        leasing raises.
        """
        tasks = self._queue.lease_tasks(self._settings.lease, self._settings.most_tasks)
        total = Batch()
        for some in batches(tasks):
            try:
                batch = self._finish(some)
            except (Error, DfpipeError) as error:
                _logger.warning("%d tasks wait for the end of their lease: %s", len(some), error)
                continue
            _logger.info("a batch is stored", extra={"tasks": batch.tasks, "posts": batch.posts})
            self._on_batch(batch)
            total += batch
        return total if tasks else None

    def _finish(self, tasks: list[Task]) -> Batch:
        """Store the posts of tasks and delete the tasks at once: the rest may take long."""
        found = [read_line(line) for task in tasks for line in (task.payload or b"").splitlines()]
        with translated():
            batch = replace(self._store(found), tasks=len(tasks))
        self._queue.delete_tasks(tasks)
        return batch

    def _store(self, found: Sequence[Found]) -> Batch:
        """Store posts, and set aside records that are not posts or that the store refuses."""
        try:
            return self._store_together(found)
        except Exception as error:  # of any library, for one post: the others must not wait for it
            if _is_outage(error):
                raise
            if len(found) > 1:
                return sum((self._store([one]) for one in found), Batch())
            (one,) = found
            reason = f"cannot be stored: {type(error).__name__}: {error}"[:MOST_REASON]
            return self._store_together([replace(one, result=Skip(reason))])

    def _store_together(self, found: Sequence[Found]) -> Batch:
        client, now = self._service.client, self._service.clock()
        posts = [each.result for each in found if isinstance(each.result, Post)]
        letters = [
            letter_entity(client, ACCOUNT, each.raw, each.result.reason, now)
            for each in found
            if isinstance(each.result, Skip)
        ]
        stored = store(client, posts, now=now, beside=letters)
        return Batch(0, len(posts), len(letters), stored)


def _is_outage(error: Exception) -> bool:
    """Whether the store fails, rather than refuses what it is given."""
    is_of_store = isinstance(error, StoreError | GoogleAPIError | GoogleAuthError)
    return is_of_store and not isinstance(error, InvalidArgument)


def batches(tasks: Iterable[Task]) -> Iterator[list[Task]]:
    """Cut tasks into lists of BATCH_POSTS posts or a few more, in their order."""
    some: list[Task] = []
    posts = 0
    for task in tasks:
        some.append(task)
        posts += (task.payload or b"").count(b"\n")
        if posts >= BATCH_POSTS:
            yield some
            some, posts = [], 0
    if some:
        yield some


def read_line(line: bytes) -> Found:
    """The post of a line of a task; a Skip for what another program than /ingest put there."""
    record = parse(line)
    if isinstance(record, Skip):
        return Found(record, line.decode(errors="replace"))
    if not isinstance(record, dict):
        return Found(Skip("not a JSON object"), record)
    (result,) = own.results(record)
    return Found(result, record)
