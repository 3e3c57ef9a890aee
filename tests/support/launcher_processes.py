"""A launcher's real processes over a folder, and a platform that pushes events to it."""

import http.client
import json
import random
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.command import environment
from tests.support.fake_dataflow import ENDED, GOOD, FakeDataflow, log_event, status_event
from tests.support.processes import free_port
from tests.support.workflow_processes import YAML

TOKEN = "token-of-the-launcher-tests"


class Service:
    """The settings of a launcher in a folder, and the words of its processes."""

    def __init__(self, folder: Path, chains: str, **more: str) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.store = f"sqlite:///{folder}/store.db"
        self.yaml = folder / "queue.yaml"
        self.yaml.write_text(YAML)
        (folder / "chains.yaml").write_text(chains)
        self.env = environment(
            {
                "DFPIPE_STORE": self.store,
                "DFPIPE_TASK_TOKEN": TOKEN,
                "LAUNCHER_QUEUE_YAML": str(self.yaml),
                "LAUNCHER_CHAINS": str(folder / "chains.yaml"),
                "LAUNCHER_JOBS_FOLDER": str(folder / "jobs"),
                "LAUNCHER_POLL": "1s",
                **more,
            }
        )

    def gunicorn(self) -> list[str]:
        options = ["--workers", "2", "--threads", "8", "--worker-class", "gthread"]
        options += ["--bind", self.url.removeprefix("http://"), "--log-level", "critical"]
        return ["-m", "gunicorn", *options, "launcher.app:create_app()"]

    def dispatcher(self) -> list[str]:
        options = ["--store", self.store, "--queue-yaml", str(self.yaml), "--target", self.url]
        # What a killed one was at is soon another's.
        options += ["--poll-secs", "0.1", "--lease-secs", "5", "--log-level", "ERROR"]
        return ["-m", "taskqueue", "dispatch", *options]

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """What it answers, read as JSON."""
        given = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"} | headers
        data = json.dumps(body or {}).encode() if method == "POST" else None
        request = urllib.request.Request(self.url + path, data, given, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def is_up(self) -> bool:
        return self._answers("/healthz") is not None

    def is_over(self, run: str) -> bool:
        found = self._answers(f"/api/executions/{run}")
        return found is not None and found["state"] not in ("waiting", "running")

    def _answers(self, path: str) -> Any:
        try:
            return self.ask("GET", path)
        except (OSError, http.client.HTTPException):  # it is down just now
            return None


class Pushing:
    """Pushes events of any jobs: twice, late, early, out of order, and with states made up."""

    def __init__(self, service: Service, fake: FakeDataflow, seed: int) -> None:
        self._service, self._fake = service, fake
        self._rng = random.Random(seed)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._push)
        self.taken = 0
        self.answers: set[int] = set()

    def __enter__(self) -> "Pushing":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()

    def _push(self) -> None:
        while not self._end.wait(0.1):
            with self._fake.lock:
                job = self._rng.choice(list(self._fake.jobs.values()))
            states = [None, *GOOD, *sorted(ENDED)]
            if self._rng.random() < 0.5:
                headers, body = log_event(job, self._rng.randint(0, 1))
            else:
                headers, body = status_event(job, self._rng.choice(states))
            for _ in range(self._rng.randint(1, 2)):
                self._send(headers, body)

    def _send(self, headers: dict[str, str], body: bytes) -> None:
        proof = {"Authorization": f"Bearer {TOKEN}"}
        request = urllib.request.Request(
            f"{self._service.url}/events/dataflow", body, headers | proof, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                self.answers.add(answer.status)
                self.taken += 1
        except urllib.error.HTTPError as error:
            self.answers.add(error.code)
        except (OSError, http.client.HTTPException):
            pass  # it is down just now, or was killed meanwhile
