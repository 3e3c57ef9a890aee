"""`dfpipe serve` as a process, with what it prints and what its services answer."""

import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil

from tests.support.command import environment
from tests.support.processes import ROOT, wait_until

# No timing is tested here; these only end a test that would never end.
SECONDS = 240.0
YAMLS = ("queue.yaml", "cron.yaml", "dispatch.yaml", "chains.yaml")
SLOW = """
- name: slow
  steps:
  - name: sleep
    kind: local
    command: [sleep, "600"]
"""


class Serving:
    """The system over a folder, on two ports of its own."""

    def __init__(self, folder: Path, *argv: str, starts_runs: bool = True) -> None:
        self.folder = folder
        self.port = free_ports()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config = config_in(folder, starts_runs)
        self.lines: list[str] = []
        self.start(*argv)

    def start(self, *argv: str) -> None:
        """Start it, for the first time or once more."""
        self.process = self._started(*argv)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _started(self, *argv: str) -> "subprocess.Popen[str]":
        kept = {k: v for k, v in environment().items() if not k.startswith(("LAUNCHER_", "COLL"))}
        return subprocess.Popen(
            [sys.executable, "-m", "dfpipe", "serve", f"--port={self.port}", *self.argv, *argv],
            env={**kept, "PYTHONPATH": str(ROOT)},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @property
    def argv(self) -> list[str]:
        return [f"--folder={self.folder / 'data'}", f"--config={self.config}"]

    @property
    def sink(self) -> str:
        return f"duckdb:///{self.folder / 'data' / 'results.duckdb'}"

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def token(self, name: str) -> str:
        return (self.folder / "data" / f"{name}-token").read_text().strip()

    def call(
        self, path: str, *, body: Any = None, token: str = "task", headers: Any = None
    ) -> tuple[int, Any]:
        """What the launcher answers, or the collector for /ingest and /healthz of it."""
        port = self.port + (path.startswith(("/ingest", "/status")))
        proof = {"Authorization": f"Bearer {self.token(token)}"} if token else {}
        data = None if body is None else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"} if data else {}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{path}", data, {**proof, **kind, **(headers or {})}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, _read_body(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, _read_body(error.read())
        except OSError:
            return 0, None

    def get(self, path: str) -> Any:
        """What is there, as soon as it is answered well."""
        answers: list[Any] = []

        def is_there() -> bool:
            status, body = self.call(path)
            answers.append(body)
            return status == 200

        self.wait(is_there)
        return answers[-1]

    def wait_for(self, path: str) -> None:
        """Wait until an address is there."""
        self.wait(lambda: self.call(path, token="")[0] == 200)

    def log_in(self) -> str:
        """The cookie that the printed link gives."""
        [link] = [line.split()[-1] for line in self.lines if line.startswith("open once")]
        assert link.startswith(f"{self.url}/pages/login?key=")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", link.removeprefix(self.url))
        cookie = connection.getresponse().headers["Set-Cookie"]
        connection.close()
        return str(cookie.partition(";")[0])

    def wait(self, condition: Any) -> None:
        try:
            wait_until(condition, SECONDS)
        except AssertionError:
            raise AssertionError("\n".join(self.lines)) from None

    def run_ended(self, run_id: str) -> dict[str, Any]:
        """The run, once it has ended."""
        self.wait(lambda: self.get(f"/api/executions/{run_id}")["ended"])
        return dict(self.get(f"/api/executions/{run_id}"))

    def children(self) -> list[psutil.Process]:
        """All processes below it."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self, number: int = signal.SIGINT) -> int:
        """End it by a signal; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(SECONDS)
        self._reader.join(SECONDS)
        return code

    def kill(self) -> None:
        """Leave nothing behind, whatever has gone wrong."""
        if self.process.poll() is None:
            for process in self.children():
                process.kill()
            self.process.kill()
            self.process.wait()


def running(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; one that nobody has asked after since it ended does not."""
    return [each for each in processes if each.is_running() and not _is_zombie(each)]


def _is_zombie(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _read_body(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


def config_in(folder: Path, starts_runs: bool) -> Path:
    """A folder with the yaml files of the root, and one chain more; perhaps cron starts no runs."""
    config = folder / "config"
    config.mkdir()
    for name in YAMLS:
        shutil.copy(ROOT / name, config)
    with (config / "chains.yaml").open("a") as file:
        file.write(SLOW)
    if not starts_runs:
        cron = (config / "cron.yaml").read_text()
        (config / "cron.yaml").write_text(cron.replace("every 5 hours", "every monday 00:00"))
    return config


def free_ports() -> int:
    """The first of two free ports, of those that no system gives to whoever asks for any."""
    chance = random.Random(os.getpid() * time.time_ns())
    while True:
        port = chance.randrange(10_000, 30_000)
        try:
            with socket.socket() as first, socket.socket() as second:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 1))
        except OSError:
            continue
        return port
