"""What the launcher tells Prometheus of itself."""

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from launcher.chains.records import Records

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """The counters of one process, and what the store tells."""

    def __init__(self, records: Records) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Open(records))
        self.events = Counter(
            "launcher_events_total",
            "Events of Dataflow: ours, foreign, bad",
            ["kind"],
            registry=self._registry,
        )
        self.starts = Counter(
            "launcher_starts_total",
            "Calls that ask for a run",
            ["by"],
            registry=self._registry,
        )

    def text(self) -> bytes:
        """All of it in Prometheus's form."""
        return generate_latest(self._registry)


class _Open(Collector):
    """How many runs are open, by state, and how long the oldest has been."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing: to describe it would read the store."""
        return []

    def collect(self) -> list[GaugeMetricFamily]:
        """The runs that are open now."""
        family = GaugeMetricFamily("launcher_open_runs", "Runs not over", labels=["chain", "state"])
        counts: dict[tuple[str, str], int] = {}
        for run in self._records.open_runs():
            counts[run.chain, run.state] = counts.get((run.chain, run.state), 0) + 1
        for labels, number in sorted(counts.items()):
            family.add_metric(labels, number)
        return [family]
