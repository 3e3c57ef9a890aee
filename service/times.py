"""Times and durations as people write them, for options, addresses, variables and YAML files.

Every parser raises a ValueError whose message starts with what was given and ends with what is
allowed, so that callers only put the name before it:

    try:
        until = parse_time(text)
    except ValueError as error:
        raise UsageError(f"--until is {error}") from error

service.fields has the same parsers as pydantic types.
"""

import re
from datetime import UTC, datetime, timedelta

LONGEST = timedelta(days=36_525)  # a century
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_PART = re.compile(r"(\d{1,9}(?:\.\d{1,6})?|\.\d{1,6})([wdhms])", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def parse_time(text: str) -> datetime:
    """Read an RFC 3339 time, or a date, which means its first moment in UTC.

    Returns an aware time in UTC; digits beyond microseconds are dropped. Raises ValueError.

    >>> parse_time("2015-01-09T14:00:00+02:00").isoformat(), parse_time("2015-01-09").isoformat()
    ('2015-01-09T12:00:00+00:00', '2015-01-09T00:00:00+00:00')
    """
    try:
        if _DATE.fullmatch(text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
        if _TIME.fullmatch(text):
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # the 30th of February, or a zone that leaves the years 1 to 9999
    raise ValueError(
        f"{text[:40]!r}: expected a time like 2015-01-09T12:00:00Z, or a date like 2015-01-09"
    )


def rfc3339(moment: datetime, timespec: str = "auto") -> str:
    """Write an aware time in UTC; `timespec` is that of datetime.isoformat.

    >>> rfc3339(datetime(2015, 1, 9, 12, tzinfo=UTC))
    '2015-01-09T12:00:00Z'
    """
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=timespec)}Z"


def parse_duration(
    text: str, *, least: timedelta = timedelta(0), most: timedelta = LONGEST
) -> timedelta:
    """Read a number and a unit (s, m, h, d or w), or several, the larger units first.

    Raises ValueError, also for a duration outside `least` to `most`.

    >>> parse_duration("1h30m"), parse_duration("1.5d")
    (datetime.timedelta(seconds=5400), datetime.timedelta(days=1, seconds=43200))
    """
    parts = _PART.findall(text)
    units = [unit for _, unit in parts]
    in_order = units == sorted(set(units), key=list(_UNITS).index)
    if not parts or "".join(map("".join, parts)) != text or not in_order:
        raise ValueError(
            f"{text[:40]!r}: expected a number and s, m, h, d or w, such as 90s, 1h30m or 30d"
        )
    duration = sum((_length(number, unit) for number, unit in parts), timedelta(0))
    if not least <= duration <= most:
        allowed = f"{format_duration(least)} to {format_duration(most)}"
        raise ValueError(f"{text[:40]!r}: expected a duration from {allowed}")
    return duration


def _length(number: str, unit: str) -> timedelta:
    try:
        return timedelta(**{_UNITS[unit]: float(number)})
    except OverflowError:
        return timedelta.max


def format_duration(duration: timedelta) -> str:
    """Write a duration, to the second, as `parse_duration` reads it.

    >>> format_duration(timedelta(hours=1, minutes=30)), format_duration(timedelta(0))
    ('1h30m', '0s')
    """
    left, parts = int(duration.total_seconds()), []
    for unit, seconds in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        number, left = divmod(left, seconds)
        parts += [f"{number}{unit}"] * bool(number)
    return "".join(parts) or "0s"


def spell_duration(duration: timedelta) -> str:
    """Write a duration for people, in its two largest units; below zero it is zero.

    >>> spell_duration(timedelta(seconds=3725)), spell_duration(timedelta(days=3, hours=2))
    ('1 h 02 min', '3 d 02 h')
    """
    seconds = max(0, round(duration.total_seconds()))
    minutes, hours = seconds // 60, seconds // 3600
    if hours >= 48:
        return f"{hours // 24} d {hours % 24:02} h"
    if hours:
        return f"{hours} h {minutes % 60:02} min"
    return f"{minutes} min {seconds % 60:02} s" if minutes else f"{seconds} s"
