"""Commands that run until they are stopped: serve and ingest-worker."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import click

from collector.cli.options import QUEUE_YAML_OPTION, settings_of
from service.listening import Listening, listening_options, run_gunicorn, with_login
from service.logging import configure_logging
from service.options import LOG_LEVEL, STORE, Seconds
from service.signals import on_stop


@click.command(short_help="Serve the collector under gunicorn.")
@STORE
@QUEUE_YAML_OPTION
@listening_options(timeout=True)
def serve(store: str | None, queue_yaml: str, listening: Listening) -> None:
    """Serve the collector under gunicorn, until SIGTERM."""
    settings = settings_of(store, queue_yaml)
    with _metrics_folder():
        # prometheus_client reads the folder's variable when it is imported, so not earlier.
        from collector.app import create_app, open_service

        # Opened and closed once, so that this command reports errors and not a worker process.
        open_service(settings).client.close()
        settings = settings.changed(auth=with_login(settings.auth, listening))
        run_gunicorn(lambda: create_app(settings), "collector", listening)


@contextmanager
def _metrics_folder() -> Iterator[None]:
    """A folder in which the worker processes count together, removed by this process alone."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        yield
        return
    owner = os.getpid()
    folder = tempfile.mkdtemp(prefix="collector-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    try:
        yield
    finally:
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)


@click.command("ingest-worker", short_help="Store the posts that /ingest accepted.")
@STORE
@QUEUE_YAML_OPTION
@click.option(
    "--lease-secs",
    type=Seconds(1),
    default=60.0,
    show_default=True,
    help="Seconds until the tasks of a killed worker go to another.",
)
@click.option(
    "--max-tasks",
    type=click.IntRange(1, 1000),
    default=500,
    show_default=True,
    help="Most tasks in one lease.",
)
@click.option(
    "--poll-secs",
    type=Seconds(0.01),
    default=0.5,
    show_default=True,
    help="Seconds between polls while the queue holds fewer.",
)
@click.option("--metrics-port", type=int, help="Serve Prometheus metrics on that port.")
@click.option("--metrics-host", default="127.0.0.1", show_default=True)
@LOG_LEVEL
def ingest_worker(
    store: str | None,
    queue_yaml: str,
    lease_secs: float,
    max_tasks: int,
    poll_secs: float,
    metrics_port: int | None,
    metrics_host: str,
    log_level: str,
) -> None:
    """Store the posts that /ingest accepted, until SIGTERM.

    Several workers may run; killing one loses no posts.
    """
    from collector.app import open_service
    from collector.ingest.intake import QUEUE
    from collector.ingest.worker import IngestWorker, WorkerSettings
    from collector.metrics import WorkerMetrics

    service = open_service(settings_of(store, queue_yaml))
    service.pull_queue(QUEUE)
    settings = WorkerSettings(lease=lease_secs, most_tasks=max_tasks, poll=poll_secs)
    metrics = WorkerMetrics()
    if metrics_port is not None:
        metrics.serve(metrics_host, metrics_port)
    configure_logging(log_level)
    worker = IngestWorker(service, settings, metrics.count)
    on_stop(worker.stop)
    worker.run()


COMMANDS = (serve, ingest_worker)
