"""Slots: the times at which a chain is started, counted from 1970."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def slot_of(now: datetime, length: timedelta) -> datetime:
    """The slot of a time, by its beginning, which is the end of the window that is analysed.

    >>> slot_of(datetime(1970, 1, 1, 7, 30, tzinfo=UTC), timedelta(hours=5)).isoformat()
    '1970-01-01T05:00:00+00:00'
    """
    return _EPOCH + (now - _EPOCH) // length * length


def execution_id(chain: str, slot: datetime) -> str:
    """The id of the chain's execution for a slot.

    >>> execution_id("analysis", datetime(2026, 1, 7, 10, tzinfo=UTC))
    'analysis-20260107t100000'
    """
    return f"{chain}-{slot.year:04}{slot:%m%dt%H%M%S}"
