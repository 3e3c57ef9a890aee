"""A clock that calls what cron.yaml says, at the services that dispatch.yaml names."""

import logging
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from http.client import HTTPException
from pathlib import Path

from service import clock
from service.cron_yaml import read_cron
from service.errors import UsageError
from service.fields import Section
from service.schedules import Every, Schedule
from service.waiting import Backoff
from service.yaml_file import read_yaml

DEFAULT_SERVICE = "default"
SECONDS = 60.0  # that a call may take
FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0  # seconds, after a call that failed
LOOK = 30.0  # seconds between two looks at the time: it may be set, and a laptop may sleep

_logger = logging.getLogger(__name__)


class Rule(Section):
    """An entry of dispatch.yaml: a URL pattern and the service for it."""

    url: str
    service: str


class DispatchFile(Section):
    """dispatch.yaml."""

    dispatch: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """A call that is made by the clock."""

    url: str
    service: str
    schedule: Schedule
    description: str


def read_jobs(cron: Path, dispatch: Path) -> list[Job]:
    """The jobs of cron.yaml, each with the service that dispatch.yaml or it itself names.

    Raises UsageError, with the file, the line and the field, for what cannot be followed.
    """
    rules = [(rule.url, rule.service) for rule in read_yaml(dispatch, DispatchFile).dispatch]
    return [
        Job(
            entry.url,
            entry.target or service_of(entry.url, rules),
            entry.times,
            entry.description,
        )
        for entry in read_cron(cron)
    ]


def service_of(url: str, rules: list[tuple[str, str]]) -> str:
    """The service that answers a path: that of the first rule of dispatch.yaml that fits."""
    for pattern, service in rules:
        # The part before the first slash is a host, and there is only one here.
        if fnmatchcase(url, f"/{pattern.partition('/')[2]}"):
            return service
    return DEFAULT_SERVICE


class Clock:
    """Calls jobs at the addresses of their services until `stop`.

    Jobs with an interval are called at once for the first time; a call that fails is retried
    after a wait that grows. `token` proves the calls.
    """

    def __init__(
        self,
        jobs: list[Job],
        addresses: Mapping[str, str],
        token: str,
        say: Callable[[str], None],
        now: clock.Clock = clock.utc_now,
        stop: threading.Event | None = None,
    ) -> None:
        for job in jobs:
            if job.service not in addresses:
                known = ", ".join(sorted(addresses))
                raise UsageError(
                    f"{job.url} is for the service {job.service!r}: expected one of {known}"
                )
        self._jobs = jobs
        self._addresses = addresses
        self._token = token
        self._say = say
        self._now = now
        self._stop = stop or threading.Event()

    def run(self) -> None:
        """Follow the clock; returns after `stop`."""
        now = self._now()
        due = {
            job: now if isinstance(job.schedule, Every) else job.schedule.after(now)
            for job in self._jobs
        }
        waits = {job: Backoff(first=FIRST_WAIT, longest=LONGEST_WAIT) for job in self._jobs}
        while not self._stop.is_set():
            if not due:
                self._stop.wait()
                return
            job = min(due, key=lambda job: due[job])
            seconds = (due[job] - self._now()).total_seconds()
            if seconds > 0:
                self._stop.wait(min(seconds, LOOK))
                now = self._now()
                # Earlier than before only if the clock was set back.
                due = {each: min(at, each.schedule.after(now)) for each, at in due.items()}
            elif self.call(job):
                waits[job].reset()
                due[job] = job.schedule.after(self._now())
            else:
                due[job] = self._now() + timedelta(seconds=waits[job].next())

    def call(self, job: Job) -> bool:
        """Call a job now; returns whether the answer is a success."""
        url = f"{self._addresses[job.service]}{job.url}"
        headers = {"Authorization": f"Bearer {self._token}", "User-Agent": "dfpipe-clock"}
        request = urllib.request.Request(url, headers=headers)  # noqa: S310  # our own address
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
                self._say(f"GET {job.url} {answer.status}")
        except urllib.error.HTTPError as error:
            self._say(f"GET {job.url} {error.code}: will retry")
            return False
        except (OSError, HTTPException):
            # The service is starting or restarting, as its own lines show.
            _logger.info("%s does not answer", url)
            return False
        return True

    def stop(self) -> None:
        """Make `run` return soon, from any thread."""
        self._stop.set()
