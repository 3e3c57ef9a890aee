"""The rate limits that a source announces, kept by all processes that share a store."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from google.cloud.datastore import Entity

from collector.errors import RateLimitedError, UnavailableError
from collector.rate_limits import MARGIN, Announcement, announcement
from dfpipe.datastore import Store, run_in_transaction

KIND = "CollectorLimit"
UNINDEXED = ("limit", "remaining", "resets_at", "in_flight", "is_guess")
# A window's end is guessed when it begins, until an answer tells it.
GUESSED_WINDOW = timedelta(seconds=60)
SOON = timedelta(seconds=1)
# How long to wait for an answer to the first request before another one is sent.
LOST = timedelta(seconds=15)


class StoredLimits:
    """The limits of one store; `headroom` is how many requests of each window are left to others.

    Each request is taken from what is left before it is sent, in a transaction: so requests that
    run at the same time do not go over the limit together. While nothing is known of a limit, one
    request is sent to learn it, and the others have to wait for it. A source that announces
    no limit has none.
    """

    def __init__(self, client: Store, headroom: int, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._headroom = headroom
        self._clock = clock

    def now(self) -> datetime:
        """The time by the clock that was given."""
        return self._clock()

    def take(self, bucket: str) -> None:
        """Take one request from what is left; raises RateLimitedError where nothing is."""
        run_in_transaction(self._client, lambda: self._take(bucket))

    def _take(self, bucket: str) -> None:
        now = self._clock()
        stored = self._get(bucket)
        if stored is not None and stored["limit"] == 0:
            return  # none is announced
        if stored is None or (now >= stored["resets_at"] + MARGIN and stored["limit"] is None):
            self._put(bucket, None, 0, now + GUESSED_WINDOW, 1, True)
            return
        limit, remaining = stored["limit"], stored["remaining"]
        resets_at, in_flight, is_guess = (stored[name] for name in UNINDEXED[2:])
        if now >= resets_at + MARGIN:
            # Requests that are still on their way may fall into the new window.
            remaining, in_flight, is_guess = max(1, limit - in_flight), 0, True
            resets_at = now + GUESSED_WINDOW
        if limit is None and in_flight == 0:
            raise UnavailableError(f"{bucket} has not answered for {LOST.seconds} s")
        if limit is None:
            raise RateLimitedError(now + SOON, bucket)
        if remaining <= min(self._headroom, limit - 1):
            raise RateLimitedError(resets_at + MARGIN, bucket)
        self._put(bucket, limit, remaining - 1, resets_at, in_flight + 1, is_guess)

    def learn(self, bucket: str, headers: Mapping[str, str]) -> None:
        """Learn from the headers of an answer to a request that was taken."""
        announced = announcement(headers, self._clock())
        run_in_transaction(self._client, lambda: self._learn(bucket, announced))

    def spent(self, bucket: str, until: datetime) -> None:
        """Let no request be taken before that time, whatever the headers announce."""
        run_in_transaction(self._client, lambda: self._put(bucket, 1, 0, until, 0, False))

    def lost(self, bucket: str) -> None:
        """Note that no answer came to a request that was taken.

        While nothing is known of the limit the next one is sent after a while, whoever wants it.
        """
        run_in_transaction(self._client, lambda: self._lost(bucket))

    def _lost(self, bucket: str) -> None:
        stored = self._get(bucket)
        if stored is not None and stored["limit"] is None:
            self._put(bucket, None, 0, self._clock() + LOST - MARGIN, 0, True)

    def _learn(self, bucket: str, announced: Announcement | None) -> None:
        stored = self._get(bucket)
        if stored is None or (announced is None and stored["limit"] is not None):
            return
        if announced is None:
            self._put(bucket, 0, 0, stored["resets_at"], 0, False)
            return
        in_flight = max(0, stored["in_flight"] - 1)
        remaining = announced.remaining
        is_later = announced.resets_at > stored["resets_at"] + MARGIN
        if stored["limit"] and (stored["is_guess"] or not is_later):
            remaining = min(remaining, stored["remaining"])
        elif stored["limit"]:
            # The next window, into which requests that are on their way will fall.
            remaining = max(0, remaining - in_flight)
        if not stored["is_guess"] and announced.resets_at < stored["resets_at"] - MARGIN:
            return  # an answer from the window before
        self._put(bucket, max(1, announced.limit), remaining, announced.resets_at, in_flight, False)

    def _get(self, bucket: str) -> Any:
        return self._client.get(self._client.key(KIND, bucket))

    def _put(self, bucket: str, *values: object) -> None:
        entity = Entity(self._client.key(KIND, bucket), exclude_from_indexes=UNINDEXED)
        entity.update(zip(UNINDEXED, values, strict=True))
        self._client.put(entity)
