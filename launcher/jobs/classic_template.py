"""Jobs of classic templates, launched by Dataflow's REST API: no Beam is needed here."""

from launcher.jobs import JobSpec, JobStatus
from launcher.jobs.dataflow_api import TIMEOUT, TemplateRunner


class ClassicTemplateRunner(TemplateRunner):
    """`template` is the path of the template, as gs://BUCKET/templates/NAME."""

    def launch(self, spec: JobSpec) -> JobStatus:
        """Launch the template."""
        request = {
            **self.api.where,
            "gcs_path": spec.template,
            "launch_parameters": {
                "job_name": spec.name,
                "parameters": dict(spec.parameters),
                "environment": self.api.environment(spec),
            },
        }
        client = self.api.client("TemplatesService")
        return self.api.launch(
            spec, lambda: client.launch_template(request, timeout=TIMEOUT, retry=None)
        )
