"""Local jobs: processes on this machine, which keep running when the launcher restarts.

Each job has a folder of its name: `job.json` with its command line, `log` with its output, `alive`,
which is locked as long as the job is alive, `pid`, and at the end `result.json`.
"""

import fcntl
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from launcher.jobs import (
    CancelRefusedError,
    JobSpec,
    JobState,
    JobStatus,
    LaunchRefusedError,
    UnavailableError,
    UnknownJobError,
    starter,
)
from launcher.jobs.wrapper import DFPIPE, GRACE_SECONDS
from service.files import write_whole
from service.processes import end_groups, signal_group

START_SECONDS = 120.0  # in which a job has to show that it is alive
END_SECONDS = 30.0  # in which jobs have to end before they are killed
CANCEL_SECONDS = 2 * GRACE_SECONDS  # after which a job without its wrapper is killed
_REMOVED = ".removed-"  # before the name of a folder that is being removed
LOG_BYTES = 64 * 1024  # of a log that is shown to people
LONGEST_LINE = 500  # characters of an error
# Variables that jobs do not get: they must not start work at the services.
SECRETS = ("DFPIPE_TASK_TOKEN", "LAUNCHER_WEBHOOK", "COLLECTOR_")


class LocalRunner:
    """Runs a step's command, to which its parameters are added as --NAME=VALUE.

    `environment` is added to this process's own.
    """

    def __init__(
        self,
        folder: str | Path,
        environment: Mapping[str, str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = Path(folder)
        self._environment = environment
        self._clock = clock

    def find(self, spec: JobSpec) -> JobStatus | None:
        """The job of this name, if its process was ever there."""
        return self.state(spec.name, spec.name) if self.has_begun(spec.name) else None

    def has_begun(self, name: str) -> bool:
        """Whether a job's process was ever there. Until then, launching it again is harmless."""
        return (self._folder / name / "pid").exists()

    def launch(self, spec: JobSpec) -> JobStatus:
        """Start the job's process, independent of this one; a second start does nothing."""
        self.start(spec.name, argv_of(spec))
        return JobStatus(job_id=spec.name, state=JobState.RUNNING)

    def start(self, name: str, argv: Sequence[str]) -> None:
        """Start a process under a name. Raises LaunchRefusedError and UnavailableError."""
        folder = self._folder / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            job = {"argv": list(argv), "started": self._clock()}
            write_whole(folder / "job.json", json.dumps(job))
            if starter.ask(self._folder, name):
                return
            with (folder / "log").open("ab") as log:
                subprocess.Popen(  # noqa: S603  # the command of chains.yaml
                    [sys.executable, "-m", "launcher.jobs.wrapper", str(folder)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=self.variables(),
                    start_new_session=True,
                )
        except PermissionError as error:
            raise LaunchRefusedError(f"{folder} cannot be written: {error.strerror}") from error
        except OSError as error:
            raise UnavailableError(f"the job cannot be started: {error.strerror}") from error

    def state(self, name: str, job_id: str) -> JobStatus:
        """The state of the job, from its result or from whether it is alive."""
        try:
            return self._state(self._folder / name, name)
        except OSError as error:
            raise UnavailableError(f"the job's files cannot be read: {error}") from error

    def _state(self, folder: Path, name: str) -> JobStatus:
        # Looked at before the result: a job that ends between the two has one.
        alive = is_alive(folder)
        code = _number(folder / "result.json", "code")
        if isinstance(code, int):
            return self._ended(folder, name, code)
        if alive:
            return JobStatus(job_id=name, state=JobState.RUNNING)
        if (folder / "pid").exists():
            return _without_result(folder, name)
        started = _number(folder / "job.json", "started")
        if started is None:
            raise UnknownJobError(f"there is no local job {name}")
        # Also where the clock was set back meanwhile.
        if 0 <= self._clock() - started < START_SECONDS or not _forbid(folder):
            return JobStatus(job_id=name, state=JobState.WAITING)
        return JobStatus(job_id=name, state=JobState.FAILED, error="its process did not start")

    def cancel(self, name: str, job_id: str) -> None:
        """Ask the job's processes to end; those that are still there later are killed."""
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        mark = folder / "cancelled"
        if not mark.exists():
            mark.touch()
        if is_alive(folder):
            # One that is only about to begin sees the mark. The job's wrapper kills it after a
            # while; if that is gone too, a later call of this has to.
            is_late = self._clock() - mark.stat().st_mtime > CANCEL_SECONDS
            self._signal(folder, signal.SIGKILL if is_late else signal.SIGTERM)

    def _signal(self, folder: Path, number: signal.Signals) -> None:
        leader = _leader(folder)
        try:
            if leader:
                signal_group(leader, number)
        except PermissionError as error:
            raise CancelRefusedError("this user may not end the job's process") from error

    def log_link(self, spec: JobSpec, job_id: str) -> str:
        """The launcher's own address of the log."""
        return "/api/executions/{launcher-run}/steps/{launcher-step}/log".format(**spec.labels)

    def log(self, name: str) -> str | None:
        """The end of the job's output; None if there is no log."""
        try:
            with (self._folder / name / "log").open("rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - LOG_BYTES))
                return file.read().decode(errors="replace")
        except OSError:
            return None

    def _ended(self, folder: Path, name: str, code: int) -> JobStatus:
        if code == 0:
            return JobStatus(job_id=name, state=JobState.SUCCEEDED)
        if (folder / "cancelled").exists():
            return JobStatus(job_id=name, state=JobState.CANCELLED, error="cancelled")
        lines = [line.strip() for line in (self.log(name) or "").splitlines() if line.strip()]
        last = lines[-1][:LONGEST_LINE] if lines else "no output"
        error = f"exit code {code}: {last}"
        return JobStatus(job_id=name, state=JobState.FAILED, error=error)

    def variables(self) -> dict[str, str]:
        """The environment of a job: this process's own without its secrets, and what was given."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith(SECRETS)}
        return {**kept, **self._environment}


def argv_of(spec: JobSpec) -> list[str]:
    """The command line of a job's process; `dfpipe` is the one of this installation."""
    argv = [*spec.command, *(f"--{name}={value}" for name, value in spec.parameters.items())]
    return [*DFPIPE, *argv[1:]] if argv[0] == "dfpipe" else argv


def is_alive(folder: Path) -> bool:
    """Whether a process of the job is alive: then the file is locked."""
    try:
        with (folder / "alive").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def end_all(folder: str | Path) -> list[str]:
    """End all jobs of a folder that are alive, and wait for that; returns their names."""
    living = [each for each in sorted(Path(folder).glob("*/")) if is_alive(each)]
    leaders = {leader: each for each in living if (leader := _leader(each))}
    end_groups(leaders, lambda leader: is_alive(leaders[leader]), END_SECONDS)
    return [each.name for each in living]


def remove_old(folder: str | Path, until: float, is_kept: Callable[[str], bool]) -> int:
    """Remove the folders of jobs without output since a time; returns how many.

    Jobs that are alive are kept, those that `is_kept` wants, and folders of anything else.
    """
    removed = 0
    for each in sorted(Path(folder).glob("*/")):
        if each.name.startswith(_REMOVED):
            shutil.rmtree(each, ignore_errors=True)  # left by a call that was killed
        elif _is_old(each, until) and not is_alive(each) and not is_kept(each.name):
            # Renamed first: half a folder would say wrong things about its job.
            gone = each.rename(each.with_name(_REMOVED + each.name))
            shutil.rmtree(gone, ignore_errors=True)
            removed += 1
    return removed


def _is_old(folder: Path, until: float) -> bool:
    is_of_a_job = any((folder / name).exists() for name in ("job.json", "cancelled"))
    return is_of_a_job and _last_written(folder) < until


def _last_written(folder: Path) -> float:
    try:
        times = [each.stat().st_mtime for each in folder.iterdir()]
        return max(times, default=folder.stat().st_mtime)
    except FileNotFoundError:
        return math.inf  # a file was just renamed: the job is at work


def _leader(folder: Path) -> int:
    """The process that leads the job's group; 0 while it is only about to begin."""
    try:
        return int((folder / "pid").read_text())
    except (OSError, ValueError):
        return 0


def _forbid(folder: Path) -> bool:
    """Keep a job from starting late, beside its next attempt; False if it has started just now."""
    try:
        (folder / "pid").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _without_result(folder: Path, name: str) -> JobStatus:
    """The state of a job that has begun and left no result, or a torn one after a power loss."""
    if (folder / "cancelled").exists():
        return JobStatus(job_id=name, state=JobState.CANCELLED, error="cancelled")
    error = "its process ended without a result, for example because it was killed"
    return JobStatus(job_id=name, state=JobState.FAILED, error=error)


def _number(file: Path, name: str) -> int | float | None:
    """A number in a JSON file; None if the file is missing or does not have it."""
    try:
        found = json.loads(file.read_bytes())[name]
    except (FileNotFoundError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return found if isinstance(found, int | float) else None
