"""Jobs of Flex Templates, launched by Dataflow's REST API: no Beam is needed here."""

from launcher.jobs import JobSpec, JobStatus
from launcher.jobs.dataflow_api import TIMEOUT, TemplateRunner


class FlexTemplateRunner(TemplateRunner):
    """`template` is the path of the template's specification, as gs://BUCKET/spec.json."""

    def launch(self, spec: JobSpec) -> JobStatus:
        """Launch the template."""
        api = self.api
        staging = api.settings.staging_location
        request = {
            **api.where,
            "launch_parameter": {
                "job_name": spec.name,
                "container_spec_gcs_path": spec.template,
                "parameters": dict(spec.parameters),
                "environment": api.environment(spec)
                | ({"staging_location": staging} if staging else {}),
            },
        }
        client = api.client("FlexTemplatesService")
        return api.launch(
            spec, lambda: client.launch_flex_template(request, timeout=TIMEOUT, retry=None)
        )
