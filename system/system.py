"""The processes of the whole system, and running them together."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click
import yaml

from dfpipe import warehouse
from dfpipe.datastore import check
from dfpipe.errors import UsageError
from service.cron_yaml import read_cron
from service.files import write_whole
from service.sessions import login_link
from system.cron import Clock, Job, read_jobs
from system.filling import import_files, keep_pushing, make_up
from system.printing import Printer
from system.supervisor import Program, Supervisor

LAUNCH_URL = "/launchpipeline"
# `analyze now` covers the posts up to now, not up to the last whole five hours.
SLOT = "1m"
POLL = "2s"  # polling jobs of this machine costs nothing
OFTEN = {"schedule": "every 1 minutes synchronized"}  # the analyses of the demo


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """How the system runs.

    `tokens` holds those for tasks and for /ingest, and is not in the repr; `cron_header` is a file
    with the header that proves a call of cron.
    """

    folder: Path
    store: str
    sink: str
    config: Path
    cron_header: Path
    host: str
    port: int
    is_demo: bool = False
    posts: tuple[str, ...] = ()
    shift_to_now: bool = False
    tokens: Mapping[str, str] = field(repr=False)

    @property
    def addresses(self) -> dict[str, str]:
        """Where each service is, by its name in dispatch.yaml."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104
        return {
            "launcher": f"http://{host}:{self.port}",
            "default": f"http://{host}:{self.port + 1}",
        }

    def navigation(self) -> str:
        """The pages of all services, as DFPIPE_NAVIGATION wants them."""
        launcher, collector = self.addresses["launcher"], self.addresses["default"]
        return (
            f"Timeline={launcher}/,Jobs={launcher}/jobs,"
            f"Workflows={launcher}/_ah/pipeline/list,Collector={collector}/status"
        )

    @property
    def cron(self) -> Path:
        """The cron.yaml that the clock follows."""
        return (self.folder if self.is_demo else self.config) / "cron.yaml"

    def programs(self) -> list[Program]:
        """The processes to start, each with its command line and environment."""
        launcher, collector = self.addresses["launcher"], self.addresses["default"]
        queues = f"--queue-yaml={self.config / 'queue.yaml'}"
        store = f"--store={self.store}"
        listen = [f"--host={self.host}", "--workers=1"]
        return [
            self.program("jobs", "launcher", "job-starter"),
            self.program("launcher", "launcher", "serve", f"--port={self.port}", *listen),
            self.program("collector", "collector", "serve", f"--port={self.port + 1}", *listen),
            self.program("worker", "collector", "ingest-worker", store, queues),
            self.program(
                "dispatcher",
                "taskqueue",
                "dispatch",
                store,
                queues,
                f"--target={collector}",
                f"--target=launcher={launcher}",
            ),
        ]

    def demo_programs(self, now: datetime) -> list[Program]:
        """The processes that a demo has besides."""
        argv = ["system.back_runs", self.store, self.sink, now.isoformat()]
        return [Program("demo", argv, self.environment(), ends=True)]

    def program(self, name: str, module: str, *args: str) -> Program:
        """A process of one of the packages, with the settings of all."""
        return Program(name, [module, *args], self.environment())

    def environment(self) -> dict[str, str]:
        """The variables that all processes get."""
        queues = str((self.config / "queue.yaml").absolute())
        demo = {
            "LAUNCHER_SLOT": SLOT,
            "LAUNCHER_OVERLAP": "skip",
            "LAUNCHER_KEEP": "1d",
            "LAUNCHER_SYNTHETIC": "true",
            "COLLECTOR_SYNTHETIC": "true",
        }
        return {
            "PYTHONUNBUFFERED": "1",
            "DFPIPE_STORE": self.store,
            "DFPIPE_SINK": self.sink,
            "DFPIPE_WAREHOUSE": "",  # its old name, which someone may have set
            "DFPIPE_TASK_TOKEN": self.tokens["task"],
            "COLLECTOR_INGEST_TOKENS": self.tokens["ingest"],
            "COLLECTOR_QUEUE_YAML": queues,
            "LAUNCHER_QUEUE_YAML": queues,
            "LAUNCHER_CHAINS": str((self.config / "chains.yaml").absolute()),
            "LAUNCHER_CRON": str(self.cron.absolute()),
            "LAUNCHER_JOBS_FOLDER": str((self.folder / "jobs").absolute()),
            "LAUNCHER_SLOT": os.environ.get("LAUNCHER_SLOT") or SLOT,
            "LAUNCHER_POLL": os.environ.get("LAUNCHER_POLL") or POLL,
            "LAUNCHER_TARGET": "launcher",
            "LAUNCHER_URL": self.addresses["launcher"],
            "DFPIPE_NAVIGATION": self.navigation(),
            **(demo if self.is_demo else {}),
        }


