"""Removes expired tombstones and counts, in processes that work on the queues anyway."""

import logging

from google.api_core.exceptions import GoogleAPICallError, RetryError

from dfpipe.datastore import StoreError
from taskqueue.storage.store import MOST_WRITES, TaskStore

EVERY = 3_600_000_000  # microseconds

_logger = logging.getLogger(__name__)


class Sweeper:
    """Sweeps a store at the first step, and an hour after one that left nothing over.

    Dispatchers take a step whenever they are at work, all other processes when they delete tasks:
    so a store of pull queues alone is swept, too, by those who leave the tombstones.
    """

    def __init__(self, store: TaskStore) -> None:
        self._store = store
        self._at = 0

    def step(self, now: int) -> None:
        """Sweep if it is time; an error of the store is logged, with the next try in an hour."""
        # What is further away than EVERY was set before the clock stepped back.
        if 0 < self._at - now <= EVERY or self._store.client.current_batch is not None:
            return
        self._at = now + EVERY
        try:
            if self._store.sweep(now) >= MOST_WRITES:
                self._at = now
        except (GoogleAPICallError, RetryError, StoreError) as error:
            _logger.warning("cannot remove expired tombstones: %s", error)
