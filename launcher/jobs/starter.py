"""The starter of local jobs: a process that has imported Beam and forks itself for each job.

A job of the command `dfpipe run` begins at once in such a fork, instead of importing Beam for
seconds, and still has a process of its own: its memory, a crash and a cancel do not concern others.

The starter reads the names of jobs from a named pipe in their folder. Where nothing reads that,
`ask` says so, and the job is started without it.
"""

import os
import signal
import stat
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from dfpipe.importing import import_launch
from launcher.jobs.wrapper import DFPIPE, Child, begin_process, run_job

PIPE = ".starter"
ANSWER_SECONDS = 0.5  # until a job that the starter was asked for has a process
_POLL = 0.005  # seconds


def ask(folder: Path, name: str) -> bool:
    """Ask the starter to start the job of a folder; returns whether the job has a process now.

    Where it does not, another process may be started for it: only the first one does the work.
    """
    try:
        pipe = os.open(folder / PIPE, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return False  # there is no pipe, or nothing reads it
    try:
        os.write(pipe, f"{name}\n".encode())
    except OSError:
        return False
    finally:
        os.close(pipe)
    end = time.monotonic() + ANSWER_SECONDS
    while not (started := (folder / name / "pid").exists()) and time.monotonic() < end:
        time.sleep(_POLL)
    return started


def serve(folder: Path, environment: Mapping[str, str]) -> None:
    """Start the jobs that are asked for, with these variables, until the process is ended.

    Raises OSError if the folder cannot be written.
    """
    os.environ.clear()
    os.environ.update(environment)
    import_launch()
    folder.mkdir(parents=True, exist_ok=True)
    _make_pipe(folder / PIPE)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no process waits for the jobs
    # Open for writing too: otherwise it would end when the launcher closes its end.
    with open(os.open(folder / PIPE, os.O_RDWR), "rb", buffering=0) as pipe:
        rest = b""
        while True:
            *names, rest = (rest + pipe.read(4096)).split(b"\n")
            for name in names:
                job = folder / os.path.basename(name.decode(errors="replace"))
                if os.path.isfile(job / "job.json") and os.fork() == 0:
                    pipe.close()  # or `ask` would find a reader when the starter is gone
                    _be_job(job)


def _make_pipe(path: Path) -> None:
    with suppress(FileExistsError):
        os.mkfifo(path, 0o600)
    if not stat.S_ISFIFO(path.stat().st_mode):
        path.unlink()
        os.mkfifo(path, 0o600)


def _be_job(folder: Path) -> NoReturn:
    """Become the wrapper of a job, in a session of its own."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open(folder / "log", "ab") as log, open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    run_job(folder, _begin)
    os._exit(0)


def _begin(argv: Sequence[str], lock: int) -> Child:
    """Begin a command: in a fork, which inherits the lock anyway, if it is one of dfpipe."""
    return _Fork(argv[3:]) if tuple(argv[:3]) == DFPIPE else begin_process(argv, lock)


class _Fork:
    """A fork of this process that runs a command of dfpipe."""

    def __init__(self, argv: Sequence[str]) -> None:
        # A SIGTERM that comes before the fork has put back what it does waits until then.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        self._pid = os.fork()
        if self._pid == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        if self._pid == 0:
            _be_command(argv)

    def terminate(self) -> None:
        """Send SIGTERM, unless it has ended."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL, unless it has ended."""
        self._signal(signal.SIGKILL)

    def wait(self) -> int:
        """Wait for its end; returns the exit status, or minus the number of a signal."""
        pid, self._pid = self._pid, 0
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._pid, number)


def _be_command(argv: Sequence[str]) -> NoReturn:
    """Become a command of dfpipe.

    It ends with SystemExit, up to the interpreter, so that what Beam does at exit is done.
    """
    from dfpipe import cli  # after the fork, as most jobs are other commands

    try:
        cli.main(argv)
    except Exception:  # what the wrapper catches would look like a success
        traceback.print_exc()
        sys.exit(1)
    sys.exit(0)
