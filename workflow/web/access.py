"""Who may look at workflows and act on them: proven requests, and people who are logged in."""

import functools
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from flask import Response, abort, redirect, request, url_for

from service.auth import request_is_proven
from service.sessions import is_person, script_asks

View = Callable[..., Any]
_is_enforced = [True]


def set_enforce_auth(is_enforced: bool) -> None:
    """Whether the status page and its JSON are for those alone who may look; at first they are.

    It never opens the handlers of tasks. Without it anybody who reaches the service can abort and
    delete workflows.
    """
    _is_enforced[0] = is_enforced


def may_look() -> bool:
    """Whether a person who may look asks, or it is not enforced."""
    return not _is_enforced[0] or is_person()


def looked_at(view: View) -> View:
    """Let a page be seen by those who may look; others are sent to the login."""

    @functools.wraps(view)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if may_look():
            return view(*args, **kwargs)
        here = request.full_path.rstrip("?")
        return redirect(f"{url_for('workflow.login')}?{urlencode({'next': here})}")

    return checked


def asked(view: View) -> View:
    """Let a view be called by proven requests and by the scripts of those who may look.

    Others are answered 403 with an empty body.
    """

    @functools.wraps(view)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if not (request_is_proven() or (script_asks() and may_look())):
            abort(Response(status=403))
        return view(*args, **kwargs)

    return checked
