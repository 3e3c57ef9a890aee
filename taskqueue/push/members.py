"""Which dispatchers work on a store, so that they share the limits of its queues.

Each writes a heartbeat every second and reads those of the others. One that joins others waits
until all of them must have seen it; one that could not read for some seconds takes no new tasks,
before the others believe it dead. So their shares never add up to more than the whole.

Times are microseconds of this process's monotonic clock: another dispatcher is alive as long as its
heartbeat changes. Only what is read for the first time is judged by the times in it.
"""

import logging
from dataclasses import dataclass
from datetime import datetime

from google.cloud.datastore import Entity

from dfpipe.datastore import Store
from taskqueue.errors import TransientError
from taskqueue.service import translated
from taskqueue.storage.record import from_usec, name_of, to_usec

KIND = "TaskqueueDispatcher"
BEAT = 1_000_000  # microseconds between signs of life
VALID = 3 * BEAT  # for which what was read may be relied on
EXPIRES = 6 * BEAT  # after which a silent dispatcher counts as dead

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """The number of dispatchers, and the rank of this one in the order of joining."""

    rank: int
    members: int


class Members:
    """The dispatchers of a store. `instance` is this one's name; names sort in order of joining."""

    def __init__(self, client: Store, now: int, instance: str) -> None:
        self._client = client
        self._instance = instance
        self._starts = now
        self._read = now - VALID
        self._beat_at = now
        self._place = Place(0, 1)
        # Of each dispatcher, the sign that was read last and when it changed.
        self._heard: dict[str, tuple[datetime, int]] = {}

    def place(self, ticks: int, now: int) -> Place | None:
        """The place of this dispatcher; None while it must not take tasks.

        `ticks` is the monotonic clock, `now` is in microseconds since 1970.
        """
        if ticks >= self._beat_at:
            try:
                self._beat(ticks, now)
            except TransientError as error:
                _logger.warning("cannot read the other dispatchers: %s", error)
        is_sure = ticks - self._read < VALID and ticks >= self._starts
        return self._place if is_sure else None

    def next_beat(self) -> int:
        """When `place` is to be called again, at the latest."""
        return self._beat_at

    def _beat(self, ticks: int, now: int) -> None:
        self._beat_at = ticks + BEAT
        with translated():
            self._client.put(self._sign(now))
            found = self._client.query(kind=KIND).fetch()
            signs = {name_of(entity.key): entity["expires"] for entity in found}
            alive = sorted(name for name in signs if self._is_alive(name, signs[name], ticks, now))
            for name in signs.keys() - {*alive}:
                self._client.delete(self._client.key(KIND, name))
        if ticks - self._read >= VALID:
            # New, or blind for so long that the others may have shared its part out.
            self._starts = ticks if alive == [self._instance] else ticks + VALID
        self._place = Place(alive.index(self._instance), len(alive))
        self._read = ticks

    def _is_alive(self, name: str, sign: datetime, ticks: int, now: int) -> bool:
        if name == self._instance:
            return True
        last, changed = self._heard.get(name, (None, 0))
        if last is None and to_usec(sign) <= now:
            return False
        if last != sign:
            self._heard[name] = sign, ticks
            return True
        return ticks - changed < EXPIRES

    def _sign(self, now: int) -> Entity:
        entity = Entity(self._client.key(KIND, self._instance))
        entity["expires"] = from_usec(now + EXPIRES)
        return entity

    def leave(self) -> None:
        """Tell the others at once that this dispatcher has ended."""
        with translated():
            self._client.delete(self._client.key(KIND, self._instance))
