"""Rate limits as a source announces them in its headers, and what keeps requests within them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Protocol

PREFIXES = ("x-rate-limit-", "x-ratelimit-", "ratelimit-")
# Clocks differ: a new window is begun a little after the old one's end.
MARGIN = timedelta(seconds=1)
CLOCKS_DIFFER = timedelta(minutes=1)
LONGEST_WINDOW = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Announcement:
    """How many requests a window allows, how many of them are left, and when the next begins."""

    limit: int
    remaining: int
    resets_at: datetime


def announcement(headers: Mapping[str, str], now: datetime) -> Announcement | None:
    """Read the rate-limit headers that X, Mastodon and Bluesky send; None where there are none.

    Where the server's clock is minutes off, its times are moved to ours; no window is longer than
    LONGEST_WINDOW.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    for prefix in PREFIXES:
        try:
            limit, remaining = (int(lower[prefix + name]) for name in ("limit", "remaining"))
            resets_at = _time(lower[prefix + "reset"]) + _difference(lower.get("date", ""), now)
            return Announcement(limit, remaining, min(resets_at, now + LONGEST_WINDOW))
        except (KeyError, ValueError, OverflowError):
            continue
    return None


def _difference(date: str, now: datetime) -> timedelta:
    """How far our clock is ahead of the server's, if by more than an answer may take."""
    try:
        difference = now - parsedate_to_datetime(date)
    except (ValueError, TypeError):
        return timedelta()
    return difference if abs(difference) > CLOCKS_DIFFER else timedelta()


def _time(value: str) -> datetime:
    """A time given in seconds since 1970, or as RFC 3339."""
    if value.isascii() and value.isdigit():
        return datetime.fromtimestamp(int(value), UTC)
    time = datetime.fromisoformat(value)
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


class Limits(Protocol):
    """What keeps requests within the rate limits that a source announces."""

    def take(self, bucket: str) -> None:
        """Take one request from what is left; raises RateLimitedError, or UnavailableError."""
        ...

    def learn(self, bucket: str, headers: Mapping[str, str]) -> None:
        """Learn from the headers of an answer."""
        ...

    def lost(self, bucket: str) -> None:
        """Note that a request that was taken got no answer."""
        ...

    def spent(self, bucket: str, until: datetime) -> None:
        """Let nothing be taken before that time."""
        ...

    def now(self) -> datetime:
        """The time by which limits are measured."""
        ...
