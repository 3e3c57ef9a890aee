"""`workflow serve`: tasks, callbacks and the status page under gunicorn."""

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
    store: str,
    queue_yaml: str,
    modules: tuple[str, ...],
    listening: Listening,
) -> None:
    """Serve the stages' tasks and callbacks, and the status page, until SIGTERM.

    The environment holds DFPIPE_TASK_TOKEN, or the other settings that prove a request.
    """
    from workflow.pipeline import DEFAULT_BASE_PATH
    from workflow.settings import import_modules, open_engine, read_settings
    from workflow.web.server import create_app

    settings = read_settings(os.environ)
    settings = settings.changed(
        store=store,
        queue_yaml=queue_yaml or settings.queue_yaml,
        modules=(*settings.modules, *modules),
        log_level=listening.log_level,
    )
    # Opened once here, so that this command reports errors and not a worker process.
    import_modules(settings.modules)
    open_engine(settings.store, settings.queue_yaml).client.close()
    auth = settings.auth
    if not (auth.token or auth.audience or auth.on_app_engine):
        raise UsageError("nobody can log in: set DFPIPE_TASK_TOKEN, for the dispatcher too")
    settings = settings.changed(auth=with_login(auth, listening, DEFAULT_BASE_PATH))
    run_gunicorn(lambda: create_app(settings), "workflow", listening)


COMMANDS = (serve,)
