"""Leases tasks of a pull queue continuously and runs a program for each."""

import logging
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol

import urllib3

from service.processes import end_child
from taskqueue.errors import Error, TaskLeaseExpiredError, TransientError
from taskqueue.rest.resources import Resource, decoded

LONGEST_RELEASE = 600  # seconds
TERMINATE_SECONDS = 5.0  # that a program has between SIGTERM and SIGKILL
_logger = logging.getLogger(__name__)


class PullApi(Protocol):
    """What a puller needs from a queue; QueueResources and RestClient provide it."""

    def get_queue(self, queue: str, stats: bool = False) -> Resource:
        """The queue, with its statistics if wanted."""

    def lease(self, queue: str, seconds: float, most: int) -> Resource:
        """Lease tasks for some seconds, so that no other worker gets them."""

    def modify(
        self, queue: str, name: str, seconds: float, lease_timestamp: int | None = None
    ) -> Resource:
        """Let a lease end so many seconds from now."""

    def delete(self, queue: str, name: str) -> None:
        """Delete a task that was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullerSettings:
    """How a puller works. Times are in seconds.

    It runs from `min_running` to `most_running` programs at a time, one for each `tasks_per_worker`
    tasks of the queue.
    """

    queue: str
    program: Sequence[str]
    lease: float = 30.0
    most_running: int = 10
    min_running: int = 0
    tasks_per_worker: int = 1
    poll: float = 2.0
    task_timeout: float = 3600.0
    grace: float = 30.0
    output_url: str = ""


def wanted_workers(tasks: int, settings: PullerSettings) -> int:
    """How many programs should run for this many tasks, including leased ones."""
    for_length = -(-tasks // settings.tasks_per_worker)
    return min(settings.most_running, max(settings.min_running, for_length))


def release_seconds(attempt: int, lease: float) -> float:
    """For how long a task that failed is left alone: 1, 2, 4, ... seconds, at most a lease.

    >>> [release_seconds(n, 30) for n in (1, 2, 5, 6)]
    [1.0, 2.0, 16.0, 30.0]
    """
    return float(min(lease, LONGEST_RELEASE, 2.0 ** min(attempt - 1, 30)))


class LeasedTask:
    """A task that was leased, and its lease as it was extended."""

    def __init__(self, api: PullApi, settings: PullerSettings, resource: Resource) -> None:
        self._api = api
        self._settings = settings
        self.name: str = resource["id"]
        self.tag: str = resource.get("tag", "")
        self.attempt = int(resource["retry_count"])
        self.payload = decoded(resource["payloadBase64"])
        self.lease_timestamp = int(resource["leaseTimestamp"])

    def environment(self, payload_file: Path) -> dict[str, str]:
        """The environment variables that describe the task to the program."""
        return {
            "TASKQUEUE_QUEUE": self._settings.queue,
            "TASKQUEUE_TASK_NAME": self.name,
            # An environment cannot hold the character 0.
            "TASKQUEUE_TAG": self.tag.replace("\0", "\ufffd"),
            "TASKQUEUE_RETRY_COUNT": str(self.attempt),
            "TASKQUEUE_LEASE_TIMESTAMP": str(self.lease_timestamp),
            "TASKQUEUE_PAYLOAD_FILE": str(payload_file),
        }

    def extend(self) -> None:
        """Begin a new lease; raises TaskLeaseExpiredError and whatever else the queue says."""
        self._modify(self._settings.lease)

    def release(self) -> None:
        """Release the task, to be retried after a while."""
        self._modify(release_seconds(self.attempt, self._settings.lease))

    def _modify(self, seconds: float) -> None:
        resource = self._api.modify(
            self._settings.queue, self.name, seconds, lease_timestamp=self.lease_timestamp
        )
        self.lease_timestamp = int(resource["leaseTimestamp"])

    def delete(self) -> None:
        """Delete the task, which is done."""
        self._api.delete(self._settings.queue, self.name)


class Puller:
    """Runs programs for the tasks of a queue until `stop`.

    `post` sends a program's output to a URL and raises OSError or urllib3's HTTPError.
    """

    def __init__(
        self,
        api: PullApi,
        settings: PullerSettings,
        *,
        post: Callable[[str, bytes], None] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._settings = settings
        self._post = post or post_output
        self._monotonic = monotonic
        self._running: set[threading.Thread] = set()
        self._events: SimpleQueue[None] = SimpleQueue()
        self._is_stopping = False
        self._is_ending = False

    def stop(self) -> None:
        """Lease no more and let `run` return; for other threads, and for signal handlers."""
        self._is_stopping = True
        self._events.put(None)

    def run(self) -> None:
        """Lease and run until `stop`; then wait for the programs, at most the time of grace."""
        while not self._is_stopping:
            if not self._lease():
                self._pause(self._settings.poll)
        end = self._monotonic() + self._settings.grace
        while self._running and self._monotonic() < end:
            self._pause(max(0.0, end - self._monotonic()))
        self._is_ending = True
        for thread in list(self._running):
            thread.join(2 * TERMINATE_SECONDS)

    def _pause(self, seconds: float) -> None:
        """Wait until a program ends or `stop` is called, at most this long."""
        with suppress(Empty):
            self._events.get(timeout=seconds)
            while True:
                self._events.get_nowait()

    def _lease(self) -> int:
        """Lease a task for each program that should start now; returns how many it got."""
        settings = self._settings
        free = settings.most_running - len(self._running)
        if free <= 0:
            return 0
        try:
            if settings.tasks_per_worker > 1:
                stats = self._api.get_queue(settings.queue, stats=True)["stats"]
                free = wanted_workers(stats["totalTasks"], settings) - len(self._running)
            leased = self._api.lease(settings.queue, settings.lease, free) if free > 0 else {}
        except Error as error:
            _logger.warning("cannot lease tasks: %s", error)
            return 0
        tasks = [LeasedTask(self._api, settings, item) for item in leased.get("items", [])]
        for task in tasks:
            thread = threading.Thread(target=self._work, args=(task,), daemon=True)
            self._running.add(thread)
            thread.start()
        return len(tasks)

    def _work(self, task: LeasedTask) -> None:
        about = {"task": task.name, "attempt": task.attempt}
        try:
            if self._succeeds(task):
                task.delete()
                _logger.info("a task is done", extra=about)
            else:
                task.release()
                _logger.warning("a task failed and is released for a retry", extra=about)
        except TaskLeaseExpiredError as error:
            _logger.warning("lost the lease: %s", error, extra=about)
        except (Error, OSError) as error:
            # The task comes back by itself when the lease ends.
            _logger.error("a task stays leased until its lease ends: %s", error, extra=about)
        finally:
            self._running.discard(threading.current_thread())
            self._events.put(None)

    def _succeeds(self, task: LeasedTask) -> bool:
        """Run the program to its end and post its output."""
        url = self._settings.output_url
        with tempfile.TemporaryDirectory(prefix="taskqueue-") as folder:
            payload_file, output_file = Path(folder, "payload"), Path(folder, "output")
            payload_file.write_bytes(task.payload)
            with payload_file.open("rb") as given, output_file.open("wb") as output:
                process = subprocess.Popen(  # noqa: S603  # the program is the user's own word
                    list(self._settings.program),
                    stdin=given,
                    stdout=output if url else None,
                    env={**os.environ, **task.environment(payload_file)},
                    process_group=0,
                )
                status = self._watch(process, task)
            return status == 0 and (not url or self._posted(url + task.name, output_file))

    def _posted(self, url: str, file: Path) -> bool:
        try:
            self._post(url, file.read_bytes())
        except (OSError, urllib3.exceptions.HTTPError) as error:
            _logger.warning("cannot post the output to %s: %s", url, error)
            return False
        return True

    def _watch(self, process: "subprocess.Popen[Any]", task: LeasedTask) -> int:
        """Wait for the program and extend the lease; end the program if it must not continue."""
        now = self._monotonic()
        end, extend_at = now + self._settings.task_timeout, now + self._settings.lease / 2
        try:
            while not self._is_ending and self._monotonic() < end:
                try:
                    return process.wait(timeout=min(0.2, max(0.0, extend_at - self._monotonic())))
                except subprocess.TimeoutExpired:
                    pass
                if self._monotonic() >= extend_at:
                    extend_at = self._monotonic() + self._extended(task)
        finally:
            end_child(process, TERMINATE_SECONDS)
        return -1

    def _extended(self, task: LeasedTask) -> float:
        """Extend the lease; returns after how many seconds to do it again."""
        try:
            task.extend()
        except TransientError as error:
            _logger.warning("cannot extend the lease: %s", error)
            return self._settings.lease / 10
        return self._settings.lease / 2


def post_output(url: str, output: bytes, headers: Mapping[str, str] | None = None) -> None:
    """POST the output of a program; raises OSError unless the answer is 2xx."""
    sent = {"Content-Type": "application/octet-stream", **(headers or {})}
    response = urllib3.request("POST", url, body=output, headers=sent, timeout=60, retries=False)
    if not 200 <= response.status < 300:
        raise OSError(f"the answer was {response.status}")
