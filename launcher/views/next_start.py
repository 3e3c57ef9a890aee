"""When cron will start the chain next, by cron.yaml."""

import logging
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from service.cron_yaml import CronEntry, read_cron
from service.errors import UsageError
from service.schedules import Every

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NextStart:
    """The next start. `is_estimate`: it is counted from the last one, which cron may not be."""

    at: datetime
    schedule: str
    is_estimate: bool


def read_entry(file: str, url: str) -> CronEntry | None:
    """The entry of a cron.yaml that calls a URL; None if there is none, or no such file.

    A file that cannot be followed is left to the one who follows it: only a page shows this.
    """
    if not Path(file).is_file():
        return None
    try:
        return next((entry for entry in read_cron(Path(file)) if entry.url == url), None)
    except UsageError as error:
        _logger.warning("the next start is not shown: %s", error)
        return None


def next_start(entry: CronEntry, last: datetime | None, now: datetime) -> NextStart | None:
    """The next start by an entry, if the chain was last started at `last`.

    None if it is counted from the last start, and that is unknown or too long ago.
    """
    times = entry.times
    if not isinstance(times, Every) or times.is_synchronized:
        return NextStart(times.after(now), entry.schedule, False)
    at = times.after(last) if last else now
    return NextStart(at, entry.schedule, True) if at > now else None
