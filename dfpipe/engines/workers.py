"""Where the workers of a run are, and whether they can reach its store and its warehouse."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
    SparkRunnerOptions,
    StandardOptions,
)

from dfpipe import warehouse
from dfpipe.engines.dataflow import is_dataflow
from dfpipe.errors import UsageError
from dfpipe.settings import RunSettings
from dfpipe.slices import folders

HERE = {"localhost", "127.0.0.1", "::1"}
# Not addresses: a cluster inside the job server, or a runner in this process.
INSIDE = ("[local]", "[auto]", "local", "embed")


def check_reach(settings: RunSettings, options: PipelineOptions) -> None:
    """Raise UsageError for a store or warehouse in a file if the workers are on other machines."""
    if not are_elsewhere(options):
        return
    runner = options.view_as(StandardOptions).runner
    if settings.source.startswith("sqlite:"):
        raise UsageError(_message("store", settings.source, runner, "datastore://PROJECT"))
    if settings.cache is not None and folders.is_local(settings.cache):
        raise UsageError(_message("cache", settings.cache, runner, "gs://BUCKET/FOLDER, or none"))
    if warehouse.kind_of(settings.sink).is_local:
        remote = [kind.form for kind in warehouse.KINDS.values() if not kind.is_local]
        raise UsageError(_message("sink", settings.sink, runner, " or ".join(remote)))


def are_elsewhere(options: PipelineOptions) -> bool:
    """Whether the workers are on other machines.

    They are on this one if the service that hands out the work is, or if they are in this process.
    """
    portable = options.view_as(PortableOptions)
    if is_dataflow(options):
        return not _is_here(options.view_as(GoogleCloudOptions).dataflow_endpoint)
    if portable.environment_type == "LOOPBACK":
        return False
    return not all(map(_is_here, _addresses(options)))


def _addresses(options: PipelineOptions) -> Iterator[str]:
    """Yield the addresses of the job server and the cluster, as far as they are given."""
    runner = (options.view_as(StandardOptions).runner or "").lower()
    yield options.view_as(PortableOptions).job_endpoint or "embed"
    if "flink" in runner:
        yield options.view_as(FlinkRunnerOptions).flink_master
    if "spark" in runner:
        yield options.view_as(SparkRunnerOptions).spark_master_url


def _is_here(address: str) -> bool:
    address = address.strip()
    if address.startswith(INSIDE):
        return True
    return urlsplit(address if "://" in address else f"//{address}").hostname in HERE


def _message(option: str, url: str, runner: str, remote: str) -> str:
    return (
        f"--{option}={url} is a file on this machine, which the workers of {runner} cannot reach: "
        f"give --{option}={remote}"
    )