def run_system(system: System) -> None:
    """Run the system until SIGINT or SIGTERM, then stop all of its processes.

    Raises UsageError for mistakes that can be found before anything starts.
    """
    for port in (system.port, system.port + 1):
        _check_free(system.host, port)
    check(system.store)
    warehouse.connect(system.sink)
    jobs = _jobs(system)
    say = Printer()
    clock = Clock(jobs, system.addresses, system.tokens["task"], partial(say, "clock"))
    _fill(system, say)
    refused: list[str] = []

    def refuse(name: str) -> None:
        refused.append(name)
        clock.stop()

    programs = system.programs()
    if system.is_demo:
        programs += system.demo_programs(datetime.now(UTC).replace(microsecond=0))
    supervisor = Supervisor(programs, say, refuse)
    _greet(system)
    try:
        supervisor.start()
        with _pushing(system, say):
            clock.run()
    except KeyboardInterrupt:
        click.echo("Stopping all processes ...")
    finally:
        # Another Ctrl-C would leave some of them behind. Stopping has a time limit.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        supervisor.stop()
        _end_jobs(system, say)
    if refused:
        raise UsageError(f"{refused[0]} cannot start: correct what its line above says")


def _fill(system: System, say: Printer) -> None:
    """Store the posts that the system starts with."""
    if system.posts:
        import_files(system.posts, system.store, system.shift_to_now, partial(say, "posts"))
    if system.is_demo:
        make_up(system.store, system.sink, partial(say, "demo"))


@contextmanager
def _pushing(system: System, say: Printer) -> Iterator[None]:
    """Push synthetic posts meanwhile, if the system is a demo."""
    stopping = threading.Event()
    if system.is_demo:
        url, token = f"{system.addresses['default']}/ingest", system.tokens["ingest"]
        args = (url, token, partial(say, "demo"), stopping)
        threading.Thread(target=keep_pushing, args=args, daemon=True).start()
    try:
        yield
    finally:
        stopping.set()


def _jobs(system: System) -> list[Job]:
    if system.is_demo:
        _write_demo_cron(system)
    return read_jobs(system.cron, system.config / "dispatch.yaml")


def _write_demo_cron(system: System) -> None:
    """Write a cron.yaml that starts the chain often, for the clock and for the launcher's page."""
    entries = read_cron(system.config / "cron.yaml")
    found = [
        {**entry.model_dump(exclude_defaults=True), **(OFTEN if entry.url == LAUNCH_URL else {})}
        for entry in entries
    ]
    write_whole(system.cron, yaml.safe_dump({"cron": found}, sort_keys=False))


def _end_jobs(system: System, say: Printer) -> None:
    """Stop the local jobs, which would continue; the launcher restarts them at the next start."""
    done = subprocess.run(
        [sys.executable, "-m", "launcher", "end-jobs"],
        env={**os.environ, **system.environment()},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        check=False,
    )
    for line in done.stdout.splitlines():
        say("launcher", line)


def _check_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UsageError(
                f"cannot listen on port {port} of {host}: {error.strerror}: "
                "check --host, or give another --port"
            ) from error


def _greet(system: System) -> None:
    addresses = system.addresses
    header = shlex.quote(f"@{system.cron_header}")
    link = login_link(f"{addresses['launcher']}/pages", system.tokens["task"], time.time())
    click.echo(f"open once          {link}")
    click.echo(f"pages              {addresses['launcher']}/, {addresses['default']}/status")
    click.echo(f"log in again       with the token in {system.folder / 'task-token'}")
    click.echo(f"posts, results     {system.store}, {system.sink}")
    click.echo(f"analyze now        curl -H {header} {addresses['launcher']}{LAUNCH_URL}")
    click.echo("Press Ctrl-C to stop.")
