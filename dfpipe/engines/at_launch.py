"""The settings that a classic template leaves open until its jobs are launched.

A classic template is a job that was built once. Only its workers know the parameters of a launch,
so whatever depends on them is passed on as a ValueProvider of Beam.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.options.value_provider import (
    NestedValueProvider,
    RuntimeValueProvider,
    ValueProvider,
)

from dfpipe import options as analysis
from dfpipe.errors import UsageError
from dfpipe.options import AnalysisOptions
from dfpipe.settings import RECENT, RunSettings

OPEN = ("source", "sink", "until", "days")


class AtLaunch(ValueProvider):
    """The settings of a job: those of its template, overridden by the parameters of its launch."""

    def __init__(self, settings: RunSettings, has_end: bool) -> None:
        """`has_end` says whether the end of the window was given when the template was built."""
        self.settings = settings
        self.has_end = has_end

    def is_accessible(self) -> bool:
        """Whether this is a worker, which knows the parameters of a launch."""
        return RuntimeValueProvider.runtime_options is not None

    def get(self) -> RunSettings:
        """Return the settings, on a worker. Raises UsageError."""
        parameters = RuntimeValueProvider.runtime_options or {}
        given = {name: str(parameters[name]) for name in OPEN if parameters.get(name)}
        if not self.has_end and "until" not in given:
            raise UsageError(
                "the parameter until is required to launch this template: give the end of the "
                "window, such as 2015-01-11T00:00:00Z"
            )
        return _settled(self.settings, given)


def _settled(settings: RunSettings, given: Mapping[str, str]) -> RunSettings:
    options = PipelineOptions([]).view_as(AnalysisOptions)
    for name, text in {"source": settings.source, "sink": settings.sink, **given}.items():
        setattr(options, name, text)
    if "days" in given and settings.recent != RECENT:
        options.recent = str(settings.recent / timedelta(hours=1))
    launched = analysis.settings(options, settings.end)
    length = settings.end - settings.start
    start = launched.start if "days" in given else launched.end - length
    return replace(
        settings, source=launched.source, sink=launched.sink, start=start, end=launched.end
    )


def leave_open(settings: RunSettings, options: PipelineOptions) -> AtLaunch:
    """Return the settings that a template's jobs will have; mark the open ones in the options."""
    given = options.view_as(AnalysisOptions)
    has_end = given.until is not None
    for name in OPEN:
        setattr(given, name, RuntimeValueProvider(name, str, None))
    return AtLaunch(settings, has_end)


def part(
    settings: RunSettings, given: AtLaunch | None, take: Callable[[RunSettings], object]
) -> Any:
    """Return a part of the settings, or a ValueProvider of it in a template."""
    return take(settings) if given is None else NestedValueProvider(given, take)


def value_of(value: object) -> Any:
    """Return the value of a ValueProvider, on a worker; return any other value as it is."""
    return value.get() if isinstance(value, ValueProvider) else value


def now(_: object) -> float:
    """Return the time, in seconds of the Unix epoch.

    Workers do not learn when they were launched, so a template's first step takes the time once.
    """
    return time.time()
