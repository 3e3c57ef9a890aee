"""An environment like a worker's, made in seconds from libraries that are installed already."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from tests.support.command import environment as environment_of
from tests.support.fake_dataflow import Job
from tests.support.processes import ROOT

LIBRARIES = sysconfig.get_path("purelib")
PROGRAM = ROOT / "tests" / "support" / "worker_program.py"


# Of these a worker has none: the floors above the package, and libraries of laptops and services.
ABSENT = ["taskqueue", "workflow", "launcher", "collector", "tests.support", "setup", "click"]
ABSENT += ["duckdb", "flask", "gunicorn", "rich", "prometheus_client", "atproto", "pytest"]


@dataclass
class Worker:
    """A worker of the fake Dataflow, and what it has found out, job by job."""

    folder: Path  # where it installs what is staged
    env: Mapping[str, str]
    found: dict[str, dict[str, Any]] = field(default_factory=dict)

    def execute(self, job: Job) -> None:
        """Do what a job was submitted for, beside the caller; then the job has ended."""
        job.states[:] = ["RUNNING"]

        def work() -> None:
            try:
                found = self._run(*_description(job))
                self.found[job.name], job.counters = found, found["counters"]
                job.states[:] = ["DONE"]
            finally:
                if job.state == "RUNNING":
                    job.states[:] = ["FAILED"]

        Thread(target=work).start()

    def _run(self, environment: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
        packages = environment["workerPools"][0]["packages"]
        staged = {package["name"]: Path(package["location"]) for package in packages}
        if not self.folder.exists():
            [name] = staged["extra_packages.txt"].read_text().split()
            install(staged[name], self.folder)
        program = [str(PROGRAM), LIBRARIES, str(self.folder)]
        argv = [*program, options["pipelineUrl"], json.dumps(options), *ABSENT]
        answer = called([sys.executable, "-I", "-S", *argv], self.folder, environment_of(self.env))
        found: dict[str, Any] = json.loads(answer.splitlines()[-1])
        return found


def _description(job: Job) -> tuple[dict[str, Any], dict[str, Any]]:
    """The environment and the options of a job, which may be one of a classic template."""
    environment = job.request["environment"]
    if template := job.request.get("gcsPath"):
        environment = json.loads(Path(template).read_text())["environment"]
    options = environment["sdkPipelineOptions"]["options"]
    return environment, options | job.request.get("parameters", {})


def install(distribution: Path, folder: Path) -> None:
    """Install a distribution as a worker does, but for the libraries, which are there."""
    argv = ["install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    argv += ["--disable-pip-version-check", "--target", str(folder), str(distribution)]
    env = {**os.environ, "PIP_CONFIG_FILE": os.devnull}
    called([sys.executable, "-m", "pip", *argv], folder.parent, env)


def called(command: Sequence[str], folder: Path, env: Mapping[str, str]) -> str:
    """What a program prints that is run to its end in a folder."""
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
