"""800 users, one push task each, through `taskqueue dispatch` to a handler under gunicorn."""

import json
import os
import signal
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import taskqueue
from taskqueue import Queue, Task, TaskQueueService
from taskqueue.push.members import KIND as DISPATCHER
from tests.support.command import environment
from tests.support.processes import free_port, process, wait_until

ROOT = Path(__file__).parents[2]
USERS = 800
RATE, BUCKET, CONCURRENT = 250, 20, 8
DEADLINE = 2.5
LEASE = 6
YAML = f"""
queue:
- name: default
  rate: {RATE}/s
  bucket_size: {BUCKET}
  max_concurrent_requests: {CONCURRENT}
  retry_parameters:
    min_backoff_seconds: 0.2
"""


class Run:
    """A store, a handler, and what the handler wrote down."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log.jsonl"
        self.log.touch()
        self.store = f"sqlite:///{folder}/tasks.db"
        self.yaml = folder / "queue.yaml"
        self.yaml.write_text(YAML)
        token = "token-of-the-push-tests"
        self.env = environment({"DFPIPE_TASK_TOKEN": token, "PUSH_LOG": str(self.log)})
        self.service = taskqueue.configure(self.store, self.yaml)
        self.url = f"http://127.0.0.1:{free_port()}"

    def handler(self) -> Any:
        options = ["--workers", "3", "--threads", "16", "--worker-class", "gthread"]
        options += ["--bind", self.url.removeprefix("http://"), "--log-level", "critical"]
        return process("-m", "gunicorn", *options, "tests.support.push_app:app", env=self.env)

    def dispatcher(self) -> Any:
        options = ["--store", self.store, "--queue-yaml", str(self.yaml), "--target", self.url]
        options += ["--lease-secs", str(LEASE), "--deadline-secs", str(DEADLINE)]
        options += ["--poll-secs", "0.1", "--log-level", "ERROR"]
        return process("-m", "taskqueue", "dispatch", *options, env=self.env)

    def is_up(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.url}/worker/", b"", timeout=5)
        except urllib.error.HTTPError as error:
            # Whoever does not bring the token is told nothing.
            return (error.code, error.read()) == (403, b"")
        except OSError:
            pass
        return False

    def load(self) -> None:
        """The loader of users: a task each."""
        for begin in range(0, USERS, 100):
            keys = range(begin, begin + 100)
            Queue().add([Task(url="/worker/", params={"key": key}) for key in keys])

    def events(self, event: str) -> list[dict[str, Any]]:
        lines = map(json.loads, self.log.read_text().splitlines())
        return [line for line in lines if line["event"] == event]

    def wait_until_empty(self) -> None:
        wait_until(lambda: self.service.store.next_due("default") is None)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    yield Run(tmp_path)
    taskqueue.bind(None)


def check_limits(run: Run) -> None:
    """The handler saw no more than queue.yaml allows, at any time."""
    starts = sorted(run.events("start"), key=lambda event: event["time"])
    times = [event["time"] for event in starts]
    for first in range(0, len(times), 10):
        for last in range(first + 1, len(times), 10):
            allowed = BUCKET + RATE * (times[last] - times[first])
            # Requests that left in good order may arrive closer together on a busy machine.
            assert last - first <= allowed + CONCURRENT + 0.1 * RATE
    assert most_at_a_time(run) <= CONCURRENT


def most_at_a_time(run: Run) -> int:
    """How many requests the handler had at most, those aside that nobody waits for any more."""
    events = [json.loads(line) for line in run.log.read_text().splitlines()]
    deaths = {event["pid"]: event["time"] for event in events if event["event"] == "die"}
    changes = []
    open_: dict[tuple[int, int], float] = {}
    for event in sorted(events, key=lambda event: event["time"]):
        request = event["user"], event["pid"]
        if event["event"] == "start":
            open_[request] = event["time"]
        elif event["event"] == "end":
            start = open_.pop(request)
            changes += [(start, 1), (min(event["time"], start + DEADLINE), -1)]
    for (_, pid), start in open_.items():
        changes += [(start, 1), (min(start + DEADLINE, deaths.get(pid, start + DEADLINE)), -1)]
    now = most = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most


def check_processed(run: Run, lost_answers: int = 0) -> None:
    """Every user was processed; twice only where the worker died, or the dispatcher did."""
    done = run.events("done")
    assert {event["user"] for event in done} == set(range(USERS))
    died = {event["pid"] for event in run.events("die")}
    assert died
    times = Counter(event["user"] for event in done)
    unexplained = [
        user
        for user, number in times.items()
        if number > 1 + sum(e["user"] == user and e["pid"] in died for e in done)
    ]
    assert len(unexplained) <= lost_answers
    assert run.service.store.dead_letters("default", 10) == []


def test_every_user_is_processed(run: Run) -> None:
    run.load()
    with run.handler():
        wait_until(run.is_up)
        with run.dispatcher():
            run.wait_until_empty()
    check_processed(run)
    check_limits(run)
    failed = Counter(event["user"] for event in run.events("start"))
    assert all(failed[user] >= 2 for user in range(1, USERS, 20))


def test_one_of_two_dispatchers_is_killed(run: Run) -> None:
    with ExitStack() as stack:
        stack.enter_context(run.handler())
        first = stack.enter_context(run.dispatcher())
        stack.enter_context(run.dispatcher())
        wait_until(run.is_up)
        wait_until(lambda: len(members(run.service)) == 2)
        run.load()
        wait_until(lambda: len(run.events("done")) > USERS // 2)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        run.wait_until_empty()
    check_processed(run, lost_answers=CONCURRENT)
    check_limits(run)


def members(service: TaskQueueService) -> list[Any]:
    return list(service.client.query(kind=DISPATCHER).fetch())
