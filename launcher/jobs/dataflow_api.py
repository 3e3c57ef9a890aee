"""Dataflow's REST API through Google's client: finding, watching and cancelling jobs."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from google.api_core import exceptions as google
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError

from launcher.jobs import (
    CancelRefusedError,
    JobSpec,
    JobState,
    JobStatus,
    LaunchRefusedError,
    UnavailableError,
    UnknownJobError,
)
from launcher.settings import DataflowSettings

TIMEOUT = 60.0  # seconds; a claim on a launch lasts longer
_STATES = {
    "DONE": JobState.SUCCEEDED,
    "FAILED": JobState.FAILED,
    "CANCELLED": JobState.CANCELLED,
    "DRAINED": JobState.DRAINED,
    "UPDATED": JobState.UPDATED,
    "UNKNOWN": JobState.UNKNOWN,
    "QUEUED": JobState.WAITING,
    "PENDING": JobState.WAITING,
    "STOPPED": JobState.WAITING,
}


class NameTakenError(LaunchRefusedError):
    """A job of that name is running already."""


class DataflowApi:
    """The jobs of one project and region; clients are made when they are first needed."""

    def __init__(self, settings: DataflowSettings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._clients: dict[str, object] = {}

    def client(self, name: str) -> Any:
        """A client of Google's package for one service of the API, as FlexTemplatesService."""
        from google.cloud import dataflow_v1beta3

        with self._lock:
            if name not in self._clients:
                kind = getattr(dataflow_v1beta3, f"{name}Client")
                self._clients[name] = kind(transport=self._transport(kind))
            return self._clients[name]

    def _transport(self, kind: Any) -> object:
        transport = kind.get_transport_class("rest")
        endpoint = self.settings.endpoint
        if not endpoint:
            return transport()
        if endpoint.startswith("http://"):
            host = endpoint.removeprefix("http://")
            return transport(host=host, url_scheme="http", credentials=AnonymousCredentials())
        return transport(host=endpoint)

    @property
    def where(self) -> dict[str, str]:
        """The fields that name project and region in every request."""
        return {"project_id": self.settings.project, "location": self.settings.region}

    def find(self, spec: JobSpec) -> JobStatus | None:
        """The job of this name and these labels, in whatever state, or None.

        Raises UnavailableError if that is not known now.
        """
        return self._newest(spec.name, lambda job: is_ours(job, spec))

    def by_name(self, name: str) -> JobStatus | None:
        """The job of this name that a launcher has launched, in whatever state, or None."""
        return self._newest(name, is_a_launchers)

    def _newest(self, name: str, is_it: Callable[[object], bool]) -> JobStatus | None:
        """The newest job of a name that is the one looked for."""
        for listed in sorted(self._listed(name), key=lambda job: job.id, reverse=True):
            try:
                # The list holds summaries only, and those have no labels.
                job = self._described(listed.id)
            except UnknownJobError as error:
                # For a while after a launch, jobs are listed that the service does not know yet.
                raise UnavailableError(f"Dataflow lists {listed.id}: {error}") from error
            if is_it(job):
                return status_of(job)
        return None

    def _listed(self, name: str) -> list[Any]:
        request = {**self.where, "name": name, "filter": "ALL"}
        with translated():
            found = self.client("JobsV1Beta3").list_jobs(request, timeout=TIMEOUT, retry=None)
            return [job for job in found if job.name == name]

    def _described(self, job_id: str) -> object:
        request = {**self.where, "job_id": job_id, "view": "JOB_VIEW_DESCRIPTION"}
        with translated():
            return self.client("JobsV1Beta3").get_job(request, timeout=TIMEOUT, retry=None)

    def state(self, job_id: str) -> JobStatus:
        """Ask Dataflow for the state of a job."""
        with translated():
            request = {**self.where, "job_id": job_id}
            job = self.client("JobsV1Beta3").get_job(request, timeout=TIMEOUT, retry=None)
        return status_of(job)

    def cancel(self, job_id: str) -> None:
        """Ask Dataflow to cancel a job, unless it has ended. Raises CancelRefusedError."""
        job = {"requested_state": "JOB_STATE_CANCELLED"}
        request = {**self.where, "job_id": job_id, "job": job}
        try:
            with translated():
                self.client("JobsV1Beta3").update_job(request, timeout=TIMEOUT, retry=None)
        except LaunchRefusedError as error:
            if not self.state(job_id).state.is_over:
                raise CancelRefusedError(str(error)) from error

    def log_link(self, job_id: str) -> str:
        """The job's page in Google's console."""
        settings = self.settings
        way = "/".join(quote(part, safe="") for part in (settings.region, job_id))
        return (
            f"https://console.cloud.google.com/dataflow/jobs/{way}"
            f"?project={quote(settings.project, safe='')}"
        )

    def launch(self, spec: JobSpec, call: Callable[[], Any]) -> JobStatus:
        """The job that a call of the API launches, or ours of that name that is running already."""
        try:
            with translated():
                return status_of(call().job)
        except UnknownJobError as error:
            raise LaunchRefusedError(str(error)) from error
        except NameTakenError:
            found = self.find(spec)
            if found is None:
                raise
            return found

    def environment(self, spec: JobSpec) -> dict[str, object]:
        """The settings for a template's workers, and the labels of the job."""
        settings = self.settings
        given = {
            "service_account_email": settings.service_account,
            "network": settings.network,
            "subnetwork": settings.subnetwork,
            "machine_type": settings.machine_type,
            "temp_location": settings.temp_location,
            "max_workers": settings.max_workers,
        }
        labels = {"additional_user_labels": dict(spec.labels)}
        return {name: value for name, value in given.items() if value} | labels


def is_ours(job: Any, spec: JobSpec) -> bool:
    """Whether a job has the labels of the spec."""
    labels: Mapping[str, str] = job.labels
    return all(labels.get(name) == value for name, value in spec.labels.items())


def is_a_launchers(job: Any) -> bool:
    """Whether a job's labels make up its name, as those of a launched job do."""
    names = ("launcher-run", "launcher-step", "launcher-attempt")
    return bool(job.name == "-".join(job.labels.get(name, "") for name in names))


def status_of(job: Any) -> JobStatus:
    """The state of a job as Dataflow reports it."""
    state = job.current_state.name.removeprefix("JOB_STATE_")
    known = _STATES.get(state, JobState.RUNNING)
    error = f"Dataflow reports {state}" if known.is_over and known is not JobState.SUCCEEDED else ""
    return JobStatus(job_id=job.id, state=known, error=error)


@contextmanager
def translated() -> Iterator[None]:
    """Turn the exceptions of the client into those of runners."""
    try:
        yield
    except google.NotFound as error:
        raise UnknownJobError(f"Dataflow does not know the job: {error.message}") from error
    except (google.TooManyRequests, google.ServerError, google.RetryError) as error:
        raise UnavailableError(f"Dataflow cannot answer now: {error.message}") from error
    except google.Conflict as error:
        raise NameTakenError(f"Dataflow refuses: {error.message}") from error
    except google.GoogleAPICallError as error:
        if error.code == 408:
            raise UnavailableError(f"Dataflow cannot answer now: {error.message}") from error
        raise LaunchRefusedError(f"Dataflow refuses: {error.message}") from error
    except (GoogleAuthError, OSError) as error:
        raise UnavailableError(f"Dataflow cannot be reached: {error}") from error
