"""Beam's runner for Prism, without an end that it sets to long runs."""

from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability import prism_runner


class PrismRunner(prism_runner.PrismRunner):  # type: ignore[misc]  # Beam has no types here
    """Runs as long as it takes: Beam's own gives a run up after --job_server_timeout, 300 s."""

    def create_job_service_handle(self, job_service: Any, options: PipelineOptions) -> Any:
        """Talk to Prism without a limit of time."""
        handle = super().create_job_service_handle(job_service, options)
        handle.timeout = None
        return handle
