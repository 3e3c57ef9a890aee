"""The service of workflows as a Flask application: `gunicorn 'workflow.web.server:create_app()'`.

Your own application does not need it: it registers the blueprint of workflow.web.handlers.
"""

import os

from flask import Flask

from service.access import Access
from service.auth import Guard
from service.logging import configure_logging
from workflow.settings import WorkflowSettings, import_modules, open_engine, read_settings
from workflow.web.handlers import create_blueprint


def create_app(settings: WorkflowSettings | None = None) -> Flask:
    """The application; without settings, it reads the environment and sets up logging.

    docs/reference/workflow.md describes the routes. Raises UsageError and taskqueue's ConfigError.
    """
    if settings is None:
        settings = read_settings(os.environ)
        configure_logging(settings.log_level)
    import_modules(settings.modules)
    engine = open_engine(settings.store, settings.queue_yaml, settings.mail)
    app = Flask("workflow")
    Guard(settings.auth).install(app)
    Access(settings.auth, engine.client).install(app)
    app.register_blueprint(create_blueprint())
    return app
