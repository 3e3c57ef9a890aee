"""The old name of workflow.web.server, as `gunicorn 'workflow.server:create_app()'` has it."""

from workflow.web.server import create_app

__all__ = ["create_app"]
