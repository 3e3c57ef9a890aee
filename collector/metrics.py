"""What can be watched, as Prometheus metrics."""

import os
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from collector.fetching.accounts import Account, Accounts
from collector.fetching.dead_letters import KIND as DEAD_LETTER
from collector.ingest.worker import Batch
from collector.status import state
from dfpipe.datastore import count
from dfpipe.errors import UsageError
from taskqueue import TaskQueueService
from taskqueue.push.metrics import QueueCollector

STATES = ("active", "failing", "stopped")
# Where it names a folder, the counters of all processes of one gunicorn are added up.
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"


class AccountCollector(Collector):
    """Metrics of the accounts in the store, counted for each scrape."""

    def __init__(self, service: TaskQueueService) -> None:
        self._client = service.client

    def collect(self) -> Iterator[Metric]:
        """Numbers by source, and the dead letters."""
        accounts = Accounts(self._client).all()
        states = GaugeMetricFamily(
            "collector_accounts", "Followed accounts by state.", labels=["source", "state"]
        )
        posts = GaugeMetricFamily(
            "collector_posts_stored", "New posts stored in all.", labels=["source"]
        )
        fetched = GaugeMetricFamily(
            "collector_oldest_fetch_seconds",
            "When the active account that waits longest was fetched, in seconds since 1970.",
            labels=["source"],
        )
        for source in sorted({account.source for account in accounts}):
            mine = [account for account in accounts if account.source == source]
            for each in STATES:
                states.add_metric([source, each], sum(state(a) == each for a in mine))
            posts.add_metric([source], sum(account.posts for account in mine))
            times = [_seconds(account) for account in mine if account.is_active]
            if times:
                fetched.add_metric([source], min(times))
        letters = GaugeMetricFamily("collector_dead_letters", "Records that were set aside.")
        letters.add_metric([], count(self._client, self._client.query(kind=DEAD_LETTER)))
        yield from (states, posts, fetched, letters)


def _seconds(account: Account) -> float:
    return (account.last_fetch or account.followed_at).timestamp()


class ServiceMetrics:
    """The metrics of one application: its own counters, and what the store holds."""

    def __init__(self, service: TaskQueueService) -> None:
        self._own = CollectorRegistry()
        self._stored = (QueueCollector(service), AccountCollector(service))
        self._posts = Counter(
            "collector_ingest_posts",
            "Posts that came to /ingest: taken or refused.",
            ["result"],
            registry=self._own,
        )
        self._fetches = Counter(
            "collector_fetches",
            "Fetches of accounts: done, cut (continued later), unavailable or refused.",
            ["source", "result"],
            registry=self._own,
        )

    def ingested(self, taken: int, refused: int) -> None:
        """Count the posts of one request."""
        self._posts.labels("taken").inc(taken)
        self._posts.labels("refused").inc(refused)

    def fetched(self, account: str, result: str) -> None:
        """Count a fetch of an account's network by its result."""
        self._fetches.labels(account.partition(":")[0], result).inc()

    def registry(self) -> CollectorRegistry:
        """All metrics, to be written out."""
        registry = CollectorRegistry()
        if os.environ.get(MULTIPROCESS):
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # it has no types
        else:
            registry.register(self._own)
        for collector in self._stored:
            registry.register(collector)
        return registry


class WorkerMetrics:
    """Metrics of one ingest worker, served over HTTP."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._tasks = Counter(
            "collector_worker_tasks", "Tasks that are stored.", registry=self.registry
        )
        self._posts = Counter(
            "collector_worker_posts",
            "Posts of these tasks: new, replaced, seen before, or set_aside.",
            ["result"],
            registry=self.registry,
        )

    def count(self, batch: Batch) -> None:
        """Count the tasks of a batch, and their posts by result."""
        self._tasks.inc(batch.tasks)
        for result in ("new", "replaced", "seen"):
            self._posts.labels(result).inc(getattr(batch.stored, result))
        self._posts.labels("set_aside").inc(batch.set_aside)

    def serve(self, host: str, port: int) -> None:
        """Serve the metrics on a port. Raises UsageError if it is taken."""
        try:
            start_http_server(port, addr=host, registry=self.registry)
        except OSError as error:
            raise UsageError(f"--metrics-port {port} cannot be used: {error.strerror}") from error
