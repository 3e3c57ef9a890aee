"""Old names of the HTTP side, which import Flask only when they are called."""

from typing import Any

from workflow.errors import UsageError


def create_handlers_map(prefix: str = ".*") -> list[tuple[str, Any]]:
    """A pattern of paths and the WSGI application that answers them, as web frameworks take it."""
    from workflow import handlers

    return handlers.create_handlers_map(prefix)


def set_enforce_auth(new_status: bool) -> None:
    """Refuse to open the pages and the JSON to everybody; True changes nothing.

    Raises UsageError for False: they show the arguments of stages and can abort workflows.
    """
    if not new_status:
        raise UsageError(
            "the status pages cannot be opened to everybody: set DFPIPE_TASK_TOKEN and log in "
            "with it, see taskqueue.auth"
        )
