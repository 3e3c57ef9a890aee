"""A real Flink cluster: job manager, two task managers and Beam's job server, each a process."""

import json
import os
import shlex
import socket
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil

from tests.support.processes import free_port, wait_until

FLINK = Path(__file__).parents[2] / ".engines" / "flink"
JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
JOB_SERVER = "org.apache.beam.runners.flink.FlinkJobServerDriver"
TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
WORKER = "apache_beam.runners.worker.sdk_worker_main"
SECONDS = 600  # for a step that takes some seconds on a machine that is not busy

# A task manager has two slots, so that one alone can do the work of both. Beam's classes are taken
# from Flink's own folder: only so does a Python worker live on from step to step. The sizes of
# memory are all given, as Flink's shell scripts, which would work them out, are not used.
CONFIG = """
jobmanager.rpc.address: 127.0.0.1
jobmanager.bind-host: 127.0.0.1
jobmanager.rpc.port: {rpc}
jobmanager.memory.process.size: 1g
rest.address: 127.0.0.1
rest.bind-address: 127.0.0.1
rest.port: {rest}
taskmanager.host: 127.0.0.1
taskmanager.bind-host: 127.0.0.1
taskmanager.numberOfTaskSlots: 2
taskmanager.cpu.cores: 1
taskmanager.memory.framework.heap.size: 128m
taskmanager.memory.framework.off-heap.size: 128m
taskmanager.memory.task.heap.size: 384m
taskmanager.memory.task.off-heap.size: 64m
taskmanager.memory.managed.size: 128m
taskmanager.memory.network.min: 256m
taskmanager.memory.network.max: 256m
taskmanager.network.sort-shuffle.min-buffers: 64
taskmanager.memory.jvm-metaspace.size: 256m
taskmanager.memory.jvm-overhead.min: 192m
taskmanager.memory.jvm-overhead.max: 192m
cluster.evenly-spread-out-slots: true
classloader.resolve-order: parent-first
restart-strategy.type: fixed-delay
restart-strategy.fixed-delay.attempts: 3
restart-strategy.fixed-delay.delay: 10 s
io.tmp.dirs: {folder}/tmp
web.upload.dir: {folder}/upload
"""
_PACKAGES = (
    *("lang", "lang.reflect", "net", "io", "nio", "text", "time", "util"),
    *("util.concurrent", "util.concurrent.atomic", "util.concurrent.locks"),
)
VERSION = "1.19"
OPEN = [f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in _PACKAGES]

# How a task manager starts a Python worker: this environment, with Beam's boot program.
WORKER_SCRIPT = """#!/bin/sh
PATH={python}:$PATH
RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1
export PATH RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT
exec {boot} --semi_persist_dir={folder}/staged/$$ "$@"
"""


