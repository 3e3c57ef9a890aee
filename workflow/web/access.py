"""Who may see workflows and act on them: proven requests, and those who may see the pages."""

import functools
from collections.abc import Callable
from typing import Any

from flask import Response, abort

from service import access
from service.access import other_site_asks, script_asks, to_login
from service.auth import request_is_proven

View = Callable[..., Any]
_is_enforced = [True]


def set_enforce_auth(is_enforced: bool) -> None:
    """Set whether the status page and its JSON are closed to strangers, as they are at first.

    It never opens the handlers of tasks. Without it anybody who reaches the service can abort and
    delete workflows.
    """
    _is_enforced[0] = is_enforced


def may_view() -> bool:
    """Whether the request comes from a person who may see the pages, or that is not enforced."""
    return not _is_enforced[0] or access.may_view()


def viewers_only(view: View) -> View:
    """Let viewers alone see a page; others are sent to the login, or get an empty 403."""

    @functools.wraps(view)
    def checked(*args: object, **kwargs: object) -> Any:
        return view(*args, **kwargs) if may_view() else to_login()

    return checked


def own_forms_only(view: View) -> View:
    """Let viewers alone send a form, from a page of this application; others get an empty 403."""

    @functools.wraps(view)
    def checked(*args: object, **kwargs: object) -> Any:
        if other_site_asks() or not may_view():
            abort(Response(status=403))
        return view(*args, **kwargs)

    return checked


def asked(view: View) -> View:
    """Let a view be called by proven requests and by the scripts of viewers.

    Others are answered 403 with an empty body.
    """

    @functools.wraps(view)
    def checked(*args: object, **kwargs: object) -> Any:
        if not (request_is_proven() or (script_asks() and may_view())):
            abort(Response(status=403))
        return view(*args, **kwargs)

    return checked
