"""Beam's runner for Prism, without its time limit for runs."""

import time
from typing import Any

import grpc  # type: ignore[import-untyped]
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions
from apache_beam.runners.portability import prism_runner
from apache_beam.runners.portability.job_server import ExternalJobServer

from dfpipe.engines.job_server import reach

ATTEMPT_SECONDS = 2.0


class PrismRunner(prism_runner.PrismRunner):  # type: ignore[misc]  # Beam has no types here
    """Runs as long as needed: Beam's own gives up after --job_server_timeout, 300 s."""

    def create_job_service(self, options: PipelineOptions) -> Any:
        """Connect to Prism; Beam's own waits the full timeout even if Prism has ended."""
        given = options.view_as(PortableOptions)
        end = time.monotonic() + given.job_server_timeout
        while True:
            reach(given.job_endpoint, "the HOST:PORT of a running Prism")
            try:
                service = ExternalJobServer(given.job_endpoint, ATTEMPT_SECONDS).start()
                return self.create_job_service_handle(service, options)
            except grpc.FutureTimeoutError:
                if time.monotonic() > end:
                    raise

    def create_job_service_handle(self, job_service: object, options: PipelineOptions) -> Any:
        """Return a handle without a time limit."""
        handle = super().create_job_service_handle(job_service, options)
        handle.timeout = None
        return handle
