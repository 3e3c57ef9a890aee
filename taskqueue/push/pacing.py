"""How fast a queue may send: a token bucket, and a brake for handlers that say 503.

Times are in microseconds since 1970, rates in tasks a second.
"""

import math

STRONGEST_BRAKE = 1 / 64
BRAKE_EVERY = 1_000_000  # microseconds: many answers of one moment brake once
BATCH_SECONDS = 0.01  # for which tokens are let gather: one commit for many tasks
RECOVERY = 1.25  # for each second without a 503


class Pace:
    """When the next tasks of a queue may be sent.

    The bucket holds `size` tokens at most and gains `rate` of them a second; a task takes one. A
    503 halves the rate, and each second without one raises it by a quarter until it is whole again.
    """

    def __init__(self, rate: float, size: float, now: int, tokens: float | None = None) -> None:
        self._rate, self._size = rate, size
        self._tokens = size if tokens is None else tokens
        self._filled = now
        self._brake = 1.0
        self._braked = now

    @property
    def rate(self) -> float:
        """Tasks a second, with the brake."""
        return self._rate * self._brake

    def limit(self, rate: float, size: float) -> None:
        """Change the rate and the size of the bucket."""
        self._rate, self._size = rate, size
        self._tokens = min(self._tokens, size)

    def available(self, now: int) -> int:
        """How many tasks may be sent now."""
        elapsed = max(0, now - self._filled) / 1_000_000
        self._filled = now
        self._recover(now)
        self._tokens = min(self._size, self._tokens + elapsed * self.rate)
        return math.floor(self._tokens + 1e-9)

    def take(self, number: int) -> None:
        """Take so many tokens; `available` says how many there are."""
        self._tokens -= number

    def seconds_to_next(self) -> float:
        """How long until there is a token, or several at high rates; infinite at rate 0."""
        missing = max(1.0, min(self._size / 2, self.rate * BATCH_SECONDS)) - self._tokens
        if missing <= 0:
            return 0.0
        return missing / self.rate if self.rate else math.inf

    def slow_down(self, now: int) -> float:
        """Brake after a 503; returns the seconds after which that task may be retried."""
        if self._brake == 1.0 or now - self._braked >= BRAKE_EVERY:
            self._brake = max(STRONGEST_BRAKE, self._brake / 2)
            self._braked = now
        return 1 / self._brake

    def _recover(self, now: int) -> None:
        seconds = (now - self._braked) // 1_000_000
        if self._brake < 1.0 and seconds > 0:
            self._brake = min(1.0, self._brake * RECOVERY ** min(seconds, 100))
            self._braked += seconds * 1_000_000


def share(total: int, rank: int, members: int) -> int:
    """The part of a whole number that falls to the member of that rank, counted from 0.

    >>> [share(10, rank, 3) for rank in range(3)]
    [4, 3, 3]
    """
    return total // members + (rank < total % members)
