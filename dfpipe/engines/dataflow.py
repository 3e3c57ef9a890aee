"""What is known of Dataflow's runner before a job is submitted to it."""

import importlib.util
import re

from apache_beam.options.pipeline_options import (
    GoogleCloudOptions,
    PipelineOptions,
    StandardOptions,
    TestOptions,
)

from dfpipe.errors import UsageError

JOB_NAME = re.compile("[a-z]([-a-z0-9]{0,1022}[a-z0-9])?")


def is_dataflow(options: PipelineOptions) -> bool:
    """Whether the options name Dataflow's runner, in any of Beam's spellings."""
    return "dataflow" in (options.view_as(StandardOptions).runner or "").lower()


def is_only_described(options: PipelineOptions) -> bool:
    """Whether Dataflow's runner only describes a job, as for a template, and starts none."""
    is_dry = options.view_as(TestOptions).dry_run
    is_template = options.view_as(GoogleCloudOptions).template_location
    return is_dataflow(options) and bool(is_dry or is_template)


def check_installed(options: PipelineOptions) -> None:
    """Raise UsageError if the runner is Dataflow's and Beam's libraries for it are missing."""
    if is_dataflow(options) and importlib.util.find_spec("google.cloud.storage") is None:
        raise UsageError(
            "Dataflow's runner needs libraries that are not installed: run "
            "`pip install 'dfpipe[beam]'`"
        )


def check_job_name(options: PipelineOptions) -> None:
    """Raise UsageError for a job name that Dataflow refuses; Beam checks it only at times."""
    name = options.view_as(GoogleCloudOptions).job_name
    if is_dataflow(options) and name and not JOB_NAME.fullmatch(name):
        raise UsageError(
            f"--job_name={name} is not a job name for Dataflow: use lowercase letters, digits and "
            "hyphens, begin with a letter and do not end with a hyphen"
        )
