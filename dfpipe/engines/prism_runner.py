"""Beam's runner for Prism, without an end that it sets to long runs."""

import time
from typing import Any

import grpc  # type: ignore[import-untyped]
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions
from apache_beam.runners.portability import prism_runner
from apache_beam.runners.portability.job_server import ExternalJobServer

from dfpipe.engines.job_server import reach

ATTEMPT_SECONDS = 2.0


class PrismRunner(prism_runner.PrismRunner):  # type: ignore[misc]  # Beam has no types here
    """Runs as long as it takes: Beam's own gives a run up after --job_server_timeout, 300 s."""

    def create_job_service(self, options: PipelineOptions) -> Any:
        """Reach Prism; Beam's own would wait as long for one that has ended."""
        given = options.view_as(PortableOptions)
        end = time.monotonic() + given.job_server_timeout
        while True:
            reach(given.job_endpoint, "a running Prism's HOST:PORT")
            try:
                service = ExternalJobServer(given.job_endpoint, ATTEMPT_SECONDS).start()
                return self.create_job_service_handle(service, options)
            except grpc.FutureTimeoutError:
                if time.monotonic() > end:
                    raise

    def create_job_service_handle(self, job_service: Any, options: PipelineOptions) -> Any:
        """Talk to Prism without a limit of time."""
        handle = super().create_job_service_handle(job_service, options)
        handle.timeout = None
        return handle
