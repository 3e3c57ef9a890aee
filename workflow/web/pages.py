"""The pages for people: the list of workflows, one of them, and the login."""

from typing import Any

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for

from service.sessions import other_site_asks, sign_in, sign_out
from workflow.web.access import looked_at, may_look
from workflow.web.rpc import to_json

STATIC = "/static"
# Nothing but this service's own files, and no script or style within a page.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


def install(blueprint: Blueprint) -> None:
    """Add the routes of the pages."""
    add = blueprint.add_url_rule
    add("/", "home", _home)
    add("/list", "list", looked_at(lambda: _page("workflow_list.html")))
    add("/status", "status", looked_at(lambda: _page("workflow_status.html")))
    add("/login", "login", _login, methods=["GET", "POST"])
    add("/logout", "logout", _logout, methods=["POST"])
    add("/session", "session", _session)
    blueprint.after_request(_headed)


def _headed(response: Response) -> Response:
    response.headers.extend({k: v for k, v in HEADERS.items() if k not in response.headers})
    if request.endpoint != "workflow.static":
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def _page(template: str, code: int = 200, **values: Any) -> Response:
    return make_response(render_template(template, **values), code)


def _home() -> Any:
    # As in the old library, /?root=... is the page of that workflow.
    endpoint = "workflow.status" if request.args.get("root") else "workflow.list"
    return redirect(f"{url_for(endpoint)}?{request.query_string.decode()}".rstrip("?"))


def _login() -> Any:
    after = _own_path(request.values.get("next", ""))
    if request.method == "GET":
        return redirect(after) if may_look() else _page("workflow_login.html", after=after)
    response = redirect(after, 303)
    if other_site_asks() or not sign_in(response, request.form.get("token", "")):
        return _page("workflow_login.html", 403, after=after, is_refused=True)
    return response


def _own_path(text: str) -> str:
    """Where to go after the login: a page of workflows, and nowhere else."""
    own = url_for("workflow.home")
    return text if text.startswith(own) and "\\" not in text else url_for("workflow.list")


def _logout() -> Any:
    if other_site_asks():
        return Response(status=403)
    response = redirect(url_for("workflow.login"), 303)
    sign_out(response)
    return response


def _session() -> Response:
    """Whether there is a session: the login page asks, as a link from elsewhere hides it."""
    return to_json({"isPerson": may_look()})
