"""The clock of a process, which tests replace."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The time of this machine, aware and in UTC."""
    return datetime.now(UTC)
