"""The process around a local job: `python -m launcher.jobs.wrapper FOLDER`.

It runs the command of `job.json` once, however often it is started for a folder, and writes how it
ended. The job inherits the lock on `alive`, so that it is known to be alive even if this process
was killed. A job ends with its first process: what that one has started and left behind is killed.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from service.files import write_whole

GRACE_SECONDS = 20.0  # between SIGTERM and SIGKILL
# What the command line of a job begins with if it is one of dfpipe.
DFPIPE = (sys.executable, "-m", "dfpipe")


class Child(Protocol):
    """A command that is running, in a process of its own or a forked one."""

    def terminate(self) -> None:
        """Send SIGTERM, unless it has ended."""

    def kill(self) -> None:
        """Send SIGKILL, unless it has ended."""

    def wait(self) -> int:
        """Wait for its end; returns the exit status, or minus the number of a signal."""


def begin_process(argv: Sequence[str], lock: int) -> Child:
    """Begin a command that inherits the lock. Raises OSError and ValueError."""
    return subprocess.Popen(argv, pass_fds=(lock,))  # noqa: S603  # of chains.yaml


def run_job(folder: Path, begin: Callable[[Sequence[str], int], Child] = begin_process) -> None:
    """Run the job of a folder, unless another process does or did.

    `begin` begins a command line that inherits a file, and raises OSError if it cannot.
    """
    with (folder / "alive").open("ab") as lock:
        # A process that checks whether the job is alive holds the lock for a moment.
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            with (folder / "pid").open("x") as file:
                file.write(str(os.getpid()))
        except FileExistsError:
            return  # another one was first
        code = 143 if (folder / "cancelled").exists() else _run(folder, lock.fileno(), begin)
        write_whole(folder / "result.json", json.dumps({"code": code}))
    if os.getpgrp() == os.getpid():
        # Ends this process too, which has nothing left to do. A process that ignores SIGTERM would
        # otherwise outlive a cancelled job, and work beside the next attempt of one that failed.
        os.killpg(0, signal.SIGKILL)


def _run(folder: Path, lock: int, begin: Callable[[Sequence[str], int], Child]) -> int:
    argv = _argv(folder)
    if argv is None:
        print("job.json is damaged: launch the job again", file=sys.stderr)  # noqa: T201
        return 127
    is_asked = threading.Event()  # to end, before the child exists
    signal.signal(signal.SIGTERM, lambda *_: is_asked.set())
    try:
        child = begin(argv, lock)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", error)
        print(f"{argv[0]} cannot be run: {reason}", file=sys.stderr)  # noqa: T201
        return 127

    def end(*_: object) -> None:
        # Once: a second request while the job is alive must not put off the SIGKILL.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child.terminate()
        signal.signal(signal.SIGALRM, lambda *_: child.kill())
        signal.setitimer(signal.ITIMER_REAL, GRACE_SECONDS)

    signal.signal(signal.SIGTERM, end)
    if is_asked.is_set() or (folder / "cancelled").exists():
        end()
    return child.wait()


def _argv(folder: Path) -> list[str] | None:
    """The command line of a job; None if its file is missing or damaged."""
    try:
        argv = json.loads((folder / "job.json").read_bytes())["argv"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    is_sound = isinstance(argv, list) and argv and all(isinstance(word, str) for word in argv)
    return argv if is_sound else None


if __name__ == "__main__":
    run_job(Path(sys.argv[1]))
