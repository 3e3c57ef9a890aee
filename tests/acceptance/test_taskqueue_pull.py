"""Pull queues through `taskqueue serve` alone: a loader and workers outside of the service."""

import base64
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import environment
from tests.support.processes import ROOT, free_port, process, wait_until

TASKS = 60
LEASE = 4
YAML = """
queue:
- name: work
  mode: pull
  acl:
  - user_email: worker@x.org
  - writer_email: loader@x.org
"""
TOKENS = "token-of-worker worker@x.org\ntoken-of-loader loader@x.org\n"
# Writes a line before and after the work, which at the first try of some tasks takes two leases.
PROGRAM = """
import os, sys, time
def log(event):
    file = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{event} {os.environ['TASKQUEUE_TASK_NAME']} {os.getppid()}\\n".encode())
payload = sys.stdin.read()
log("start")
first = os.environ["TASKQUEUE_RETRY_COUNT"] == "1"
if payload.endswith("slow") and first:
    time.sleep(6)
if payload.endswith("bad") and first:
    sys.exit(1)
log("done")
"""


class Service:
    """`taskqueue serve` over an empty store, and its command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "queue.yaml").write_text(YAML)
        (folder / "tokens").write_text(TOKENS)
        (folder / "program.py").write_text(PROGRAM)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "log"
        self.log.touch()

    def serve(self) -> Any:
        argv = ["--store", f"sqlite:///{self.folder}/q.db", "--port", str(self.port)]
        argv += ["--queue-yaml", f"{self.folder}/queue.yaml", "--workers", "2"]
        argv += ["--token-file", f"{self.folder}/tokens", "--log-level", "ERROR"]
        return process("-m", "taskqueue", "serve", *argv, env=environment())

    def is_up(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.url}/metrics", timeout=5).close()
        except OSError:
            return False
        return True

    def env(self, who: str) -> dict[str, str]:
        return environment({"TASKQUEUE_TOKEN": f"token-of-{who}"})

    def where(self) -> list[str]:
        return ["--api-host", self.url, "--taskqueue-name", "work"]

    def run(self, who: str, command: str, *argv: str) -> Any:
        """What a command prints; its error output where it fails."""
        done = subprocess.run(
            [sys.executable, "-m", "taskqueue", command, *self.where(), *argv],
            env=self.env(who),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return json.loads(done.stdout or "null") if done.returncode == 0 else done.stderr

    def call(self, who: str, method: str, path: str, body: Any = None) -> Any:
        """What the REST API answers, or the status of its refusal."""
        request = urllib.request.Request(
            f"{self.url}/taskqueue/v1beta2/projects/default/taskqueues/work{path}",
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer token-of-{who}"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            return error.code

    def puller(self) -> Any:
        argv = ["--lease-secs", str(LEASE), "--num-tasks", "5", "--log-level", "ERROR"]
        argv += ["--sleep-before-next-poll-secs", "0.1", "--", sys.executable]
        argv += [str(self.folder / "program.py"), str(self.log)]
        command = ["-m", "taskqueue", "puller", *self.where(), *argv]
        return process(*command, env=self.env("worker"))

    def load(self) -> None:
        for number in range(TASKS):
            kind = "slow" if number % 20 == 3 else "bad" if number % 20 == 7 else "good"
            payload = base64.b64encode(kind.encode()).decode()
            body = {"queueName": "work", "payloadBase64": payload, "id": f"task-{number}-{kind}"}
            assert self.call("loader", "POST", "/tasks", body)["retry_count"] == 0

    def events(self, event: str) -> list[str]:
        lines = (line.split() for line in self.log.read_text().splitlines())
        return [name for what, name, _ in lines if what == event]

    def is_empty(self) -> bool:
        return self.call("worker", "GET", "?getStats=true")["stats"]["totalTasks"] == 0


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path)
    with service.serve():
        wait_until(service.is_up)
        yield service


def test_a_puller_that_is_killed_loses_nothing(service: Service) -> None:
    service.load()
    with service.puller() as first, service.puller():
        wait_until(lambda: any("slow" in name for name in service.events("start")))
        wait_until(lambda: len(service.events("done")) >= TASKS // 4)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        wait_until(service.is_empty, 60)
    done = Counter(service.events("done"))
    assert len(done) == TASKS
    # Only what the killed one had in hand may have been done twice.
    assert sum(number - 1 for number in done.values()) <= 5
    failed = Counter(service.events("start"))
    assert all(failed[name] >= 2 for name in failed if name.endswith("bad"))


def test_by_the_command_line_alone(service: Service) -> None:
    task = service.run("loader", "addtask", "--payload", "x", "--task-name", "one")
    assert task["id"] == "one"
    assert "the acl of the queue does not let loader@x.org" in service.run("loader", "listtasks")
    (leased,) = service.run("worker", "leasetask", "--lease-secs", "1")["items"]
    stale = ["--task-name=one", "--lease-secs=60", f"--lease-timestamp={leased['leaseTimestamp']}"]
    wait_until(lambda: "items" in service.run("worker", "leasetask", "--lease-secs", "60"))
    # The first worker comes late: its lease is another's by now.
    assert "lease" in service.run("worker", "modifytask", *stale)
    assert service.run("worker", "gettask", "--task-name", "one")["retry_count"] == 2
    # But what it has done is done, as the documents say.
    assert service.run("worker", "deletetask", "--task-name", "one") is None
    assert service.run("worker", "getqueue", "--get-stats")["stats"]["totalTasks"] == 0
