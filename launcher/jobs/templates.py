"""Jobs of Dataflow's templates, launched through its REST API: Beam is not needed here."""

from launcher.jobs import JobSpec, JobStatus
from launcher.jobs.dataflow_api import TIMEOUT, DataflowApi


class TemplateRunner:
    """What the runners of both kinds of templates share: all but the launch."""

    def __init__(self, api: DataflowApi) -> None:
        self.api = api

    def find(self, spec: JobSpec) -> JobStatus | None:
        """The job that was launched before."""
        return self.api.find(spec)

    def state(self, name: str, job_id: str) -> JobStatus:
        """Ask Dataflow for the state of the job."""
        return self.api.state(job_id)

    def cancel(self, name: str, job_id: str) -> None:
        """Ask Dataflow to cancel the job."""
        self.api.cancel(job_id)

    def log_link(self, spec: JobSpec, job_id: str) -> str:
        """The job's page in Google's console."""
        return self.api.log_link(job_id)


class FlexTemplateRunner(TemplateRunner):
    """`template` is the path of the template's specification, such as gs://BUCKET/spec.json."""

    def launch(self, spec: JobSpec) -> JobStatus:
        """Launch the template, or return the running job of this name and these labels."""
        environment = self.api.environment(spec)
        if self.api.settings.staging_location:
            environment["staging_location"] = self.api.settings.staging_location
        request = {
            **self.api.where,
            "launch_parameter": {
                "job_name": spec.name,
                "container_spec_gcs_path": spec.template,
                "parameters": dict(spec.parameters),
                "environment": environment,
            },
        }
        api = self.api
        return api.launch(
            spec,
            lambda: api.client("FlexTemplatesService").launch_flex_template(
                request, timeout=TIMEOUT, retry=None
            ),
        )


class ClassicTemplateRunner(TemplateRunner):
    """`template` is the path of the template, such as gs://BUCKET/templates/NAME."""

    def launch(self, spec: JobSpec) -> JobStatus:
        """Launch the template, or return the running job of this name and these labels."""
        request = {
            **self.api.where,
            "gcs_path": spec.template,
            "launch_parameters": {
                "job_name": spec.name,
                "parameters": dict(spec.parameters),
                "environment": self.api.environment(spec),
            },
        }
        api = self.api
        return api.launch(
            spec,
            lambda: api.client("TemplatesService").launch_template(
                request, timeout=TIMEOUT, retry=None
            ),
        )
