"""Where posts come from: one module a source, found by its name.

A module has FORMS, what the name of an account may look like; `canonical`, the name as it is
stored, or None for one in no such form; `read`, which turns what it set aside into results again;
and `open_source`, which gives its PostSource.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from types import ModuleType
from typing import Protocol

from collector.errors import (
    AccountRefusedError,
    BadRequestError,
    QuotaSpentError,
    RateLimitedError,
    SourceError,
    UnavailableError,
)
from collector.rate_limits import Limits
from collector.settings import CollectorSettings
from dfpipe.errors import UsageError
from dfpipe.posts.formats.result import Result

__all__ = [
    "AccountRefusedError",
    "BadRequestError",
    "Found",
    "Limits",
    "Page",
    "PostSource",
    "QuotaSpentError",
    "RateLimitedError",
    "SourceError",
    "UnavailableError",
    "canonical_name",
    "forms",
    "names",
    "open_source",
    "read",
]


@dataclass(frozen=True, slots=True)
class Found:
    """One result, the JSON that it was read from, and what the source calls it, if that is known.

    `name` tells that something that is set aside has been so before.
    """

    result: Result
    raw: object
    name: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Some results. `watermark` is set once nothing is left, and `progress`, JSON, until then."""

    results: list[Found]
    progress: str | None = None
    watermark: str | None = None


class PostSource(Protocol):
    """One network, for any number of threads."""

    def start(self, time: datetime) -> str:
        """The watermark of which everything since that time is above."""
        ...

    def pages(self, name: str, watermark: str, progress: str | None) -> Iterator[Page]:
        """Yield pages until everything above the watermark is there.

        `progress` is that of the last page which is stored, where a fetch did not come to its end.
        Raises SourceError.
        """
        ...


def names() -> list[str]:
    """The names of all sources, such as "mastodon"."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def forms() -> str:
    """The forms of an account of any source."""
    return ", ".join(f"{name}:{form}" for name in names() for form in _module(name).FORMS)


def canonical_name(source: str, name: str) -> str:
    """An account's name as it is stored; raises UsageError for one that no source knows."""
    known: str | None = _module(source).canonical(name) if source in names() else None
    if known is None:
        raise UsageError(f"{source}:{name} is not an account: expected one of {forms()}")
    return known


def read(source: str, raw: object) -> Iterator[Result]:
    """Read again what a source had set aside; of no source, as of an archive."""
    results: Iterator[Result] = _module(source if source in names() else "archive").read(raw)
    return results


def open_source(source: str, settings: CollectorSettings, limits: Limits) -> PostSource:
    """A source by its name; its client library is imported now.

    Raises SourceError where it cannot be used.
    """
    try:
        opened: PostSource = _module(source).open_source(settings, limits)
    except ImportError as error:
        raise UnavailableError(
            f"{source} needs the package {error.name}: run `pip install 'dfpipe[collector]'`"
        ) from error
    return opened


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"collector.sources.{name}")
