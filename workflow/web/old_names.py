"""Old names of the HTTP side, which import Flask only when they are called."""

from typing import Any


def create_handlers_map(prefix: str = ".*") -> list[tuple[str, Any]]:
    """A pattern of paths and the WSGI application that answers them, as web frameworks take it."""
    from workflow.web import handlers

    return handlers.create_handlers_map(prefix)


def set_enforce_auth(new_status: bool) -> None:
    """Set whether the status page and its JSON need a login; by default they do."""
    from workflow.web import access

    access.set_enforce_auth(new_status)
