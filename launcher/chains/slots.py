"""Slots: the times at which a chain is started, counted from 1970, and how they are written."""

import re
from datetime import UTC, datetime, timedelta

from dfpipe.errors import UsageError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def slot_of(now: datetime, length: timedelta) -> datetime:
    """When the slot that a time is in began. It is the end of the window that is analysed then.

    >>> slot_of(datetime(1970, 1, 1, 7, 30, tzinfo=UTC), timedelta(hours=5)).isoformat()
    '1970-01-01T05:00:00+00:00'
    """
    return _EPOCH + (now - _EPOCH) // length * length


def parse_slot(text: str) -> datetime:
    """A slot that a person gives, to the second. Raises UsageError."""
    try:
        if not _RFC3339.fullmatch(text):
            raise ValueError(text)
        return datetime.fromisoformat(text.upper()).astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"slot is {text[:40]!r}: give a time like 2026-01-07T10:00:00Z") from error


def written(slot: datetime) -> str:
    """A slot as `--until` takes it.

    >>> written(datetime(2026, 1, 7, 10, tzinfo=UTC))
    '2026-01-07T10:00:00Z'
    """
    return f"{slot.replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def execution_id(chain: str, slot: datetime) -> str:
    """The id of the chain's execution for a slot.

    >>> execution_id("analysis", datetime(2026, 1, 7, 10, tzinfo=UTC))
    'analysis-20260107t100000'
    """
    return f"{chain}-{slot.year:04}{slot:%m%dt%H%M%S}"
