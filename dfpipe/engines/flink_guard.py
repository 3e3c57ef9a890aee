"""A process that cleans up after `dfpipe run` on Flink, however the run ends.

`flink_guard.py MASTER JOB FOLDER [COMMAND...]` runs the command, Beam's job server, until standard
input closes. Then it kills the job server, cancels the job if it is still running on the cluster,
and removes the folder. It prints why the job may still be running, if so. It needs only Python.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

ENDED = {"FINISHED", "FAILED", "CANCELED"}
SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)  # ignored: they are for the run
PAUSE = 0.2
ANSWER_SECONDS = 10.0
CANCEL_SECONDS = 30.0  # for the parts of a job to end
SUBMIT_SECONDS = 3.0  # until a job that was just submitted is listed


def rest(master: str, path: str, method: str = "GET") -> Any:
    """Call Flink's REST API, without a proxy. Raises OSError or ValueError."""
    request = Request(f"{master}/{path}", method=method)  # noqa: S310 - http or https
    with build_opener(ProxyHandler({})).open(request, timeout=ANSWER_SECONDS) as answer:
        return json.load(answer)


def cancel(master: str, job: str) -> str:
    """Cancel the job with a name and wait for its end; return why it may still run, or nothing."""
    started = time.monotonic()
    asked: set[str] = set()
    while True:
        try:
            found = [one for one in rest(master, "jobs/overview")["jobs"] if one["name"] == job]
            alive = {one["jid"]: one["state"] for one in found if one["state"] not in ENDED}
            for number in alive.keys() - asked:
                with suppress(HTTPError):  # it has just ended; if not, the next look shows it
                    rest(master, f"jobs/{number}?mode=cancel", "PATCH")
                asked.add(number)
        except (OSError, ValueError, KeyError, TypeError) as error:
            return (
                f"the job {job} may still run: {master} does not answer ({error}): cancel it there"
            )
        passed = time.monotonic() - started
        if not alive and (found or passed > SUBMIT_SECONDS):
            return ""
        if alive and passed > CANCEL_SECONDS:
            states = ", ".join(sorted(set(alive.values())))
            return f"the job {job} is still {states} at {master}: check it there"
        time.sleep(PAUSE)


def main(args: Sequence[str]) -> int:
    """Guard a run; return the exit status of a job server that ended by itself, otherwise 0."""
    master, job, folder, *command = args
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    # Its output goes to standard error, because the run reads standard output.
    server = (
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=2)  # noqa: S603
        if command
        else None
    )
    submitted = _wait(server)
    status = server.poll() if server else None
    if server:
        server.kill()
        server.wait()
    if master and submitted and (left := cancel(master, job)):
        os.write(1, left.encode())
    shutil.rmtree(folder, ignore_errors=True)
    return 128 - status if status and status < 0 else status or 0


def _wait(server: "subprocess.Popen[bytes] | None") -> bool:
    """Wait until standard input or the job server ends; return whether a byte came before."""
    came = False
    while server is None or server.poll() is None:
        if select.select([0], [], [], PAUSE)[0]:
            if not os.read(0, 1):
                break
            came = True
    return came


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
