"""An environment like a worker's, made in seconds from libraries that are installed already."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from tests.support.command import environment
from tests.support.fake_dataflow import Job
from tests.support.processes import ROOT

LIBRARIES = sysconfig.get_path("purelib")
PROGRAM = ROOT / "tests" / "support" / "worker_program.py"


@dataclass(frozen=True)
class Worker:
    """The environment with a distribution installed into its folder."""

    folder: Path

    def does(self, *words: str, env: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Have the program of a worker do something in a process of its own."""
        command = [sys.executable, "-I", "-S", str(PROGRAM), LIBRARIES, str(self.folder), *words]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment(env),
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


def install(distribution: Path, folder: Path) -> Worker:
    """Install a distribution as a worker does, but for the libraries, which are there."""
    words = ["install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    words += ["--disable-pip-version-check", "--target", str(folder), str(distribution)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *words],
        cwd=folder.parent,
        env={**os.environ, "PIP_CONFIG_FILE": os.devnull},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Worker(folder)


def execute(job: Job, env: Mapping[str, str]) -> None:
    """Do on a worker what a job of the fake Dataflow was submitted for; then it has ended."""
    job.states[:] = ["RUNNING"]
    pool = job.request["environment"]["workerPools"][0]
    staged = {package["name"]: Path(package["location"]) for package in pool["packages"]}
    extra = staged["extra_packages.txt"].read_text().split()
    folder = staged["extra_packages.txt"].parent / "worker"
    file = job.request["environment"]["sdkPipelineOptions"]["options"]["pipelineUrl"]

    def work() -> None:
        try:
            [worker] = [install(staged[name], folder) for name in extra]
            job.counters = worker.does("run", file, env=env)
            job.states[:] = ["DONE"]
        finally:
            if job.state == "RUNNING":
                job.states[:] = ["FAILED"]

    Thread(target=work).start()
