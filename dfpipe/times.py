"""Times as people write them, in options and in parameters of queries, and as numbers."""

import re
from datetime import UTC, datetime, timedelta

EXPECTED = "a time such as 2015-01-11T00:00:00Z, or a date such as 2015-01-11"

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:[0-5]\d)", re.ASCII
)


def parse_time(text: str) -> datetime:
    """Return a time in UTC, given RFC 3339 or a date, which means its first moment in UTC.

    Raises ValueError.

    >>> parse_time("2015-01-09T14:00:00+02:00").isoformat(), parse_time("2015-01-09").isoformat()
    ('2015-01-09T12:00:00+00:00', '2015-01-09T00:00:00+00:00')
    """
    if _DATE.fullmatch(text):
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    if not _RFC3339.fullmatch(text):
        raise ValueError(f"expected {EXPECTED}")
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except OverflowError as error:  # in UTC it leaves the years 1 to 9999
        raise ValueError(str(error)) from error


def microseconds(time: datetime) -> int:
    """Return an aware time in microseconds of the Unix epoch."""
    return (time - EPOCH) // MICROSECOND


def time_of(microseconds: int) -> datetime:
    """Return a time in UTC, given in microseconds of the Unix epoch."""
    return EPOCH + microseconds * MICROSECOND
