"""The analysis on Dataflow, submitted by the Beam SDK in a process of its own.

Until Dataflow lists the job, its id here is its name.
"""

import sys

from launcher.jobs import JobSpec, JobState, JobStatus, UnknownJobError
from launcher.jobs.dataflow_api import DataflowApi
from launcher.jobs.local import LocalRunner
from launcher.settings import DataflowSettings
from service.times import rfc3339


class DataflowRunner:
    """Submits the analysis; a step's parameters are options of `dfpipe run` and of Beam."""

    def __init__(self, api: DataflowApi, local: LocalRunner) -> None:
        self._api = api
        self._local = local

    def find(self, spec: JobSpec) -> JobStatus | None:
        """The job that was submitted before, or that is being submitted."""
        found = self._api.find(spec)
        return found or (self._submission(spec.name) if self._local.has_begun(spec.name) else None)

    def launch(self, spec: JobSpec) -> JobStatus:
        """Start the process that submits the job."""
        argv = [sys.executable, "-m", "launcher.jobs.submit"]
        self._local.start(spec.name, [*argv, *options_of(spec, self._api.settings)])
        return JobStatus(job_id=spec.name, state=JobState.WAITING)

    def state(self, name: str, job_id: str) -> JobStatus:
        """The state of the job, or of its submission while Dataflow does not list the job."""
        if job_id != name:
            return self._api.state(job_id)
        found = self._api.by_name(name) or self._submission(name)
        if found is None:
            raise UnknownJobError(f"{name} was submitted, but Dataflow does not list it")
        return found

    def cancel(self, name: str, job_id: str) -> None:
        """Cancel the job, or its submission."""
        if job_id != name:
            self._api.cancel(job_id)
        else:
            self._local.cancel(name, job_id)

    def log_link(self, spec: JobSpec, job_id: str) -> str:
        """The log of the submission; it names the job's page."""
        return self._local.log_link(spec, job_id)

    def log(self, name: str) -> str | None:
        """The end of what the submission has written."""
        return self._local.log(name)

    def _submission(self, name: str) -> JobStatus | None:
        """The state of the process that submits; None before it has begun and after success."""
        try:
            found = self._local.state(name, name)
        except UnknownJobError:
            return None
        if found.state is JobState.SUCCEEDED:
            return None
        if found.state.is_over:
            return found
        return JobStatus(job_id=name, state=JobState.WAITING)


def options_of(spec: JobSpec, settings: DataflowSettings) -> list[str]:
    """The options with which a job is submitted; the step's own parameters override them."""
    options = {
        "runner": "DataflowRunner",
        "job_name": spec.name,
        "until": rfc3339(spec.slot),
        "project": settings.project,
        "region": settings.region,
        "dataflow_endpoint": settings.endpoint,
        "service_account_email": settings.service_account,
        "network": settings.network,
        "subnetwork": settings.subnetwork,
        "worker_machine_type": settings.machine_type,
        "max_num_workers": str(settings.max_workers or ""),
        "temp_location": settings.temp_location,
        "staging_location": settings.staging_location,
    }
    options |= spec.parameters
    argv = [f"--{name}={value}" for name, value in options.items() if value]
    argv += [f"--labels={name}={value}" for name, value in spec.labels.items()]
    return [*argv, "--no_auth"] if settings.endpoint.startswith("http://") else argv
