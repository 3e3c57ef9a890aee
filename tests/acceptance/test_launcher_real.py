"""The launcher by real processes: gunicorn, a dispatcher, jobs, events, and kills."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.fake_dataflow import PROJECT, REGION, FakeDataflow, Faults, serving
from tests.support.launcher_processes import Pushing, Service
from tests.support.processes import ROOT, process, wait_until
from tests.support.workflow_processes import LONG, mortals

# `make kills` drives many more chains, each with other moments.
ROUNDS = int(os.environ.get("LAUNCHER_KILL_ROUNDS", "1"))
KILLS = 5  # of the launcher, and as many of the dispatcher
LIVES = (1.0, 4.0)  # seconds between them
DEADLINE = 600.0  # seconds; the machine may be busy
LATE = 20  # events that come when all is over


def chain(name: str, left: int, middle: str, right: int) -> tuple[list[str], str]:
    """The names of the steps of a chain that opens, closes, opens and closes; and its YAML."""
    lefts = [f"l{number}" for number in range(left)]
    rights = [f"r{number}" for number in range(right)]
    needs: dict[str, Sequence[str]] = {"first": [], **{each: ["first"] for each in lefts}}
    needs |= {middle: lefts, **{each: [middle] for each in rights}, "last": rights}
    lines = [f"- name: {name}", "  steps:"]
    for step, before in needs.items():
        words = f"kind: flex-template, template: t, needs: [{', '.join(before)}]"
        lines.append(f"  - {{name: {step}, {words}}}")
    return list(needs), "\n".join(lines)


def states(labels: dict[str, str]) -> list[str]:
    """What becomes of a job."""
    return ["PENDING", "RUNNING", "FAILED" if labels["launcher-step"] == "broken" else "DONE"]


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_fifty_jobs_on_dataflow_while_launcher_and_dispatcher_are_killed(
    tmp_path: Path, seed: int
) -> None:
    fifty, good = chain("good", 23, "middle", 24)
    several, bad = chain("bad", 4, "broken", 5)
    assert len(fifty) == 50
    fake = FakeDataflow(
        script=states, faults=Faults(busy=0.05, lost=0.05, not_found=2, restless=0.02)
    )
    foreign = fake.add("good-of-others-1", {"launcher-run": "theirs"}, {}, "RUNNING")
    with serving(fake):
        service = Service(
            tmp_path,
            f"chains:\n{good}\n{bad}\n",
            LAUNCHER_CLAIM="10s",
            LAUNCHER_DATAFLOW_PROJECT=PROJECT,
            LAUNCHER_DATAFLOW_REGION=REGION,
            LAUNCHER_DATAFLOW_ENDPOINT=fake.url,
        )
        with process(*service.gunicorn(), env=service.env):
            wait_until(service.is_up, DEADLINE)
            runs = [
                service.ask("POST", "/api/executions", {"chain": name})["id"]
                for name in ("good", "bad")
            ]
        both = (service.gunicorn(), service.dispatcher())
        with mortals(*both, env=service.env, kills=KILLS, seed=seed, lives=LIVES) as killed:
            with Pushing(service, fake, seed) as pushing:
                wait_until(lambda: all(each.kills >= KILLS for each in killed), DEADLINE)
                wait_until(lambda: all(service.is_over(run) for run in runs), DEADLINE)
                late = pushing.taken + LATE
                wait_until(lambda: pushing.taken >= late, DEADLINE)
            ended = [service.ask("GET", f"/api/executions/{run}") for run in runs]
    assert [each["state"] for each in ended] == ["succeeded", "failed"], ended
    assert ended[1]["error"] == "step broken has failed: Dataflow reports FAILED"
    # Once each, and nothing behind the one that has failed.
    launched = several[: several.index("broken") + 1]
    expected = [
        f"{run}-{step}-1"
        for run, steps in zip(runs, (fifty, launched), strict=True)
        for step in steps
    ]
    assert sorted(fake.names()) == sorted([foreign.name, *expected])
    assert foreign.state == "RUNNING"
    assert pushing.answers <= {204, 503}


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
            assert service.ask("GET", f"/api/executions/{run}")["state"] == "succeeded"
    assert begun.read_text() == "x"
