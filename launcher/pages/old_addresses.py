"""Redirects from the addresses that pages and data had in earlier versions."""

from collections.abc import Callable
from urllib.parse import quote

from flask import Blueprint, redirect, request
from werkzeug.wrappers import Response

# An execution was called a run, and each page had an address at the root.
MOVED = {
    "/executions": "/jobs",
    "/runs": "/jobs",
    "/api/runs": "/api/executions",
    "/api/runs.json": "/api/executions.json",
    "/api/runs.csv": "/api/executions.csv",
    "/results": "/timeline/runs",
    "/results/history": "/timeline/history",
    "/results/rankings": "/timeline/rankings",
    "/history": "/timeline/history",
    "/rankings": "/timeline/rankings",
    "/login": "/pages/login",
    "/logout": "/pages/logout",
}


def install(pages: Blueprint) -> None:
    """Add the routes of the old addresses and of everything below them."""
    for old, new in MOVED.items():
        for end in ("", "/<path:_>"):
            endpoint = f"moved {old}{end}".replace(".", "-")  # Flask takes no dot in it
            pages.add_url_rule(f"{old}{end}", endpoint, _moved(old, new), methods=["GET", "POST"])


def _moved(old: str, new: str) -> Callable[..., Response]:
    def view(_: str = "") -> Response:
        # The path is given decoded, the query is not.
        end = quote(request.path.removeprefix(old), safe="/.")
        query = request.query_string.decode("ascii", "ignore")
        # 308 keeps a POST a POST, with its body.
        code = 308 if request.method == "POST" else 301
        return redirect(f"{new}{end}{'?' if query else ''}{query}", code)

    return view
