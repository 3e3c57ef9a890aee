"""Posts pushed to /ingest at a steady rate, while one of two ingest workers is killed.

Requests leave at their times whether those before them were answered or not, and their time runs
from when they should have left: a service that falls behind cannot hide it. At the end the store
must hold exactly the posts that were acknowledged.
"""

import argparse
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# Not this folder, where a file has the package's name.
sys.path[0] = str(ROOT)

import psutil  # noqa: E402  # after the path

from dfpipe.datastore import connect, fetch_values  # noqa: E402  # the same
from dfpipe.posts.post import KIND  # noqa: E402  # the same
from tests.support.processes import free_port  # noqa: E402  # the same

QUEUES = "queue:\n- name: timeline\n  rate: 5/s\n- name: ingest\n  mode: pull\n"
TEXT = "Storm over the harbour, ferries cancelled until further notice, says the port authority "


class Connection:
    """A kept connection that costs the machine little: the service is what is measured."""

    def __init__(self, port: int, token: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = (
            f"POST /ingest HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        ).encode()

    def ask(self, body: bytes) -> tuple[int, Any]:
        """Status and JSON of the answer."""
        self._socket.sendall(b"%s%d\r\n\r\n%s" % (self._head, len(body), body))
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._some()
        head, _, content = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        while len(content) < length:
            content += self._some()
        return int(head.split()[1]), json.loads(content)

    def _some(self) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the service has closed the connection")
        return data


@dataclass
class Load:
    """What was sent, and what came back."""

    port: int
    token: str
    batch: int
    acknowledged: set[int] = field(default_factory=set)
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    local: threading.local = field(default_factory=threading.local)

    def send(self, number: int, due: float) -> None:
        """One request of so many posts."""
        tids = range(number * self.batch + 1, (number + 1) * self.batch + 1)
        now = datetime.now(UTC).isoformat()
        posts = (
            f'{{"tid":{tid},"user":"u{tid % 997}","text":"{TEXT}{tid}","created_at":"{now}"}}'
            for tid in tids
        )
        try:
            status, answer = self.connection().ask(f"[{','.join(posts)}]".encode())
        except OSError as error:
            self.local.connection = None
            self.failures.append(repr(error))
            return
        self.seconds.append(time.perf_counter() - due)
        if status == 202 and answer["taken"] == self.batch:
            self.acknowledged.update(tids)
        else:
            self.failures.append(f"{status} {answer}")

    def connection(self) -> Connection:
        """The connection of this thread."""
        if getattr(self.local, "connection", None) is None:
            self.local.connection = Connection(self.port, self.token)
        made: Connection = self.local.connection
        return made


def percentile(values: list[float], percent: float) -> float:
    """The value that so many percent of the values do not exceed.

    >>> percentile([1, 2, 3, 4], 50)
    2
    """
    ordered = sorted(values)
    return ordered[max(0, -int(-len(ordered) * percent // 100) - 1)]


class Service:
    """The processes of one collector on one store."""

    def __init__(self, folder: Path, lease: int) -> None:
        self.port = free_port()
        self.token = secrets.token_urlsafe()
        self.store = f"sqlite:///{folder}/posts.db"
        (folder / "queue.yaml").write_text(QUEUES)
        self.words = ["--store", self.store, "--queue_yaml", str(folder / "queue.yaml")]
        self.words += ["--log_level", "ERROR"]
        self.env = {**os.environ, "COLLECTOR_INGEST_TOKENS": self.token, "DFPIPE_STORE": ""}
        self.server = self.start("serve", "--port", str(self.port))
        worker = ("ingest-worker", "--lease_secs", str(lease))
        self.workers = [self.start(*worker), self.start(*worker)]

    def start(self, *words: str) -> "subprocess.Popen[bytes]":
        """One process of the command."""
        command = [sys.executable, "-m", "collector", words[0], *self.words, *words[1:]]
        return subprocess.Popen(command, cwd=ROOT, env=self.env)

    def wait(self) -> None:
        """Wait until the service answers."""
        while self.server.poll() is None:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", "/healthz")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                time.sleep(0.1)
        raise SystemExit(f"the service ended with {self.server.returncode}")

    def processes(self) -> list[psutil.Process]:
        """All of them that are alive, with the server's own."""
        mine = [psutil.Process(p.pid) for p in (self.server, *self.workers) if p.poll() is None]
        return [*mine, *(child for each in mine for child in each.children())]

    def stop(self) -> None:
        """End them all."""
        for process in (self.server, *self.workers):
            process.terminate()
        for process in (self.server, *self.workers):
            process.wait(60)

    def waiting(self) -> int:
        """How many tasks are on the queue."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", "/status", headers={"Accept": "application/json"})
        return int(json.loads(connection.getresponse().read())["queues"]["ingest"]["tasks"])


def run(rate: int, batch: int, seconds: int, threads: int, lease: int) -> dict[str, Any]:
    """One measurement; the report of it. `rate` is in posts a second."""
    with tempfile.TemporaryDirectory() as folder:
        service = Service(Path(folder), lease)
        try:
            service.wait()
            load = Load(service.port, service.token, batch)
            begin = push(load, rate, seconds, threads, service.workers[0])
            pushed = time.perf_counter() - begin
            running = service.processes()
            memory = max(process.memory_info().rss for process in running) / 2**20
            times = [sum(process.cpu_times()[:2]) for process in running]
            while service.waiting():
                time.sleep(0.2)
            stored = time.perf_counter() - begin
        finally:
            service.stop()
        client = connect(service.store)
        found = [tid for (tid,) in fetch_values(client.query(kind=KIND), "tid")]
        client.close()
    return {
        "posts": len(load.acknowledged),
        "requests": len(load.seconds),
        "failures": load.failures[:3],
        "posts a second": round(len(load.acknowledged) / pushed),
        "p50 ms": round(percentile(load.seconds, 50) * 1000, 1),
        "p99 ms": round(percentile(load.seconds, 99) * 1000, 1),
        "longest ms": round(max(load.seconds) * 1000, 1),
        "lost": len(load.acknowledged - set(found)),
        "twice": len(found) - len(set(found)),
        "stored after s": round(stored, 1),
        "largest process MB": round(memory),
        "CPU s of services": round(sum(times), 1),
        "CPU s of senders": round(time.process_time(), 1),
    }


def push(load: Load, rate: int, seconds: int, threads: int, victim: Any) -> float:
    """Send the requests at their times, and kill a worker half-way; returns when it began.

    Each thread sends the requests of its own turn.
    """
    requests = rate * seconds // load.batch
    begin = time.perf_counter() + 0.1

    def turn(first: int) -> None:
        for number in range(first, requests, threads):
            due = begin + number * load.batch / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            load.send(number, due)

    senders = [threading.Thread(target=turn, args=(first,)) for first in range(threads)]
    for sender in senders:
        sender.start()
    time.sleep(max(0.0, begin + seconds / 2 - time.perf_counter()))
    os.kill(victim.pid, signal.SIGKILL)
    for sender in senders:
        sender.join()
    return begin


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=1000, help="posts a second")
    parser.add_argument("--batch", type=int, default=50, help="posts in a request")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--lease", type=int, default=10)
    words = parser.parse_args()
    report = run(words.rate, words.batch, words.seconds, words.threads, words.lease)
    for name, value in report.items():
        print(f"{name:20} {value}")


if __name__ == "__main__":
    main()
