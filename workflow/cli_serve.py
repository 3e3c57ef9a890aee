"""`workflow serve`: tasks, callbacks and the status page under gunicorn."""

import dataclasses
import os

import click

from taskqueue.cli_options import LOG_LEVEL
from workflow.cli_options import QUEUE_YAML, STORE
from workflow.errors import UsageError


@click.command(short_help="Serve the stages' tasks and callbacks, and the status page.")
@STORE
@QUEUE_YAML
@click.option("--module", "modules", metavar="MODULE", multiple=True, help="Import it; repeatable.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=8, show_default=True)
@LOG_LEVEL
def serve(
    store: str | None,
    queue_yaml: str | None,
    modules: tuple[str, ...],
    host: str,
    port: int,
    workers: int,
    threads: int,
    log_level: str,
) -> None:
    """Serve the stages' tasks and callbacks, and the status page, until SIGTERM.

    DFPIPE_TASK_TOKEN, or what else proves a request, is read from the environment.
    """
    from taskqueue.cli_services import gunicorn_logs
    from taskqueue.logs import configure_logging
    from taskqueue.server import Server
    from workflow.server import create_app
    from workflow.settings import import_modules, open_engine, settings_from

    settings = settings_from(os.environ)
    settings = dataclasses.replace(
        settings,
        store=store,
        queue_yaml=queue_yaml or settings.queue_yaml,
        modules=(*settings.modules, *modules),
        log_level=log_level,
    )
    # Tried and closed once, so that what is wrong is told here and not by a worker process.
    import_modules(settings.modules)
    open_engine(settings.store, settings.queue_yaml).client.close()
    auth = settings.auth
    if not (auth.token or auth.audience or auth.on_app_engine):
        raise UsageError("nobody could call: set DFPIPE_TASK_TOKEN, for the dispatcher too")
    configure_logging(log_level)
    Server(
        lambda: create_app(settings),
        bind=f"{host}:{port}",
        workers=workers,
        threads=threads,
        worker_class="gthread",
        proc_name="workflow",
        loglevel=log_level.lower(),
        control_socket_disable=True,
        logconfig_dict=gunicorn_logs(log_level),
    ).run()
