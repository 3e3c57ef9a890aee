"""Workflows by real processes: `workflow serve` or gunicorn, and `taskqueue dispatch`."""

import os
import random
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import taskqueue
import workflow
from taskqueue import TaskQueueService
from tests.support.command import environment
from tests.support.processes import ROOT, free_port, process, wait_until
from workflow.engine.engine import Engine

EMULATOR = "DATASTORE_EMULATOR_HOST"
TOKEN = "token-of-the-workflow-tests"
LONG = 240.0  # seconds; the machine may be busy
YAML = """
queue:
- name: default
  rate: 500/s
  bucket_size: 500
  max_concurrent_requests: 16
  retry_parameters:
    min_backoff_seconds: 0.2
    max_backoff_seconds: 1
"""


class Servers:
    """A store, and the processes that run its workflows."""

    def __init__(self, folder: Path, store: str, extra: dict[str, str] | None = None) -> None:
        self.store = store
        self.yaml = folder / "queue.yaml"
        self.yaml.write_text(YAML)
        self.url = f"http://127.0.0.1:{free_port()}"
        settings = {
            "DFPIPE_TASK_TOKEN": TOKEN,
            "TASKQUEUE_STORE": self.store,
            "WORKFLOW_QUEUE_YAML": str(self.yaml),
            "WORKFLOW_LOG_LEVEL": "ERROR",
        }
        if EMULATOR in os.environ:
            settings[EMULATOR] = os.environ[EMULATOR]
        self.env = environment(settings | (extra or {}))
        self.engine = Engine(TaskQueueService(self.store, self.yaml))
        workflow.bind(self.engine)
        taskqueue.bind(self.engine.service)

    def close(self) -> None:
        self.engine.client.close()
        workflow.bind(None)
        taskqueue.bind(None)

    def gunicorn(self) -> list[str]:
        """The command line of a gunicorn with the blueprint."""
        options = ["--workers", "2", "--threads", "8", "--worker-class", "gthread"]
        options += ["--bind", self.url.removeprefix("http://"), "--log-level", "critical"]
        return ["-m", "gunicorn", *options, "workflow.web.server:create_app()"]

    def dispatch(self, *more: str) -> list[str]:
        """The command line of a dispatcher."""
        options = ["--store", self.store, "--queue-yaml", str(self.yaml), "--target", self.url]
        options += ["--poll-secs", "0.1", "--log-level", "ERROR", *more]
        return ["-m", "taskqueue", "dispatch", *options]

    @contextmanager
    def running(self) -> Iterator[None]:
        """The handlers and a dispatcher."""
        with process(*self.gunicorn(), env=self.env):
            wait_until(self.is_up, LONG)
            with process(*self.dispatch(), env=self.env):
                yield

    def is_up(self) -> bool:
        """Whether the handlers answer; who does not bring the token is told nothing."""
        try:
            urllib.request.urlopen(f"{self.url}/_ah/pipeline/run", b"", timeout=30)
        except urllib.error.HTTPError as error:
            return (error.code, error.read()) == (403, b"")
        except OSError:
            pass
        return False

    def is_over(self, stage: workflow.Pipeline) -> bool:
        record = self.engine.record(str(stage.pipeline_id))
        return record is not None and record.is_over

    def outputs(self, *stages: workflow.Pipeline) -> list[dict[str, Any]]:
        """What workflows give, when they are over."""
        wait_until(lambda: all(self.is_over(stage) for stage in stages), LONG)
        found = [type(stage).from_id(str(stage.pipeline_id)) for stage in stages]
        return [{slot.name: slot.value for slot in each.outputs} for each in found]


class Mortal:
    """A process that is killed with -9 at random moments, and started again each time.

    After the last kill it lives, so that a busy machine comes to an end too.
    """

    def __init__(
        self,
        argv: list[str],
        env: dict[str, str],
        kills: int,
        seed: float,
        lives: tuple[float, float],
    ) -> None:
        self._argv, self._env, self._most, self._lives = argv, env, kills, lives
        self._rng = random.Random(seed)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._live)
        self.kills = 0

    def _live(self) -> None:
        while not self._end.is_set():
            child = subprocess.Popen(
                [sys.executable, *self._argv], env=self._env, cwd=ROOT, start_new_session=True
            )
            self._end.wait(self._rng.uniform(*self._lives) if self.kills < self._most else None)
            # The workers of a gunicorn too: they are of its session.
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            self.kills += 1

    def __enter__(self) -> "Mortal":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()


@contextmanager
def mortals(
    *commands: list[str],
    env: dict[str, str],
    kills: int,
    seed: int,
    lives: tuple[float, float] = (3, 6),
) -> Iterator[list[Mortal]]:
    """Processes each of which is killed so many times, and lives for so many seconds before."""
    rng = random.Random(seed)
    with ExitStack() as stack:
        yield [
            stack.enter_context(Mortal(argv, env, kills, rng.random(), lives)) for argv in commands
        ]
