"""The old name of workflow.web.handlers."""

from workflow.web.handlers import create_blueprint, create_handlers_map

__all__ = ["create_blueprint", "create_handlers_map"]
