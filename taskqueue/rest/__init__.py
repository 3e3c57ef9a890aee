"""The REST API of pull queues, and its client."""

from typing import Any


def __getattr__(name: str) -> Any:
    """Find `create_app` and `create_blueprint` when first asked: commands start without Flask."""
    if name in ("create_app", "create_blueprint"):
        from taskqueue.rest import blueprint

        return getattr(blueprint, name)
    raise AttributeError(name)
