"""A clock that calls what cron.yaml says, at the services that dispatch.yaml names."""

import logging
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from dfpipe.errors import UsageError
from dfpipe.serving.schedules import Every, Schedule, parse

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
    rules = [(rule["url"], rule["service"]) for rule in _items(dispatch, "dispatch")]
    jobs = []
    for at, item in enumerate(_items(cron, "cron"), 1):
        try:
            zone = ZoneInfo(item.get("timezone", "UTC"))
            service = item.get("target") or service_of(item["url"], rules)
            schedule = parse(str(item["schedule"]), zone)
            jobs.append(Job(item["url"], service, schedule, item.get("description", "")))
        except (KeyError, ValueError) as error:
            raise UsageError(f"{cron}, entry {at}: {error} is missing or wrong") from error
        except UsageError as error:
            raise UsageError(f"{cron}, entry {at}: {error}") from error
    return jobs


def _items(file: Path, name: str) -> list[dict[str, Any]]:
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is no YAML: {' '.join(str(error).split())}") from error
    items = found.get(name) if isinstance(found, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise UsageError(f"{file} has no list {name!r}")
    return items


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
        while due and not self._stop.is_set():
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
        except OSError:
            # The service is only starting, or starting again, which its own lines tell.
            _logger.info("%s does not answer", url)
            return False
        return True

    def stop(self) -> None:
        """Let `run` return."""
        self._stop.set()
