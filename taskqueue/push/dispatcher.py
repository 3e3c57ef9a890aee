"""Sends due push tasks to their handlers, within the limits of their queues.

One thread works with the store: it claims tasks, extends leases and settles outcomes, many in one
commit. Other threads send, a task at a time. Waiting goes by the monotonic clock (`ticks`, in
microseconds), because the machine's time (`now`) may step back.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue

from taskqueue.errors import Error
from taskqueue.push.flights import Flight, Lane, SendingThreads, about
from taskqueue.push.members import Members, Place
from taskqueue.push.metrics import DispatchMetrics
from taskqueue.push.pacing import Pace, share
from taskqueue.push.sending import THROTTLE, Send, outcome_of
from taskqueue.service import TaskQueueService, translated
from taskqueue.storage.leasing import Outcome, Verdict
from taskqueue.storage.record import StoredTask

SOON = 10_000  # microseconds
NEVER = 2**62
_MESSAGES = {
    Verdict.RETRY: "a task failed and will be retried",
    Verdict.RELEASE: "a handler asked to go slower",
    Verdict.DEAD: "a task failed for good",
}
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchSettings:
    """How a dispatcher works; all in seconds but `threads`, the most requests at a time.

    `poll` is how often it looks for tasks that other processes added; `lease`, how long the tasks
    of a dispatcher that was killed stay with it; `grace`, how long it waits for requests at its
    end.
    """

    threads: int = 100
    poll: float = 0.5
    lease: float = 60.0
    grace: float = 30.0


def monotonic_usec() -> int:
    """The monotonic clock of this machine, in microseconds."""
    return time.monotonic_ns() // 1000


class Dispatcher:
    """Sends the due push tasks of a service's queues. `run` returns after `stop`."""

    def __init__(
        self,
        service: TaskQueueService,
        send: Send,
        settings: DispatchSettings | None = None,
        *,
        metrics: DispatchMetrics | None = None,
        ticks: Callable[[], int] = monotonic_usec,
    ) -> None:
        self.service = service
        self.settings = settings or DispatchSettings()
        self.metrics = metrics or DispatchMetrics()
        self._ticks = ticks
        start = ticks()
        instance = f"{service.now():016d}-{service.rng.getrandbits(32):08x}"
        self._members = Members(service.client, start, instance)
        self._lanes = deque(
            Lane(d, Pace(d.rate, d.bucket_size, start), look_at=start)
            for d in service.config.queues.values()
            if not d.is_pull
        )
        self._lane_of = {lane.definition.name: lane for lane in self._lanes}
        self._send = send
        # Flights whose answer has come; None only wakes the dispatcher. Signal handlers put too.
        self._arrivals: SimpleQueue[Flight | None] = SimpleQueue()
        self._answered: list[Flight] = []
        self._place: Place | None = None
        self._extend_at = NEVER
        self._is_stopping = False

    def stop(self) -> None:
        """Let `run` end; for signal handlers and other threads."""
        self._is_stopping = True
        self._arrivals.put(None)

    def wake(self) -> None:
        """Look for tasks at once, because one was added."""
        self._arrivals.put(None)

    def run(self) -> None:
        """Send tasks until `stop`; then wait for the requests that are running, and give back.

        What is still running after the time of grace is due again for other dispatchers.
        """
        threads = SendingThreads(self.settings.threads, self._send, self._arrivals.put)
        self.service.added.append(self.wake)
        try:
            while not self._is_stopping:
                self._wait(self.step(threads.start))
            self._finish()
        finally:
            self.service.added.remove(self.wake)
            threads.end()

    def step(self, start: Callable[[Flight], None]) -> float:
        """Do what is due now; returns the seconds until there may be more to do."""
        try:
            self._settle()
            self._extend()
            self._claim(start)
            self.service.sweeper.step(self.service.now())
        except Error as error:
            _logger.warning("the store is unavailable: %s", error)
            return self.settings.poll
        at = min((lane.look_at for lane in self._lanes), default=NEVER)
        at = min(at, self._extend_at, self._members.next_beat())
        return max(0.0, (at - self._ticks()) / 1_000_000)

    # Waiting

    def _wait(self, seconds: float) -> None:
        """Wait for an answer, a wake-up or the end of the time, and process all answers."""
        arrived: list[Flight | None] = []
        with suppress(Empty):
            if seconds > 0:
                arrived.append(self._arrivals.get(timeout=seconds))
            while True:
                arrived.append(self._arrivals.get_nowait())
        self._answered += [flight for flight in arrived if flight]
        if None in arrived:
            for lane in self._lanes:
                lane.look_at = self._ticks()

    # Claiming

    def _claim(self, start: Callable[[Flight], None]) -> None:
        place = self._members.place(self._ticks(), self.service.now())
        if place is None:
            for lane in self._lanes:
                lane.look_at = self._members.next_beat()
            return
        if place != self._place:
            self._share(place)
        # A different queue comes first each time, so that none is starved of threads.
        self._lanes.rotate(1)
        for lane in self._lanes:
            if lane.look_at <= self._ticks():
                self._fill(lane, place, start)

    def _share(self, place: Place) -> None:
        for lane in self._lanes:
            rate, size = lane.definition.rate, lane.definition.bucket_size
            lane.pace.limit(rate / place.members, max(1.0, size / place.members))
            if self._place is None and place.members > 1:
                # The others had the full bucket already.
                lane.pace.take(lane.pace.available(self._ticks()))
        self._place = place
        _logger.info("number of dispatchers that share these queues: %d", place.members)

    def _fill(self, lane: Lane, place: Place, start: Callable[[Flight], None]) -> None:
        service, definition, now = self.service, lane.definition, self.service.now()
        ticks = self._ticks()
        lane.look_at = ticks + round(self.settings.poll * 1_000_000)
        lane.is_full = False
        if not definition.rate or service.is_paused(definition.name):
            return
        room = self._room(lane, place, now)
        if room <= 0:
            lane.is_full = True
            return
        tokens = lane.pace.available(ticks)
        if tokens:
            with translated():
                wanted = min(room, tokens)
                tasks = service.leasing.claim(definition, now, self.settings.lease, wanted)
                self._launch(lane, tasks, start)
                if len(tasks) < wanted:
                    next_due = service.store.next_due(definition.name) or NEVER
                    lane.look_at = min(lane.look_at, ticks + max(1000, next_due - now))
                    return
        lane.is_full = tokens >= room
        if not lane.is_full:
            seconds = min(lane.pace.seconds_to_next(), self.settings.poll)
            lane.look_at = ticks + round(seconds * 1_000_000)

    def _room(self, lane: Lane, place: Place, now: int) -> int:
        """How many more tasks of the queue may be in flight."""
        most = lane.definition.max_concurrent_requests
        room = min(
            share(most, place.rank, place.members) - len(lane.flights),
            self.settings.threads - sum(len(other.flights) for other in self._lanes),
        )
        if place.members > 1 and room > 0:
            # Others may still have more than their share, from before they knew of each other.
            with translated():
                room = min(room, most - self.service.store.in_flight(lane.definition.name, now))
        return room

    def _launch(
        self, lane: Lane, tasks: Sequence[StoredTask], start: Callable[[Flight], None]
    ) -> None:
        lane.pace.take(len(tasks))
        ticks = self._ticks()
        for task in tasks:
            flight = Flight(task, lane.definition.target, ticks, ticks + self._half_lease)
            lane.flights.add(flight)
            start(flight)
        if tasks:
            self._extend_at = min(self._extend_at, ticks + self._half_lease)
            self._watch(lane)

    def _watch(self, lane: Lane) -> None:
        self.metrics.in_flight.labels(lane.definition.name).set(len(lane.flights))

    # Leases

    @property
    def _half_lease(self) -> int:
        return round(self.settings.lease * 500_000)

    def _extend(self) -> None:
        """Extend the leases of which less than half is left."""
        ticks, now = self._ticks(), self.service.now()
        if ticks < self._extend_at:
            return
        flights = [flight for flight in self._flights() if not flight.is_lost]
        for flight in flights:
            if flight.extend_at <= ticks:
                with translated():
                    longer = self.service.leasing.extend(flight.task, now, self.settings.lease)
                flight.task = longer or flight.task
                flight.is_lost = longer is None
                flight.extend_at = ticks + self._half_lease
        self._extend_at = min((f.extend_at for f in flights if not f.is_lost), default=NEVER)

    # Settling

    def _settle(self) -> None:
        """Store what came of the answered flights; after an error they are kept for the next time.

        Only then do they leave their lanes: until then their leases are extended.
        """
        if not self._answered:
            return
        ticks, now = self._ticks(), self.service.now()
        outcomes = [self._outcome(f, ticks, now) for f in self._answered]
        with translated():
            held = self.service.leasing.settle(outcomes, now)
        for flight, outcome, is_held in zip(self._answered, outcomes, held, strict=True):
            lane = self._lane_of[flight.task.queue]
            lane.flights.discard(flight)
            self._watch(lane)
            if is_held and outcome.verdict in (Verdict.RETRY, Verdict.RELEASE):
                lane.look_at = min(lane.look_at, ticks + outcome.eta - now)
            elif outcome.verdict is Verdict.DONE:
                # Its handler may have added the task that comes next.
                lane.look_at = min(lane.look_at, ticks + SOON)
            self._report(flight, outcome, is_held, ticks)
        self._answered = []
        for lane in self._lanes:
            if lane.is_full:
                lane.look_at = ticks

    def _outcome(self, flight: Flight, ticks: int, now: int) -> Outcome:
        assert flight.answer is not None
        lane = self._lane_of[flight.task.queue]
        throttle = lane.pace.slow_down(ticks) if flight.answer.status == THROTTLE else 0.0
        outcome = outcome_of(flight.task, flight.answer, lane.definition.retry, now, throttle)
        return replace(outcome, is_kept=lane.definition.dead_letters)

    def _report(self, flight: Flight, outcome: Outcome, is_held: bool, ticks: int) -> None:
        queue = flight.task.queue
        if not is_held:
            self.metrics.lost.labels(queue).inc()
            _logger.warning("the lease ended before the answer came", extra=about(flight.task))
            return
        seconds = (ticks - flight.started) / 1_000_000
        self.metrics.attempts.labels(queue, outcome.verdict.value).inc()
        self.metrics.seconds.labels(queue).observe(seconds)
        if outcome.verdict is not Verdict.DONE:
            details = {**about(flight.task), "reason": outcome.reason, "seconds": seconds}
            level = logging.ERROR if outcome.verdict is Verdict.DEAD else logging.INFO
            _logger.log(level, _MESSAGES[outcome.verdict], extra=details)

    # The end

    def _finish(self) -> None:
        end = self._ticks() + round(self.settings.grace * 1_000_000)
        while (left := end - self._ticks()) > 0 and self._flights():
            self._wait(min(left / 1_000_000, self.settings.poll))
            try:
                self._settle()
                self._extend()
            except Error as error:
                _logger.warning("the store is unavailable: %s", error)
        self._settle()
        now = self.service.now()
        with translated():
            self._give_back(self._flights(), now)
            self.service.store.activity.flush(now)
        self._members.leave()

    def _give_back(self, flights: Iterable[Flight], now: int) -> None:
        outcomes = [Outcome(flight.task, Verdict.RELEASE, eta=now) for flight in flights]
        if outcomes:
            _logger.warning("%d requests are still running: released their tasks", len(outcomes))
            self.service.leasing.settle(outcomes, now)

    def _flights(self) -> list[Flight]:
        return [flight for lane in self._lanes for flight in lane.flights]
