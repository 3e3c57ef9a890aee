"""The launcher's metrics for Prometheus."""

from collections import Counter
from collections.abc import Mapping

import prometheus_client
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from launcher.chains.records import Records

CONTENT_TYPE = CONTENT_TYPE_LATEST
# The second is the name of earlier versions, which dashboards may still have.
NAMES = ("launcher_open_executions", "launcher_open_runs")


class Metrics:
    """The counters of one process, and a gauge of the open executions in the store."""

    def __init__(self, records: Records) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Open(records))
        self.events = prometheus_client.Counter(
            "launcher_events_total",
            "Events of Dataflow: ours, foreign, bad",
            ["kind"],
            registry=self._registry,
        )
        self.starts = prometheus_client.Counter(
            "launcher_starts_total",
            "Calls that start an execution",
            ["by"],
            registry=self._registry,
        )

    def text(self) -> bytes:
        """All of it in Prometheus's form."""
        return generate_latest(self._registry)


class _Open(Collector):
    """How many executions are open, by chain and state."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing, so that registering it does not read the store."""
        return []

    def collect(self) -> list[GaugeMetricFamily]:
        """The executions that are open now."""
        open_now = self._records.open_executions()
        counts = Counter((each.chain, each.state) for each in open_now)
        return [_family(name, counts) for name in NAMES]


def _family(name: str, counts: Mapping[tuple[str, str], int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, "Open executions", labels=["chain", "state"])
    for labels, number in sorted(counts.items()):
        family.add_metric(labels, number)
    return family
