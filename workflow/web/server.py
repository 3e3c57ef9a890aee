"""The service of workflows as a Flask application: `gunicorn 'workflow.web.server:create_app()'`.

An application of one's own needs none of this: it registers the blueprint of workflow.web.handlers.
"""

import os

from flask import Flask

from service.access import Access
from service.auth import Guard
from service.logging import configure_logging
from workflow.settings import Settings, import_modules, open_engine, settings_from
from workflow.web.handlers import create_blueprint


def create_app(settings: Settings | None = None) -> Flask:
    """The application; without settings they are read from the environment, and logs set up.

    docs/reference/workflow.md describes the routes. Raises UsageError and taskqueue's ConfigError.
    """
    if settings is None:
        settings = settings_from(os.environ)
        configure_logging(settings.log_level)
    import_modules(settings.modules)
    engine = open_engine(settings.store, settings.queue_yaml, settings.mail)
    app = Flask("workflow")
    Guard(settings.auth).install(app)
    Access(settings.auth, engine.client).install(app)
    app.register_blueprint(create_blueprint())
    return app
