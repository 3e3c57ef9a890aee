"""The launcher by real processes: gunicorn, a dispatcher, jobs, kills, and a warehouse."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import environment
from tests.support.fake_dataflow import PROJECT, REGION, FakeDataflow, Faults, serving
from tests.support.processes import ROOT, free_port, process, wait_until
from tests.support.workflow_processes import LONG, YAML, mortals

TOKEN = "token-of-the-launcher-tests"
FAN = 6
KILLS = 2


class Service:
    """The settings of a launcher in a folder, and the words of its processes."""

    def __init__(self, folder: Path, chains: str, **more: str) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.store = f"sqlite:///{folder}/store.db"
        self.warehouse = f"duckdb:///{folder}/results.duckdb"
        self.yaml = folder / "queue.yaml"
        self.yaml.write_text(YAML)
        (folder / "chains.yaml").write_text(chains)
        self.env = environment(
            {
                "DFPIPE_STORE": self.store,
                "DFPIPE_WAREHOUSE": self.warehouse,
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
        options = ["--store", self.store, "--queue_yaml", str(self.yaml), "--target", self.url]
        options += ["--poll_secs", "0.1", "--log_level", "ERROR"]
        return ["-m", "taskqueue", "dispatch", *options]

    def ask(self, method: str, path: str, **headers: str) -> Any:
        given = {"Authorization": f"Bearer {TOKEN}"} | headers
        data = b"{}" if method == "POST" else None
        request = urllib.request.Request(self.url + path, data, given, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def is_up(self) -> bool:
        try:
            return bool(self.ask("GET", "/healthz"))
        except OSError:
            return False

    def is_over(self, run: str) -> bool:
        try:
            state = self.ask("GET", f"/api/runs/{run}")["state"]
        except OSError:  # it is down just now
            return False
        return state not in ("waiting", "running")


def fan() -> str:
    """A chain that opens to FAN steps and closes again."""
    names = [f"part-{number}" for number in range(FAN)]
    lines = ["chains:", "- name: fan", "  steps:"]
    for name, needs in [("first", []), *((n, ["first"]) for n in names), ("last", names)]:
        lines.append(f"  - {{name: {name}, kind: flex-template, template: t, needs: {needs}}}")
    return "\n".join(lines).replace("'", "")


@pytest.fixture
def fake() -> Iterator[FakeDataflow]:
    faults = Faults(busy=0.05, lost=0.05, not_found=2, restless=0.05)
    with serving(FakeDataflow(faults=faults)) as service:
        yield service


def test_a_chain_on_dataflow_while_launcher_and_dispatcher_are_killed(
    tmp_path: Path, fake: FakeDataflow
) -> None:
    service = Service(
        tmp_path,
        fan(),
        LAUNCHER_DATAFLOW_PROJECT=PROJECT,
        LAUNCHER_DATAFLOW_REGION=REGION,
        LAUNCHER_DATAFLOW_ENDPOINT=fake.url,
    )
    with process(*service.gunicorn(), env=service.env):
        wait_until(service.is_up, LONG)
        run = service.ask("GET", "/launchpipeline")["id"]
    processes = (service.gunicorn(), service.dispatcher())
    with mortals(*processes, env=service.env, kills=KILLS, seed=5) as killed:
        wait_until(lambda: all(each.kills >= KILLS for each in killed), LONG)
        wait_until(lambda: service.is_over(run), LONG)
        found = service.ask("GET", f"/api/runs/{run}")
    assert found["state"] == "succeeded", found
    assert sorted(fake.names()) == sorted(f"{run}-{step['name']}-1" for step in found["steps"])


LOCAL = """
chains:
- name: local
  steps:
  - name: wait
    kind: local
    command:
    - PYTHON
    - -c
    - |
      import os, sys, time
      open(sys.argv[1] + ".on", "a").write("x")
      while not os.path.exists(sys.argv[1]):
          time.sleep(0.1)
    - FILE
"""


def test_a_local_job_survives_the_launcher(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    chains = LOCAL.replace("PYTHON", sys.executable).replace("FILE", str(mark))
    service = Service(tmp_path, chains)
    begun = Path(f"{mark}.on")
    with process(*service.dispatcher(), env=service.env):
        first = subprocess.Popen(
            [sys.executable, *service.gunicorn()], env=service.env, cwd=ROOT, start_new_session=True
        )
        wait_until(service.is_up, LONG)
        run = service.ask("GET", "/launchpipeline")["id"]
        wait_until(begun.exists, LONG)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        with process(*service.gunicorn(), env=service.env):
            wait_until(service.is_up, LONG)
            assert not service.is_over(run)
            mark.touch()
            wait_until(lambda: service.is_over(run), LONG)
            assert service.ask("GET", f"/api/runs/{run}")["state"] == "succeeded"
    assert begun.read_text() == "x"
