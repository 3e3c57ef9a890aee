"""The collector as its processes: gunicorn, the dispatcher, and ingest workers that are killed."""

import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from collector.fetching.accounts import Accounts
from dfpipe.datastore import connect
from dfpipe.posts.post import KIND
from tests.support.collectors import PLATFORM, PUSHER, environment_of, settings_in
from tests.support.command import dfpipe, environment
from tests.support.processes import free_port, process, wait_until

BATCH = 20
REQUESTS = 150
NOW = datetime.now(UTC).replace(microsecond=0)


class Collector:
    """A collector of several processes on one store."""

    def __init__(self, folder: Path, store_url: str) -> None:
        self.settings = settings_in(folder, store_url)
        self.client = connect(store_url)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.stack = ExitStack()
        emulator = {k: v for k, v in os.environ.items() if k == "DATASTORE_EMULATOR_HOST"}
        self.env = environment({**environment_of(self.settings), **emulator})

    def start(self, *argv: str, module: str = "collector") -> Any:
        """One process, until the end."""
        quiet = ("--log-level", "ERROR")
        return self.stack.enter_context(process("-m", module, *argv, *quiet, env=self.env))

    def serve(self) -> None:
        port = self.url.rpartition(":")[2]
        self.start("serve", "--port", port, "--workers", "2", "--threads", "4")
        wait_until(self.is_up)

    def dispatch(self) -> None:
        argv = ["--store", self.settings.store, "--queue-yaml", self.settings.queue_yaml]
        argv += ["--target", self.url, "--poll-secs", "0.1"]
        self.start("dispatch", *argv, module="taskqueue")

    def is_up(self) -> bool:
        try:
            return bool(self.ask("/healthz")[0] == 200)
        except OSError:
            return False

    def ask(
        self, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and JSON of an answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, dict(headers or {}))
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def text(self, path: str) -> str:
        """A page that everybody may see."""
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return str(answer.read().decode())

    def status(self) -> Any:
        return self.ask("/status", headers={"Accept": "application/json", **PLATFORM})[1]

    def tids(self) -> list[int]:
        return [entity["tid"] for entity in self.client.query(kind=KIND).fetch()]


@pytest.fixture
def made(tmp_path: Path, store_url: str) -> Iterator[Collector]:
    collector = Collector(tmp_path, store_url)
    with collector.stack:
        yield collector
    collector.client.close()


def test_gunicorn_serves_it_with_the_environment_alone(made: Collector) -> None:
    argv = ("--bind", made.url.removeprefix("http://"), "--threads", "4", "--log-level", "error")
    with process("-m", "gunicorn", *argv, "collector.app:create_app()", env=made.env):
        wait_until(made.is_up)
        assert made.ask("/ingest", post(1), PUSHER) == (202, {"taken": 1, "errors": []})
        assert made.ask("/timeline", headers=PLATFORM)[0] == 200
        assert made.ask("/timeline")[0] == 403


def post(tid: int) -> dict[str, Any]:
    return {"tid": tid, "user": "u", "text": f"storm {tid}", "created_at": NOW.isoformat()}


def test_what_is_acknowledged_is_stored_though_a_worker_is_killed(made: Collector) -> None:
    made.serve()
    worker = ("ingest-worker", "--lease-secs", "5", "--poll-secs", "0.1", "--max-tasks", "5")
    first = made.start(*worker)
    made.start(*worker)
    acknowledged = []
    for number in range(REQUESTS):
        tids = range(number * BATCH + 1, (number + 1) * BATCH + 1)
        status, answer = made.ask("/ingest", [post(tid) for tid in tids], PUSHER)
        assert (status, answer) == (202, {"taken": BATCH, "errors": []})
        acknowledged += tids
        if number == REQUESTS // 2:
            os.kill(first.pid, signal.SIGKILL)
            first.wait()
    wait_until(lambda: made.status()["queues"]["ingest"]["tasks"] == 0, 120)
    assert sorted(made.tids()) == acknowledged
    # Whichever process answers counts for all.
    taken = f'collector_ingest_posts_total{{result="taken"}} {len(acknowledged)}.0'
    assert taken in made.text("/metrics").splitlines()


def test_a_worker_that_is_told_to_end_finishes_its_batch(made: Collector) -> None:
    made.serve()
    for tid in range(1, 51):
        made.ask("/ingest", post(tid), PUSHER)
    worker = made.start("ingest-worker", "--poll-secs", "0.1", "--max-tasks", "3")
    wait_until(lambda: bool(made.tids()))
    worker.terminate()
    assert worker.wait(60) == 0
    found = made.status()["queues"]["ingest"]
    assert (found["tasks"] + len(made.tids()), found["in_flight"]) == (50, 0)


def test_from_cron_to_the_analysis(made: Collector, tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.jsonl" for name in ("anna", "ben", "cleo")]
    for number, file in enumerate(files):
        tids = range(number * 1000 + 1, number * 1000 + 951)
        file.write_text("".join(json.dumps(post(tid)) + "\n" for tid in tids))
        Accounts(made.client).follow(f"archive:{file}", datetime.now(UTC))
    made.serve()
    assert made.ask("/timeline")[0] == 403
    assert made.ask("/timeline", headers=PUSHER)[0] == 403
    assert made.ask("/ingest", post(1))[0] == 401
    made.dispatch()
    status, counts = made.ask("/timeline", headers=PLATFORM)
    assert (status, counts["accounts"]) == (200, 3)
    wait_until(lambda: made.status()["posts"] == 2850, 120)
    wait_until(lambda: made.status()["queues"]["timeline"]["tasks"] == 0)
    assert len(made.tids()) == 2850
    sink = f"duckdb:///{tmp_path}/results.duckdb"
    done = dfpipe("run", "--store", made.settings.store, "--sink", sink, env=made.env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2,850 posts, ")
