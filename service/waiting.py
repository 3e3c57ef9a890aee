"""One growing wait for everything that tries again: exponential, with jitter, bounded.

A loop that can be stopped waits on its event:

    backoff = Backoff(first=1, longest=30)
    while not stopping.wait(backoff.next()):
        if try_it():
            backoff.reset()

A call that is repeated until a deadline hands the waits to google.api_core:

    retry.retry_target(call, retry.if_exception_type(BusyError), backoff.waits(), timeout=60)
"""

import random
from collections.abc import Callable, Iterator


class Backoff:
    """Seconds to wait before each next try: `first`, then `factor` times more, up to `longest`.

    Up to the share `jitter` (0 to 1) of each wait is taken off at random, so that processes that
    failed together do not try again together. `uniform` draws from a range, as random.uniform does.
    Not safe for threads: give each its own.
    """

    def __init__(
        self,
        *,
        first: float,
        longest: float,
        factor: float = 2.0,
        jitter: float = 0.25,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        if not 0 < first <= longest or factor < 1 or not 0 <= jitter <= 1:
            raise ValueError(f"expected 0 < first <= longest, got {first} and {longest}")
        self._first, self._longest = first, longest
        self._factor, self._jitter = factor, jitter
        self._uniform = uniform
        self._wait = first

    def next(self) -> float:
        """Return the wait before the next try, and let the one after that be longer."""
        wait, self._wait = self._wait, min(self._longest, self._wait * self._factor)
        return wait - self._uniform(0.0, self._jitter * wait)

    def reset(self) -> None:
        """Start again with the shortest wait, after a success."""
        self._wait = self._first

    def waits(self) -> Iterator[float]:
        """All waits from now on, without an end."""
        while True:
            yield self.next()
