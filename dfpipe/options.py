"""The options of a run, added to those of Beam."""

import argparse
from datetime import datetime

from apache_beam.options.pipeline_options import PipelineOptions

from dfpipe import settings as own
from dfpipe.settings import RunSettings


class AnalysisOptions(PipelineOptions):
    """The analysis: which posts to read, how to take their words, and how much to rank."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        own.add_arguments(parser)


def settings(options: PipelineOptions, now: datetime) -> RunSettings:
    """Check the options of a run; `now` is the default end of the window. Raises UsageError."""
    return own.settings(options.view_as(AnalysisOptions), now)
