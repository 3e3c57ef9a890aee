"""The puller: real programs for real tasks of a queue."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import taskqueue
from taskqueue import Queue, Task, TaskQueueService, TaskRetryOptions
from taskqueue.errors import TransientError
from taskqueue.pull.puller import (
    Puller,
    PullerSettings,
    post_output,
    release_seconds,
    wanted_workers,
)
from taskqueue.rest.resources import QueueResources, Resource
from tests.support.http_handler import Request, serving

YAML = "queue: [{name: pull, mode: pull}]"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[TaskQueueService]:
    config = taskqueue.parse_config(YAML)
    yield taskqueue.configure(f"sqlite:///{tmp_path}/q.db", config)
    taskqueue.bind(None)


class Watched(QueueResources):
    """A queue that says what the puller told it."""

    def __init__(self, service: TaskQueueService) -> None:
        super().__init__(service)
        self.told: list[tuple[str, str]] = []
        self.changed = threading.Condition()

    def _tell(self, what: str, name: str) -> None:
        with self.changed:
            self.told.append((what, name))
            self.changed.notify_all()

    def modify(
        self, queue: str, name: str, seconds: float, lease_timestamp: int | None = None
    ) -> Resource:
        resource = super().modify(queue, name, seconds, lease_timestamp)
        self._tell(f"lease {seconds:g}", name)
        return resource

    def delete(self, queue: str, name: str) -> None:
        super().delete(queue, name)
        self._tell("delete", name)

    def wait(self, what: str, times: int = 1) -> None:
        """Wait until it was told so often."""
        with self.changed:
            assert self.changed.wait_for(
                lambda: sum(told == what for told, _ in self.told) >= times, 20
            ), self.told


@pytest.fixture
def api(service: TaskQueueService) -> Watched:
    return Watched(service)


def settings(program: str, **kwargs: Any) -> PullerSettings:
    """Settings for a program in Python."""
    kwargs = {"queue": "pull", "poll": 0.05, **kwargs}
    return PullerSettings(program=[sys.executable, "-c", program], **kwargs)


@contextmanager
def pulling(api: Any, chosen: PullerSettings, puller: Puller | None = None) -> Iterator[Puller]:
    puller = puller or Puller(api, chosen)
    thread = threading.Thread(target=puller.run)
    thread.start()
    try:
        yield puller
    finally:
        puller.stop()
        thread.join(30)
        assert not thread.is_alive()


def add(*payloads: bytes, **kwargs: Any) -> None:
    Queue("pull").add([Task(payload, method="PULL", **kwargs) for payload in payloads])


def test_a_tag_that_no_environment_can_hold(api: Watched) -> None:
    add(b"", name="one", tag="a\0b")
    program = "import os; assert os.environ['TASKQUEUE_TAG'] == 'a\\ufffdb'"
    with pulling(api, settings(program)):
        api.wait("delete")


@given(st.integers(0, 10**6), st.integers(0, 50), st.integers(1, 50), st.integers(1, 100))
def test_workers_by_the_length_of_the_queue(tasks: int, low: int, more: int, each: int) -> None:
    chosen = settings("", min_running=low, most_running=low + more, tasks_per_worker=each)
    wanted = wanted_workers(tasks, chosen)
    assert low <= wanted <= low + more
    assert wanted in (low, low + more) or (wanted - 1) * each < tasks <= wanted * each


@given(st.integers(1, 10**9), st.floats(1, 10**5))
def test_a_task_that_fails_is_left_alone_for_a_lease_at_most(attempt: int, lease: float) -> None:
    assert 1 <= release_seconds(attempt, lease) <= lease


def test_a_task_is_told_all_about(api: Watched, tmp_path: Path) -> None:
    payload = bytes(range(256)) * 1000
    add(payload, name="one", tag="t")
    program = (
        "import os, sys; e = os.environ; data = sys.stdin.buffer.read()\n"
        "assert open(e['TASKQUEUE_PAYLOAD_FILE'], 'rb').read() == data\n"
        "names = ('QUEUE', 'TASK_NAME', 'TAG', 'RETRY_COUNT')\n"
        f"with open({str(tmp_path / 'out')!r}, 'wb') as file:\n"
        "    file.write(' '.join(e['TASKQUEUE_' + n] for n in names).encode() + data)\n"
        "assert int(e['TASKQUEUE_LEASE_TIMESTAMP']) > 0"
    )
    with pulling(api, settings(program)):
        api.wait("delete")
    assert (tmp_path / "out").read_bytes() == b"pull one t 1" + payload
    assert api.told == [("delete", "one")]


NAMES = pytest.mark.parametrize("name", ["one", None], ids=["given", "generated"])


@NAMES
def test_a_failure_gives_the_task_back_for_a_while(
    api: Watched, service: TaskQueueService, name: str | None
) -> None:
    add(b"x", name=name)
    with pulling(api, settings("raise SystemExit(3)", poll=60)):
        api.wait("lease 1")
    (task,) = service.store.tasks("pull", 10)
    assert (task.leased, task.retries) == (True, 1)
    assert task.due <= service.now() + 1_000_000


@NAMES
def test_the_lease_is_extended_while_the_program_runs(
    api: Watched, service: TaskQueueService, name: str | None
) -> None:
    """Also of a task that may be leased once only: its lease must not end meanwhile."""
    add(b"x", name=name, retry_options=TaskRetryOptions(task_retry_limit=1))
    program = "import time; time.sleep(4.5)"
    with pulling(api, settings(program, lease=4)):
        api.wait("delete")
    *extended, last = [what for what, _ in api.told]
    assert last == "delete"
    assert len(extended) >= 2
    assert set(extended) == {"lease 4"}
    assert service.store.dead_letters("pull", 10) == []


def test_a_queue_that_cannot_be_reached_does_not_end_the_program(api: Watched) -> None:
    add(b"x", name="one")
    failures = iter([True, False])
    extend = api.modify

    def modify(*args: Any, **kwargs: Any) -> Resource:
        if next(failures, False):
            raise TransientError("down")
        return extend(*args, **kwargs)

    api.modify = modify
    with pulling(api, settings("import time; time.sleep(3.6)", lease=4)):
        api.wait("delete")
    assert ("lease 4", "one") in api.told


def test_a_program_whose_lease_is_lost_is_ended(
    api: Watched, service: TaskQueueService, tmp_path: Path
) -> None:
    add(b"x", name="one")
    flag = tmp_path / "finished"
    program = f"import time; time.sleep(20); open({str(flag)!r}, 'w')"
    lost = threading.Event()
    extend = api.modify

    def modify(queue: str, name: str, seconds: float, lease_timestamp: int) -> Resource:
        # Somebody else has the task by now.
        service.store.modify_lease(queue, name, lease_timestamp, service.now(), 100)
        lost.set()
        return extend(queue, name, seconds, lease_timestamp)

    api.modify = modify
    with pulling(api, settings(program, lease=1, poll=60)):
        assert lost.wait(20)
    assert api.told == []
    assert not flag.exists()
    assert service.store.get("pull", "one").due > service.now() + 50_000_000


def test_a_program_that_takes_too_long(api: Watched) -> None:
    add(b"x", name="one")
    with pulling(api, settings("import time; time.sleep(60)", task_timeout=0.1, poll=60)):
        api.wait("lease 1")
    assert api.told == [("lease 1", "one")]


def test_what_a_program_has_started_ends_with_it(api: Watched, tmp_path: Path) -> None:
    add(b"x", name="one")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    inner = "trap '' INT; echo started; sleep 30; echo finished"
    program = (
        "import subprocess, time\n"
        f"subprocess.Popen(['sh', '-c', {inner!r}], stdout=open({str(fifo)!r}, 'w'))\n"
        "time.sleep(60)"
    )
    with pulling(api, settings(program, grace=0)) as puller, fifo.open() as output:
        assert output.readline() == "started\n"
        puller.stop()
        assert output.read() == ""
    assert api.told == [("lease 1", "one")]


def test_a_program_that_is_not_there(api: Watched, service: TaskQueueService) -> None:
    add(b"x", name="one")
    missing = PullerSettings(queue="pull", program=["/never/there"], poll=60)
    with pulling(api, missing) as puller:
        while not service.store.get("pull", "one").leased or puller._running:
            threading.Event().wait(0.02)
    assert service.store.get("pull", "one").leased


def test_the_end_waits_for_programs_and_leases_no_more(
    api: Watched, service: TaskQueueService, tmp_path: Path
) -> None:
    add(b"1", b"2")
    ready, go = tmp_path / "ready", tmp_path / "go"
    program = (
        f"import pathlib, time; pathlib.Path({str(ready)!r}).touch()\n"
        f"while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.01)"
    )
    with pulling(api, settings(program, most_running=1)) as puller:
        while not ready.exists():
            threading.Event().wait(0.01)
        puller.stop()
        go.touch()
    assert [what for what, _ in api.told] == ["delete"]
    assert service.store.counts("pull", service.now()).tasks == 1


def test_the_end_gives_back_what_runs_too_long(api: Watched) -> None:
    add(b"x", name="one")
    with pulling(api, settings("import time; time.sleep(60)", grace=0.1)) as puller:
        while not puller._running:
            threading.Event().wait(0.01)
    assert api.told == [("lease 1", "one")]


def test_no_more_programs_than_wanted(api: Watched) -> None:
    add(*[b"x"] * 9)
    running: list[int] = []
    lease = api.lease

    def counted(queue: str, seconds: float, most: int, **kwargs: Any) -> Resource:
        running.append(len(puller._running) + most)
        return lease(queue, seconds, most, **kwargs)

    api.lease = counted
    chosen = settings("", tasks_per_worker=3, min_running=1, most_running=5)
    puller = Puller(api, chosen)
    with pulling(api, chosen, puller):
        api.wait("delete", 9)
    assert running[0] == 3
    assert max(running) <= 3
    assert min(running) == 1


def test_the_output_is_posted_before_the_task_is_deleted(api: Watched) -> None:
    add(b"payload", name="one")
    statuses = iter([500, 200])

    def respond(request: Request) -> int:
        assert api.told.count(("delete", "one")) == 0
        return next(statuses)

    program = "import sys; sys.stdout.write(sys.stdin.read().upper())"
    with (
        serving(respond) as handler,
        pulling(api, settings(program, output_url=f"{handler.url}/out/")),
    ):
        api.wait("delete")
    assert [(r.path, r.body) for r in handler.requests] == [("/out/one", b"PAYLOAD")] * 2
    assert api.told == [("lease 1", "one"), ("delete", "one")]


def test_an_answer_that_is_no_success() -> None:
    with serving(lambda request: 404) as handler, pytest.raises(OSError, match="answer was 404"):
        post_output(handler.url, b"x")


def test_a_lease_that_cannot_be_had_is_tried_again(api: Watched) -> None:
    add(b"x")
    failures = iter([True, True])
    lease: Callable[..., Resource] = api.lease

    def failing(*args: Any, **kwargs: Any) -> Resource:
        if next(failures, False):
            raise TransientError("down")
        return lease(*args, **kwargs)

    api.lease = failing
    with pulling(api, settings("")):
        api.wait("delete")
