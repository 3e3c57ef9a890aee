"""Ids that hold the time at which they were given."""

from datetime import datetime, timedelta

_MILLISECOND = timedelta(milliseconds=1)


def id_of_time(time: datetime, epoch: datetime, bits: int) -> int:
    """The smallest id of a time, with milliseconds since the epoch above so many lower bits."""
    return max(0, (time - epoch) // _MILLISECOND) << bits


def ids_within(span: timedelta, bits: int) -> int:
    """How far apart two ids are that were given so long after each other."""
    return (span // _MILLISECOND) << bits
