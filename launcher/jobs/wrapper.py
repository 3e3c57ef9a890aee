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
from pathlib import Path
from typing import Any

from service.files import write_whole

GRACE_SECONDS = 20.0  # before a job that is to end is killed


def run(folder: Path) -> None:
    """Run the job of a folder, unless that was done or is being done."""
    with (folder / "alive").open("ab") as lock:
        # Whoever looks whether the job lives has it for a moment, so this may have to wait.
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            with (folder / "pid").open("x") as file:
                file.write(str(os.getpid()))
        except FileExistsError:
            return  # another one was first
        code = 143 if (folder / "cancelled").exists() else _run(folder, lock.fileno())
        write_whole(folder / "result.json", json.dumps({"code": code}))
    if os.getpgrp() == os.getpid():
        # Ends this process too, which has nothing left to do. A process that ignores SIGTERM would
        # otherwise outlive a cancelled job, and work beside the next attempt of one that failed.
        os.killpg(0, signal.SIGKILL)


def _run(folder: Path, lock: int) -> int:
    words = json.loads((folder / "job.json").read_text())["words"]
    is_asked = threading.Event()  # to end, while the child is only about to begin
    signal.signal(signal.SIGTERM, lambda *_: is_asked.set())
    try:
        child = subprocess.Popen(words, pass_fds=(lock,))  # noqa: S603  # of chains.yaml
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", error)
        print(f"{words[0]} cannot be run: {reason}", file=sys.stderr)  # noqa: T201
        return 127

    def end(*_: Any) -> None:
        # Once: a second request while the job is alive must not put off the SIGKILL.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child.terminate()
        signal.signal(signal.SIGALRM, lambda *_: child.kill())
        signal.setitimer(signal.ITIMER_REAL, GRACE_SECONDS)

    signal.signal(signal.SIGTERM, end)
    if is_asked.is_set() or (folder / "cancelled").exists():
        end()
    return child.wait()


if __name__ == "__main__":
    run(Path(sys.argv[1]))
