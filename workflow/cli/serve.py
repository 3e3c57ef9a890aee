"""`workflow serve`: tasks, callbacks and the status page under gunicorn."""

import dataclasses
import os

import click

from service.listening import Listening, listening_options, run_gunicorn, with_login
from workflow.cli.options import QUEUE_YAML, STORE
from workflow.errors import UsageError


@click.command(short_help="Serve the stages' tasks and callbacks, and the status page.")
@STORE
@QUEUE_YAML
@click.option("--module", "modules", metavar="MODULE", multiple=True, help="Import it; repeatable.")
@listening_options()
def serve(
    store: str | None,
    queue_yaml: str | None,
    modules: tuple[str, ...],
    listening: Listening,
) -> None:
    """Serve the stages' tasks and callbacks, and the status page, until SIGTERM.

    DFPIPE_TASK_TOKEN, or what else proves a request, is read from the environment.
    """
    from workflow.pipeline import DEFAULT_BASE_PATH
    from workflow.settings import import_modules, open_engine, settings_from
    from workflow.web.server import create_app

    settings = settings_from(os.environ)
    settings = dataclasses.replace(
        settings,
        store=store,
        queue_yaml=queue_yaml or settings.queue_yaml,
        modules=(*settings.modules, *modules),
        log_level=listening.log_level,
    )
    # Tried and closed once, so that what is wrong is told here and not by a worker process.
    import_modules(settings.modules)
    open_engine(settings.store, settings.queue_yaml).client.close()
    auth = settings.auth
    if not (auth.token or auth.audience or auth.on_app_engine):
        raise UsageError("nobody could call: set DFPIPE_TASK_TOKEN, for the dispatcher too")
    settings = dataclasses.replace(settings, auth=with_login(auth, listening, DEFAULT_BASE_PATH))
    run_gunicorn(lambda: create_app(settings), "workflow", listening)
