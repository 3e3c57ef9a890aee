"""Ways to run a job, one file each, behind one protocol."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


class JobState(enum.Enum):
    """The state of a job; only after `succeeded` the next step starts."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DRAINED = "drained"
    UPDATED = "updated"
    UNKNOWN = "unknown"

    @property
    def is_over(self) -> bool:
        """Whether the job has ended, whatever its result."""
        return self in _OVER


_OVER = {
    JobState.SUCCEEDED,
    JobState.FAILED,
    JobState.CANCELLED,
    JobState.DRAINED,
    JobState.UPDATED,
}


class JobError(Exception):
    """Any error of a runner of jobs."""

    exit_status = 1


class LaunchRefusedError(JobError):
    """The job cannot be launched as it is; trying again would not help."""


class CancelRefusedError(JobError):
    """The service refuses to cancel the job, which keeps running; the message says why."""


class UnavailableError(JobError):
    """The runner cannot answer now; whether the job was launched is not known."""


class UnknownJobError(JobError):
    """The runner does not know the job, or not yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """A job to launch, with all placeholders filled. `slot` is the end of the window."""

    name: str
    kind: str
    slot: datetime
    template: str = ""
    command: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """What a runner says of a job: the runner's own id, which may come later than the name."""

    job_id: str
    state: JobState
    error: str = ""
    outputs: Mapping[str, object] = field(default_factory=dict)


class Runner(Protocol):
    """A way to run jobs.

    All methods may raise UnavailableError. None of them waits for a job.
    """

    def find(self, spec: JobSpec) -> JobStatus | None:
        """The job, ended or not, that was launched before with this name and these labels."""

    def launch(self, spec: JobSpec) -> JobStatus:
        """Launch a job, or return the running one of its name. Raises LaunchRefusedError."""

    def state(self, name: str, job_id: str) -> JobStatus:
        """The state of a job. Raises UnknownJobError."""

    def cancel(self, name: str, job_id: str) -> None:
        """Ask a job to end; does nothing if it has ended. Raises CancelRefusedError."""

    def log_link(self, spec: JobSpec, job_id: str) -> str:
        """The address of the job's log for people; empty if there is none."""
