"""The processes of the whole system, and running them together."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import click

from dfpipe.errors import UsageError
from dfpipe.serving.cron import Clock, Job, read_jobs
from dfpipe.serving.schedules import Every
from dfpipe.serving.supervisor import Program, Supervisor

COLORS = ("cyan", "green", "yellow", "magenta", "blue", "red")
LAUNCH_URL = "/launchpipeline"
# Whoever asks for an analysis here wants it as of now, and not of the last whole five hours.
SLOT = "1m"
DEMO_INTERVAL = timedelta(minutes=1)  # between analyses
DEMO_TIMELINE = timedelta(days=6)
DEMO_SECONDS = 5.0  # between posts that are pushed
DEMO_SEEDS = range(1, 21)  # of the timelines that are pushed: one alone has a post a minute


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """How the system runs; the tokens are for tasks and for /ingest, and are not shown."""

    folder: Path
    store: str
    sink: str
    config: Path
    host: str
    port: int
    is_demo: bool
    tokens: Mapping[str, str] = field(repr=False)

    @property
    def addresses(self) -> dict[str, str]:
        """Where each service is, by its name in dispatch.yaml."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104
        return {
            "launcher": f"http://{host}:{self.port}",
            "default": f"http://{host}:{self.port + 1}",
        }

    def programs(self) -> list[Program]:
        """The processes."""
        launcher, collector = self.addresses["launcher"], self.addresses["default"]
        queues = f"--queue_yaml={self.config / 'queue.yaml'}"
        store = f"--store={self.store}"
        listen = [f"--host={self.host}", "--workers=1"]
        return [
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

    def program(self, name: str, module: str, *words: str) -> Program:
        """A process of one of the packages, which is told the settings of all."""
        return Program(name, [sys.executable, "-m", module, *words], self._environment())

    def _environment(self) -> dict[str, str]:
        queues = str((self.config / "queue.yaml").absolute())
        demo = {"LAUNCHER_SLOT": SLOT, "LAUNCHER_OVERLAP": "skip"} if self.is_demo else {}
        return {
            "PYTHONUNBUFFERED": "1",
            "DFPIPE_STORE": self.store,
            "DFPIPE_WAREHOUSE": self.sink,
            "DFPIPE_TASK_TOKEN": self.tokens["task"],
            "COLLECTOR_INGEST_TOKENS": self.tokens["ingest"],
            "COLLECTOR_QUEUE_YAML": queues,
            "LAUNCHER_QUEUE_YAML": queues,
            "LAUNCHER_CHAINS": str((self.config / "chains.yaml").absolute()),
            "LAUNCHER_JOBS_FOLDER": str((self.folder / "jobs").absolute()),
            "LAUNCHER_SLOT": os.environ.get("LAUNCHER_SLOT") or SLOT,
            "LAUNCHER_TARGET": "launcher",
            "LAUNCHER_URL": self.addresses["launcher"],
            **demo,
        }


class Printer:
    """Prints lines behind the names of their processes, a color for each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._colors: dict[str, str] = {}

    def __call__(self, name: str, line: str) -> None:
        """Print a line."""
        with self._lock:
            color = self._colors.setdefault(name, COLORS[len(self._colors) % len(COLORS)])
            for part in readable(line).splitlines():
                click.echo(f"{click.style(f'{name:<10}', fg=color)} | {_shown(part)}")


def readable(line: str) -> str:
    """A line for people: of a record in JSON the time, the message and whatever else it has.

    >>> readable('{"time": "2026-01-07T11:00:00.5", "severity": "INFO", "message": "a", "n": 1}')
    '11:00:00 a n=1'
    """
    try:
        record = json.loads(line)
        time, message = record.pop("time")[11:19], record.pop("message")
    except (ValueError, KeyError, TypeError, AttributeError):
        return line
    severity = record.pop("severity", "INFO")
    record.pop("logger", None)
    trace = record.pop("trace", "")
    words = [time, *[severity] * (severity != "INFO"), message]
    words += [f"{name}={value}" for name, value in record.items()]
    return " ".join(map(str, words)) + (f"\n{trace}" if trace else "")


def _shown(line: str) -> str:
    """The line with nothing in it that moves a cursor."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)


def run(system: System) -> None:
    """Run the system until SIGINT or SIGTERM; then end all of it in good order.

    Raises UsageError for what can be seen to be wrong before anything is started.
    """
    for port in (system.port, system.port + 1):
        _check_free(system.host, port)
    jobs = _jobs(system)
    say = Printer()
    clock = Clock(jobs, system.addresses, system.tokens["task"], partial(say, "clock"))
    if system.is_demo:
        _fill(system, partial(say, "demo"))
    supervisor = Supervisor(system.programs(), say)
    _greet(system)
    stopping = threading.Event()
    try:
        supervisor.start()
        if system.is_demo:
            feed = partial(_feed, system, partial(say, "demo"), stopping)
            threading.Thread(target=feed, daemon=True).start()
        clock.run()
    except KeyboardInterrupt:
        click.echo("ending all processes ...")
    finally:
        # Another Ctrl-C would leave some of them behind; that they end has a time limit.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        stopping.set()
        supervisor.stop()
        _end_jobs(system, say)


def _jobs(system: System) -> list[Job]:
    jobs = read_jobs(system.config / "cron.yaml", system.config / "dispatch.yaml")
    if not system.is_demo:
        return jobs
    often = Every(DEMO_INTERVAL, is_synchronized=True)
    return [replace(job, schedule=often) if job.url == LAUNCH_URL else job for job in jobs]


def _end_jobs(system: System, say: Printer) -> None:
    """End the local jobs, which go on without a launcher; it starts them again when it is back."""
    program = system.program("launcher", "launcher", "end-jobs")
    done = subprocess.run(  # noqa: S603  # our own program
        program.command,
        env={**os.environ, **program.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        check=False,
    )
    for line in done.stdout.splitlines():
        say(program.name, line)


def _check_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UsageError(
                f"port {port} of {host} cannot be used: {error.strerror}: give another --port"
            ) from error


def _greet(system: System) -> None:
    addresses = system.addresses
    token = system.folder / "task-token"
    click.echo(f"the page           {addresses['launcher']}/")
    click.echo(f"the collector      {addresses['default']}/status")
    click.echo(f"posts, results     {system.store}, {system.sink}")
    click.echo(
        f'analyse now        curl -H "Authorization: Bearer $(cat {token})" '
        f"{addresses['launcher']}{LAUNCH_URL}"
    )
    click.echo("Ctrl-C ends it.")


# The made-up timeline


def _fill(system: System, say: Callable[[str], None]) -> None:
    """Store the timeline up to now, and analyse it as of the last days, so there is a history."""
    from itertools import islice

    from dfpipe import archive, datastore, demo, launch

    now = datetime.now(UTC).replace(microsecond=0)
    client = datastore.connect(system.store)
    posts = demo.timeline(now - DEMO_TIMELINE, now)
    stored = 0
    while batch := list(islice(posts, archive.BATCH_POSTS)):
        stored += archive.store_posts(client, batch)[0]
    say(f"a made-up timeline, nothing in it is real: {stored:,} posts stored")
    for days in (2, 1):
        until = (now - timedelta(days=days)).isoformat()
        words = [f"--source={system.store}", f"--sink={system.sink}", f"--until={until}"]
        say(str(launch.launch(words, {})))


def _feed(system: System, say: Callable[[str], None], stopping: threading.Event) -> None:
    """Push the posts of the timeline to the collector as their times come."""
    from dfpipe import demo
    from dfpipe.formats.own import to_line

    last = datetime.now(UTC)
    while not stopping.wait(DEMO_SECONDS):
        now = datetime.now(UTC)
        posts = [post for seed in DEMO_SEEDS for post in demo.timeline(last, now, seed)]
        lines = [to_line(p.tid, p.user, p.text, p.created_at, list(p.urls)) for p in posts]
        if lines and not _push(system, lines):
            continue
        if lines:
            say(f"{len(lines)} posts pushed")
        last = now


def _push(system: System, lines: list[bytes]) -> bool:
    request = urllib.request.Request(  # noqa: S310  # our own address
        f"{system.addresses['default']}/ingest",
        b"".join(lines),
        {
            "Authorization": f"Bearer {system.tokens['ingest']}",
            "Content-Type": "application/x-ndjson",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return bool(json.load(answer))
    except OSError:
        return False  # the collector is only starting
