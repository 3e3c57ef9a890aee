"""A clock that calls what cron.yaml says, at the services that dispatch.yaml names."""

import logging
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from http.client import HTTPException
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from dfpipe.errors import UsageError
from system.schedules import Every, Schedule, parse

DEFAULT_SERVICE = "default"
SECONDS = 60.0  # that a call may take
FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0  # seconds, after a call that failed

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """A call that is made by the clock."""

    url: str
    service: str
    schedule: Schedule
    description: str


def read_jobs(cron: Path, dispatch: Path) -> list[Job]:
    """The jobs of cron.yaml, each with the service that dispatch.yaml or it itself names.

    Raises UsageError where one of them cannot be read or followed.
    """
    rules = [(_text(rule, "url"), _text(rule, "service")) for rule in _items(dispatch, "dispatch")]
    jobs = []
    for item in _items(cron, "cron"):
        url, schedule = _text(item, "url"), _text(item, "schedule")
        service = _text(item, "target", "") or service_of(url, rules)
        try:
            found = parse(schedule, ZoneInfo(_text(item, "timezone", "UTC")))
        except (KeyError, ValueError, OSError) as error:
            raise UsageError(f"{item.where}: {error} is missing or wrong") from error
        except UsageError as error:
            raise UsageError(f"{item.where}: {error}") from error
        jobs.append(Job(url, service, found, _text(item, "description", "")))
    return jobs


@dataclass(frozen=True, slots=True)
class _Item:
    """An entry of a file: which one, and its fields."""

    where: str
    fields: dict[str, Any]


def _text(item: _Item, name: str, default: str | None = None) -> str:
    value = item.fields.get(name, default)
    if not isinstance(value, str):
        raise UsageError(f"{item.where}: {name!r} is missing or no text: give one text")
    return value


def _items(file: Path, name: str) -> list[_Item]:
    try:
        # Nothing but texts: what looks like a date is none here.
        found = yaml.load(file.read_text(encoding="utf-8"), yaml.BaseLoader)  # noqa: S506
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{file} is no YAML: {' '.join(str(error).split())}") from error
    items = found.get(name) if isinstance(found, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise UsageError(f"{file} has no list {name!r}")
    return [_Item(f"{file}, entry {at}", item) for at, item in enumerate(items, 1)]


def service_of(url: str, rules: list[tuple[str, str]]) -> str:
    """The service that answers a path, by the rules of dispatch.yaml: the first that fits."""
    for pattern, service in rules:
        # What stands before the first slash is of the host, and there is only one here.
        if fnmatchcase(url, f"/{pattern.partition('/')[2]}"):
            return service
    return DEFAULT_SERVICE


class Clock:
    """Calls jobs at the addresses of their services until `stop`.

    What comes every so often is called at once for the first time; a call that fails is made again
    after a while, which grows. `token` proves the calls.
    """

    def __init__(
        self,
        jobs: list[Job],
        addresses: Mapping[str, str],
        token: str,
        say: Callable[[str], None],
    ) -> None:
        for job in jobs:
            if job.service not in addresses:
                known = ", ".join(sorted(addresses))
                raise UsageError(f"{job.url} is of the service {job.service!r}, not of {known}")
        self._jobs = jobs
        self._addresses = addresses
        self._token = token
        self._say = say
        self._stop = threading.Event()

    def run(self) -> None:
        """Follow the clock; returns after `stop`."""
        now = datetime.now(UTC)
        due = {
            job: now if isinstance(job.schedule, Every) else job.schedule.after(now)
            for job in self._jobs
        }
        waits = dict.fromkeys(self._jobs, FIRST_WAIT)
        while not self._stop.is_set():
            if not due:
                self._stop.wait()
                return
            job = min(due, key=lambda job: due[job])
            if self._stop.wait(max(0.0, (due[job] - datetime.now(UTC)).total_seconds())):
                return
            if self.call(job):
                due[job], waits[job] = job.schedule.after(datetime.now(UTC)), FIRST_WAIT
            else:
                due[job] = datetime.fromtimestamp(datetime.now(UTC).timestamp() + waits[job], UTC)
                waits[job] = min(LONGEST_WAIT, 2 * waits[job])

    def call(self, job: Job) -> bool:
        """Call a job now; whether it was answered well."""
        url = f"{self._addresses[job.service]}{job.url}"
        headers = {"Authorization": f"Bearer {self._token}", "User-Agent": "dfpipe-clock"}
        request = urllib.request.Request(url, headers=headers)  # noqa: S310  # our own address
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
                self._say(f"GET {job.url} {answer.status}")
        except urllib.error.HTTPError as error:
            self._say(f"GET {job.url} {error.code}: tried again")
            return False
        except (OSError, HTTPException):
            # The service is only starting, or starting again, which its own lines tell.
            _logger.info("%s does not answer", url)
            return False
        return True

    def stop(self) -> None:
        """Let `run` return."""
        self._stop.set()
