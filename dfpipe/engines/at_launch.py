"""What a classic template leaves open: its jobs are told it when they are launched.

Such a template is a job as it was built once. Its workers know the parameters of their launch, and
nothing does before: so what depends on them is passed on as Beam's ValueProvider.
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
from dfpipe.settings import RECENT, Settings

OPEN = ("source", "sink", "until", "days")


class AtLaunch(ValueProvider):
    """The settings of a job: those of its template, with what its launch says otherwise."""

    def __init__(self, settings: Settings, has_end: bool) -> None:
        """`has_end` says whether the settings' window is one that was asked for."""
        self.settings = settings
        self.has_end = has_end

    def is_accessible(self) -> bool:
        """Whether this is a worker."""
        return RuntimeValueProvider.runtime_options is not None

    def get(self) -> Settings:
        """Give the settings, on a worker. Raises UsageError."""
        told = RuntimeValueProvider.runtime_options or {}
        given = {name: str(told[name]) for name in OPEN if told.get(name)}
        if not self.has_end and "until" not in given:
            raise UsageError(
                "the template was launched without the parameter until: give the end of the "
                "window, as 2015-01-11T00:00:00Z"
            )
        return _settled(self.settings, given)


def _settled(settings: Settings, given: Mapping[str, str]) -> Settings:
    options = PipelineOptions([]).view_as(AnalysisOptions)
    for name, text in {"source": settings.source, "sink": settings.sink, **given}.items():
        setattr(options, name, text)
    if "days" in given and settings.recent != RECENT:
        options.recent = str(settings.recent / timedelta(hours=1))
    told = analysis.settings(options, settings.end)
    start = told.start if "days" in given else told.end - (settings.end - settings.start)
    return replace(settings, source=told.source, sink=told.sink, start=start, end=told.end)


def leave_open(settings: Settings, options: PipelineOptions) -> AtLaunch:
    """Give what a template's jobs will have as settings; the options tell which are open."""
    given = options.view_as(AnalysisOptions)
    has_end = given.until is not None
    for name in OPEN:
        setattr(given, name, RuntimeValueProvider(name, str, None))
    return AtLaunch(settings, has_end)


def part(settings: Settings, given: AtLaunch | None, take: Callable[[Settings], Any]) -> Any:
    """Give what is taken from the settings; or a ValueProvider of it."""
    return take(settings) if given is None else NestedValueProvider(given, take)


def value_of(value: Any) -> Any:
    """Give the value of a ValueProvider, on a worker, or what is a value already."""
    return value.get() if isinstance(value, ValueProvider) else value


def now(_: Any) -> float:
    """Give the time, in seconds of the Unix epoch.

    A launch tells its workers no time: a template's first step takes it, once for all the others.
    """
    return time.time()
