"""Prometheus metrics of queues and dispatchers."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from taskqueue.errors import Error
from taskqueue.service import TaskQueueService, translated

GAUGES = {
    "taskqueue_tasks": "Tasks in the queue, those in flight included.",
    "taskqueue_tasks_in_flight": "Tasks that are leased or being sent.",
    "taskqueue_dead_letters": "Dead letters.",
    "taskqueue_oldest_eta_seconds": "When the next task may be taken, in seconds since 1970.",
    "taskqueue_executed_last_minute": "Tasks sent or leased in the last minute.",
    "taskqueue_paused": "1 while the queue is paused.",
}


class QueueCollector(Collector):
    """The state of the queues, counted at each scrape."""

    def __init__(self, service: TaskQueueService) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """One gauge for each number, with the queue as label; skips queues that cannot be read."""
        families = {
            name: GaugeMetricFamily(name, text, labels=["queue"]) for name, text in GAUGES.items()
        }
        for queue in self._service.queue_names():
            for name, value in zip(GAUGES, self._numbers(queue), strict=False):
                if value is not None:
                    families[name].add_metric([queue], value)
        yield from families.values()

    def _numbers(self, queue: str) -> list[float | None]:
        service = self._service
        try:
            with translated():
                counts = service.store.counts(queue, service.now())
            paused = service.is_paused(queue)
        except Error:
            return []
        return [
            counts.tasks,
            counts.in_flight,
            counts.dead,
            None if counts.oldest is None else counts.oldest / 1_000_000,
            counts.last_minute,
            paused,
        ]


class DispatchMetrics:
    """What one dispatcher does; each makes a registry unless it gets one."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.attempts = Counter(
            "taskqueue_attempts",
            "Attempts by what became of the task: done, retry, release (503) or dead.",
            ["queue", "verdict"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "taskqueue_attempt_seconds",
            "How long the handler took.",
            ["queue"],
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "taskqueue_dispatcher_in_flight",
            "Requests that this dispatcher waits for.",
            ["queue"],
            registry=self.registry,
        )
        self.lost = Counter(
            "taskqueue_leases_lost",
            "Tasks whose lease ended while their request was running.",
            ["queue"],
            registry=self.registry,
        )