@dataclass
class Cluster:
    """A running cluster; `folder` takes its configuration and logs."""

    folder: Path
    processes: dict[str, "subprocess.Popen[Any]"] = field(default_factory=dict)

    def start(self) -> None:
        """Start the job manager and two task managers, and wait until they know each other."""
        self.port = free_port()
        for name in ("tmp", "upload", "staged"):
            (self.folder / name).mkdir()
        config = CONFIG.format(rpc=free_port(), rest=self.port, folder=self.folder)
        (self.folder / "config.yaml").write_text(config, encoding="utf-8")
        boot = FLINK / "container"
        script = WORKER_SCRIPT.format(
            python=shlex.quote(str(Path(sys.executable).parent)), boot=boot, folder=self.folder
        )
        self.worker = self.folder / "worker.sh"
        self.worker.write_text(script, encoding="utf-8")
        self.worker.chmod(0o755)
        self.jar = self.folder / "job-server.jar"
        _write_jar(self.jar)
        self._start("job-manager", JOB_MANAGER)
        self.complete()
        self.job_port = free_port()
        master = f"127.0.0.1:{self.port}"
        ports = (f"--job-port={self.job_port}", "--artifact-port=0", "--expansion-port=0")
        artifacts = f"--artifacts-dir={self.folder}/artifacts"
        self._start("job-server", JOB_SERVER, f"--flink-master={master}", *ports, artifacts)
        wait_until(self._job_server_listens, SECONDS)

    def complete(self) -> None:
        """Start task managers until there are two, and wait until they can be used."""
        while len(self.task_managers()) < 2:
            name = f"task-manager-{len(self.processes)}"
            self._start(name, TASK_MANAGER, f"-Dtaskmanager.resource-id={name}")
        wait_until(lambda: self._registered() == set(self.task_managers()), SECONDS)

    def _start(self, name: str, main: str, *argv: str) -> None:
        config = () if main == JOB_SERVER else ("-c", str(self.folder))
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                ["java", "-Xmx512m", *OPEN, "-cp", f"{FLINK}/lib/*", main, *config, *argv],
                stdout=log,
                stderr=log,
                cwd=self.folder,  # where workers leave a file
                start_new_session=True,  # by which they are known, even as orphans
            )

    def _job_server_listens(self) -> bool:
        self._check("job-server")
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.job_port)):
            return True
        return False

    def _check(self, name: str) -> None:
        assert self.processes[name].poll() is None, f"it has ended: see {self.folder}/{name}.log"

    def _registered(self) -> set[str]:
        self._check("job-manager")
        try:
            return {one["id"] for one in self.rest("taskmanagers")["taskmanagers"]}
        except OSError:
            return set()

    def rest(self, path: str) -> Any:
        """What Flink's own REST API answers."""
        with urlopen(f"http://127.0.0.1:{self.port}/v1/{path}", timeout=60) as answer:
            return json.load(answer)

    def task_managers(self) -> list[str]:
        """The names of those that are alive."""
        return [
            name
            for name, process in self.processes.items()
            if name.startswith("task-manager") and process.poll() is None
        ]

    def at_work(self) -> set[str]:
        """The task managers on which a job is running."""
        return {
            subtask["taskmanager-id"]
            for job in self.rest("jobs")["jobs"]
            if job["status"] == "RUNNING"
            for subtask in self.subtasks(job["id"])
            if subtask["status"] == "RUNNING"
        }

    def subtasks(self, job: str) -> list[dict[str, Any]]:
        """The parts of a job, each with its `status`, `taskmanager-id` and `attempt`."""
        vertices = self.rest(f"jobs/{job}")["vertices"]
        return [
            subtask
            for vertex in vertices
            for subtask in self.rest(f"jobs/{job}/vertices/{vertex['id']}")["subtasks"]
        ]

    def last_job(self) -> str:
        """The id of the job that began last."""
        return str(self._last_job()["jid"])

    def last_state(self) -> str:
        """What has become of the job that began last, as RUNNING or CANCELED."""
        return str(self._last_job()["state"])

    def _last_job(self) -> dict[str, Any]:
        jobs: list[dict[str, Any]] = self.rest("jobs/overview")["jobs"]
        return max(jobs, key=lambda job: job["start-time"])

    def job_servers(self) -> list[psutil.Process]:
        """Those that a command has started, with what guards them."""
        return [one for one in psutil.process_iter() if str(self.jar) in _command(one)]

    def workers(self, name: str) -> list[psutil.Process]:
        """The Python workers that a task manager has started."""
        session = _session(self.processes[name].pid)
        return [process for process in session if WORKER in _command(process)]

    def kill_task_manager(self, name: str) -> None:
        """Kill it at once."""
        self.processes[name].kill()
        self.processes[name].wait(60)

    def kill_workers(self, name: str) -> None:
        """Kill the Python workers of a task manager at once."""
        for worker in self.workers(name):
            with suppress(psutil.NoSuchProcess):
                worker.kill()

    def options(self, environment: Mapping[str, str]) -> list[str]:
        """The options of `dfpipe run` on this cluster; the workers get an environment."""
        return [
            "--runner=PortableRunner",
            f"--job_endpoint=127.0.0.1:{self.job_port}",
            *self._workers_options(environment),
        ]

    def runner_options(self, environment: Mapping[str, str]) -> list[str]:
        """The same, with a job server that the command starts itself."""
        return [
            "--runner=FlinkRunner",
            f"--flink_master=127.0.0.1:{self.port}",
            f"--flink_version={VERSION}",
            f"--flink_job_server_jar={self.jar}",
            *self._workers_options(environment),
        ]

    def _workers_options(self, environment: Mapping[str, str]) -> list[str]:
        worker = {"command": str(self.worker), "env": dict(environment)}
        return [
            "--parallelism=2",
            "--environment_type=PROCESS",
            f"--environment_config={json.dumps(worker)}",
            "--environment_cache_millis=5000",
        ]

    def stop(self) -> None:
        """End all processes and those that they have started."""
        for process in self.processes.values():
            wait_until(partial(_end, process), SECONDS)


def _write_jar(file: Path) -> None:
    """Write a jar of the job server that has nothing but the names of those that it is made of."""
    manifest = {
        "Manifest-Version": "1.0",
        "Main-Class": JOB_SERVER,
        "Class-Path": " ".join(jar.as_uri() for jar in sorted((FLINK / "lib").glob("*.jar"))),
        "Add-Opens": " ".join(f"java.base/java.{name}" for name in _PACKAGES),
    }
    # A line has 72 bytes at most; one that begins with a space goes on with the one before.
    lines = ["\n ".join(_wrap(f"{k}: {v}")) for k, v in manifest.items()]
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", "\n".join([*lines, ""]))


def _wrap(line: str) -> list[str]:
    return [line[i : i + 70] for i in range(0, len(line), 70)]


def _session(leader: int) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _is_of(process, leader)]


def _is_of(process: psutil.Process, leader: int) -> bool:
    try:
        return os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def _end(leader: "subprocess.Popen[Any]") -> bool:
    """Kill a process and what it has started; tell whether nothing was left of them."""
    leader.poll()
    left = _session(leader.pid)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return not left
