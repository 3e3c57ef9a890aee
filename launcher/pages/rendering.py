"""What all pages share: filters for templates, headers, and messages for errors."""

import logging
from datetime import UTC, datetime

from flask import Blueprint, Response, jsonify, request
from google.api_core.exceptions import GoogleAPIError
from werkzeug.exceptions import HTTPException

from dfpipe.datastore import StoreError
from dfpipe.errors import DfpipeError, NoResultsError, UsageError
from launcher.chains.executions import RefusedError, UnknownExecutionError
from launcher.views.executions import ExecutionView, JobView, duration, look
from launcher.views.histories import UnknownStoryError
from service.clock import Clock
from service.pages import page, secured
from service.times import rfc3339

_logger = logging.getLogger(__name__)


def install(pages: Blueprint, clock: Clock) -> None:
    """Add the filters, the headers and the messages."""

    def took(view: ExecutionView | JobView) -> str:
        return duration(view.started, view.ended, clock())

    for each in (rfc3339, minute, look, took):
        pages.add_app_template_filter(each)
    pages.after_app_request(secured)
    pages.register_error_handler(DfpipeError, _explained)
    pages.register_error_handler(HTTPException, http_error)
    for kind in (StoreError, GoogleAPIError):
        pages.register_error_handler(kind, _store_error)


def minute(moment: datetime) -> str:
    """A time for people, in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def harmless(cell: object) -> object:
    """A cell of a CSV that no spreadsheet takes for a formula: strangers write posts."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in tuple("=+-@\t\r") else cell


def whole(name: str, default: int) -> int:
    """A number in the address. Raises UsageError."""
    text = request.args.get(name, str(default))
    if not (text.isascii() and text.isdigit()) or len(text) > 7:
        raise UsageError(f"{name} is {text[:40]!r}: expected a whole number")
    return int(text)


# Subclasses come before their base classes.
_MESSAGES: tuple[tuple[type[DfpipeError], int, str], ...] = (
    (NoResultsError, 404, "Nothing to show yet"),
    (UnknownExecutionError, 404, "Not found"),
    (UnknownStoryError, 404, "Not found"),
    (RefusedError, 409, "Not possible now"),
    (UsageError, 400, "Invalid address"),
    (DfpipeError, 503, "The results cannot be read now"),
)


def _explained(error: DfpipeError) -> Response:
    code, title = next((code, title) for kind, code, title in _MESSAGES if isinstance(error, kind))
    return _message(code, title, str(error), is_early=isinstance(error, NoResultsError))


def is_for_people() -> bool:
    """Whether the client prefers a page to data, as browsers do; scripts usually take either."""
    found = request.accept_mimetypes.best_match(("application/json", "text/html"))
    return found == "text/html" and not request.path.startswith("/api/")


def http_error(error: HTTPException) -> Response:
    """The message of an error of HTTP, such as an unknown address."""
    if error.response is not None:
        return error.response  # type: ignore[return-value]  # the guard's own
    if error.code == 404:
        text = "There is no page at this address. Use the links above."
        return _message(404, "Not found", text)
    return _message(error.code or 500, error.name, error.description or "")


def _store_error(error: Exception) -> Response:
    _logger.error("the store cannot be used: %s", error)
    return _message(503, "The store cannot answer now", "Try again in a moment.")


def _message(code: int, title: str, text: str, is_early: bool = False) -> Response:
    """A message; if there are no results yet, that is not an error, and the page waits for them."""
    if request.path.startswith("/api/"):
        response = jsonify(error=text)
        response.status_code = code
        return response
    code = 200 if is_early else code
    return page("launcher_message.html", code, title=title, text=text, is_early=is_early)
