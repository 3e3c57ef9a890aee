"""Count what is lost and what is duplicated when processes of the collector are killed.

`python -m benchmarks.crash_safety`. Posts are pushed to /ingest at a steady rate while the service
and its ingest workers are killed (SIGKILL) one after another, at random moments, and started again.
Requests leave at their times whether earlier ones were answered or not. At the end the store must
hold every post that was acknowledged, and each post once. `--kills 1` measures speed: one worker is
killed half-way.
"""

import argparse
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks import lab
from dfpipe.datastore import connect, fetch_values
from dfpipe.posts.post import KIND
from tests.support.processes import ROOT, free_port, wait_until

QUEUES = "queue:\n- name: timeline\n  rate: 5/s\n- name: ingest\n  mode: pull\n"
TEXT = "Storm over the harbour, ferries cancelled until further notice, says the port authority "
LEASE = 2  # seconds, so that the tasks of a killed worker are soon free
PATIENCE = 300.0  # seconds until everything that was acknowledged must be stored


class Service:
    """The processes of one collector on one store: the service and two ingest workers."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.token = secrets.token_urlsafe()
        self.store = f"sqlite:///{folder}/posts.db"
        (folder / "queue.yaml").write_text(QUEUES)
        common = ["--store", self.store, "--queue-yaml", str(folder / "queue.yaml")]
        common += ["--log-level", "ERROR"]
        worker = ["ingest-worker", "--lease-secs", str(LEASE), *common]
        serve = ["serve", "--port", str(self.port), *common]
        self.commands = [serve, worker, worker]
        self.env = {**os.environ, "COLLECTOR_INGEST_TOKENS": self.token, "DFPIPE_STORE": ""}
        self.children = [self._start(command) for command in self.commands]

    def _start(self, command: Sequence[str]) -> "subprocess.Popen[bytes]":
        program = [sys.executable, "-m", "collector", *command]
        return subprocess.Popen(program, cwd=ROOT, env=self.env, start_new_session=True)

    def kill(self, number: int) -> None:
        """Kill a process and its children at once, and start it again."""
        os.killpg(self.children[number].pid, signal.SIGKILL)
        self.children[number].wait()
        self.children[number] = self._start(self.commands[number])

    def get(self, path: str) -> bytes:
        """Return the JSON of a page; b"" where there is no answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            headers={"Accept": "application/json", "Authorization": f"Bearer {self.token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return bytes(answer.read())
        except OSError:
            return b""

    def stop(self) -> None:
        """End all processes."""
        for child in self.children:
            child.terminate()
        for child in self.children:
            child.wait(60)


@dataclass
class Load:
    """What was sent, and what was acknowledged."""

    service: Service
    batch: int
    acknowledged: set[int] = field(default_factory=set)
    seconds: list[float] = field(default_factory=list)
    failures: int = 0

    def send(self, number: int, due: float) -> None:
        """Send one request; its time runs from when it should have left."""
        tids = range(number * self.batch + 1, (number + 1) * self.batch + 1)
        now = datetime.now(UTC).isoformat()
        posts = [
            {"tid": tid, "user": f"u{tid % 997}", "text": f"{TEXT}{tid}", "created_at": now}
            for tid in tids
        ]
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.service.port}/ingest",
            json.dumps(posts).encode(),
            {"Authorization": f"Bearer {self.service.token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                taken = json.loads(answer.read())["taken"]
        except (OSError, ValueError):
            self.failures += 1
            return
        self.seconds.append(time.perf_counter() - due)
        if taken == self.batch:
            self.acknowledged.update(tids)


def push(load: Load, args: argparse.Namespace) -> None:
    """Send the requests at their times, and kill processes meanwhile."""
    requests = args.rate * args.seconds // load.batch
    begin = time.perf_counter() + 0.1

    def turn(first: int) -> None:
        for number in range(first, requests, args.threads):
            due = begin + number * load.batch / args.rate
            time.sleep(max(0.0, due - time.perf_counter()))
            load.send(number, due)

    senders = [threading.Thread(target=turn, args=(n,)) for n in range(args.threads)]
    for sender in senders:
        sender.start()
    rng = random.Random(args.seed)
    for kill in range(args.kills):
        moment = args.seconds * (kill + rng.random()) / args.kills
        time.sleep(max(0.0, begin + moment - time.perf_counter()))
        # A single kill is that of a worker. The service is killed less often than the workers, so
        # that it has time to start and to acknowledge posts.
        load.service.kill(1 if args.kills == 1 else rng.choices(range(3), (1, 3, 3))[0])
    for sender in senders:
        sender.join()


def measure(args: argparse.Namespace) -> dict[str, object]:
    """Push posts under kills; return what became of them."""
    with tempfile.TemporaryDirectory() as folder:
        service = Service(Path(folder))
        try:
            wait_until(lambda: bool(service.get("/healthz")), 120)
            load = Load(service, args.batch)
            push(load, args)
            client = connect(service.store)

            def stored() -> list[int]:
                return [tid for (tid,) in fetch_values(client.query(kind=KIND), "tid")]

            try:
                wait_until(lambda: load.acknowledged <= set(stored()), PATIENCE)
            except AssertionError:
                print("not all acknowledged posts are stored in time", file=sys.stderr)
            running = [psutil.Process(child.pid) for child in service.children]
            cpu, largest = lab.cpu_of(*running), lab.largest(*running)
        finally:
            service.stop()
        found = stored()
        client.close()
    return {
        "kills": args.kills,
        "posts acknowledged": len(load.acknowledged),
        "lost": len(load.acknowledged - set(found)),
        "duplicates": len(found) - len(set(found)),
        "requests without an answer": load.failures,
        "ms: p50, p99, worst": lab.milliseconds(load.seconds).replace(" |", ","),
        "CPU s of the processes at the end": round(cpu, 1),
        "MB of the largest process": round(largest),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and print; exit with 1 if anything was lost or duplicated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seconds", type=int, default=180)
    parser.add_argument("--rate", type=int, default=500, help="posts a second")
    parser.add_argument("--batch", type=int, default=50, help="posts in a request")
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    found = measure(parser.parse_args(argv))
    print(lab.table(["figure", ""], found.items()))
    sys.exit(bool(found["lost"] or found["duplicates"]))


if __name__ == "__main__":
    main()
