"""The process around a local job: `python -m launcher.jobs.wrapper FOLDER`.

It runs the words of `job.json` once, however often it is started for a folder, and writes how they
ended. The lock on `alive` is handed on to the job, so that the job is known to live even where this
process was killed.
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
        temporary = folder / ".result.json"
        temporary.write_text(json.dumps({"code": code}))
        temporary.replace(folder / "result.json")
    if code == -signal.SIGKILL and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)  # what it has started is not to go on without it


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
        # Once: who asks again, as long as it lives, must not put off what comes then.
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
