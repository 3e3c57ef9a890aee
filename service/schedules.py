"""When App Engine's cron would call: the schedules of cron.yaml that a clock here can follow.

every N minutes | mins | hours [synchronized]
every day | monday | tuesday | ... [, ...] HH:MM
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ALLOWED = "every N minutes|hours [synchronized], or every day|monday|... HH:MM"
_EVERY = re.compile(r"every ([0-9]{1,6}) (minutes?|mins?|hours?)( synchronized)?")
_DAILY = re.compile(r"every ([a-z]+(?:\s*,\s*[a-z]+)*) ([01]?[0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True, slots=True)
class Every:
    """After each interval; `is_synchronized` means at its multiples since midnight UTC."""

    interval: timedelta
    is_synchronized: bool = False

    def after(self, last: datetime) -> datetime:
        """The next time, if it was last done at `last`."""
        if not self.is_synchronized:
            return last + self.interval
        midnight = last.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight + ((last - midnight) // self.interval + 1) * self.interval


@dataclass(frozen=True, slots=True)
class Daily:
    """At one time on some days of the week, of which Monday is 0."""

    days: frozenset[int]
    hour: int
    minute: int
    zone: tzinfo = UTC

    def after(self, last: datetime) -> datetime:
        """The first time after `last`, in UTC."""
        local = last.astimezone(self.zone)
        # Of a time that comes twice, as summer time ends, the first counts. Two times of one zone
        # are compared without regard to that, so they are compared in UTC.
        at = local.replace(hour=self.hour, minute=self.minute, second=0, microsecond=0, fold=0)
        while at.astimezone(UTC) <= last or at.weekday() not in self.days:
            at += timedelta(days=1)
        return at.astimezone(UTC)


Schedule = Every | Daily


def parse(text: str, zone: tzinfo = UTC) -> Schedule:
    """Read a schedule of cron.yaml. Raises ValueError.

    >>> parse("every 5 hours")
    Every(interval=datetime.timedelta(seconds=18000), is_synchronized=False)
    """
    words = " ".join(text.lower().split())
    if (found := _EVERY.fullmatch(words)) and int(found[1]):
        unit = "hours" if found[2].startswith("hour") else "minutes"
        return Every(timedelta(**{unit: int(found[1])}), bool(found[3]))
    if found := _DAILY.fullmatch(words):
        names = re.split(r"\s*,\s*", found[1])
        if names == ["day"] or set(names) <= set(DAYS):
            days = range(7) if names == ["day"] else map(DAYS.index, names)
            return Daily(frozenset(days), int(found[2]), int(found[3]), zone)
    raise ValueError(f"{text!r}: expected {ALLOWED}")
