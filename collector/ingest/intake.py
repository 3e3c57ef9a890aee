"""/ingest: the posts of a request body become tasks of the pull queue."""

import io
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dfpipe.datastore import count
from dfpipe.posts.formats import own
from dfpipe.posts.formats.json_stream import documents
from dfpipe.posts.formats.result import Skip
from dfpipe.posts.post import Post
from taskqueue import Queue, Task, TaskQueueService
from taskqueue.service import translated
from taskqueue.storage.record import due_prefix

QUEUE = "ingest"
MOST_POSTS = 500  # in one request
MOST_BODY = 4 * 2**20  # bytes of one request
MOST_LINE = 900_000  # bytes of one post; a task holds 1 MiB
MOST_ERROR = 200  # characters
BACKLOG_SECONDS = 2.0  # for which a count of the queue is good


class RefusedBodyError(Exception):
    """A whole body is refused, with the status of the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record of a body that is not a post: its index from 0, and the reason."""

    index: int
    error: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What a body holds: the lines of the good posts, and the records that are refused."""

    lines: list[bytes]
    refused: list[Refusal]


def read_body(body: bytes) -> Reading:
    """Read one post, a list of them, or one on each line; see docs/reference/collector.md.

    Raises RefusedBodyError for a body that is not JSON, and for more than MOST_POSTS records or
    MOST_BODY bytes.

    >>> reading = read_body(b'{"tid": 1, "text": "a", "created_at": "2026-01-07T12:00:00Z"}')
    >>> len(reading.lines), reading.refused
    (1, [])
    >>> read_body(b'[{"tid": 1, "created_at": "2026-01-07T12:00:00Z"}]').refused
    [Refusal(index=0, error='text is missing')]
    """
    if len(body) > MOST_BODY:
        raise RefusedBodyError(413, f"the body is over {MOST_BODY:,} bytes: send it in parts")
    lines: list[bytes] = []
    refused: list[Refusal] = []
    readable = False
    for index, record in enumerate(_records(body)):
        if index >= MOST_POSTS:
            raise RefusedBodyError(413, f"the body has over {MOST_POSTS} posts: send them in parts")
        readable = readable or not isinstance(record, Skip)
        line = _line(record)
        if isinstance(line, bytes):
            lines.append(line)
        else:
            refused.append(Refusal(index, line.reason[:MOST_ERROR]))
    if refused and not readable:
        raise RefusedBodyError(400, f"the body cannot be read: {refused[0].error}")
    return Reading(lines, refused)


def _records(body: bytes) -> Iterator[object]:
    if not body.strip():
        raise RefusedBodyError(400, "the body is empty: send a post, a list of posts, or lines")
    for _, document in documents("the body", io.BytesIO(body)):
        if isinstance(document, list):
            yield from document
        else:
            yield document


def _line(record: object) -> bytes | Skip:
    if isinstance(record, Skip):
        return record
    if not isinstance(record, dict):
        return Skip("not a JSON object")
    (result,) = own.results(record)
    if not isinstance(result, Post):
        return result if isinstance(result, Skip) else Skip("not a post")
    line = own.post_line(result)
    return line if len(line) <= MOST_LINE else Skip(f"the post is over {MOST_LINE:,} bytes")


def tasks_of(lines: Sequence[bytes]) -> list[Task]:
    """The tasks that carry these posts, as few as their sizes allow.

    >>> [task.payload for task in tasks_of([b"1", b"2"])]
    [b'12']
    """
    payloads: list[list[bytes]] = []
    size = 0
    for line in lines:
        if not payloads or size + len(line) > MOST_LINE:
            payloads.append([])
            size = 0
        payloads[-1].append(line)
        size += len(line)
    return [Task(b"".join(payload), method="PULL") for payload in payloads]


class Intake:
    """Puts posts on the queue, while fewer than `most_tasks` wait there; for any thread."""

    def __init__(self, service: TaskQueueService, most_tasks: int) -> None:
        self._queue = Queue(QUEUE, service=service)
        self._service = service
        self._most = most_tasks
        self._lock = threading.Lock()
        self._waiting = 0
        self._counted_at: int | None = None

    def take(self, body: bytes) -> Reading:
        """Put the posts of a body on the queue: when this returns they are stored there.

        Raises RefusedBodyError, and what Queue.add raises.
        """
        reading = read_body(body)
        if reading.lines:
            if self._is_full():
                raise RefusedBodyError(
                    429, "too many posts are waiting to be stored: send them again later"
                )
            self._queue.add(tasks_of(reading.lines))
        return reading

    def _is_full(self) -> bool:
        now = self._service.now()
        with self._lock:
            last = self._counted_at
            if last is None or now - last >= BACKLOG_SECONDS * 1_000_000:
                self._counted_at = now
                self._waiting = self._count()
            return self._waiting >= self._most

    def _count(self) -> int:
        waiting: Any = self._service.store.in_range("due", due_prefix(QUEUE))
        with translated():
            return count(self._service.client, waiting)
