"""The way in, where the shared token is needed to look."""

from typing import Any

from flask import Blueprint, Response, abort, redirect, request, url_for

from launcher.pages.access import Access
from launcher.pages.rendering import page
from service.sessions import other_site_asks, sign_in, sign_out


class LoginPages:
    """The way in, where one is needed."""

    def __init__(self, pages: Blueprint, access: Access) -> None:
        self.access = access
        pages.add_url_rule("/pages/login", "login", self.login, methods=["GET", "POST"])
        pages.add_url_rule("/pages/logout", "logout", self.logout, methods=["POST"])
        pages.app_context_processor(lambda: {"has_login": access.look == "token"})

    def login(self) -> Any:
        """The form, and what it sends."""
        if self.access.look != "token":
            abort(404)
        after = _own_path(request.values.get("next", ""))
        if request.method == "GET":
            return redirect(after) if self.access.may_look() else _form(after)
        response = redirect(after, 303)
        if other_site_asks() or not sign_in(response, request.form.get("token", "")):
            return _form(after, is_refused=True)
        return response

    def logout(self) -> Any:
        """End the session."""
        if other_site_asks():
            abort(Response(status=403))
        response = redirect(url_for("pages.login"), 303)
        sign_out(response)
        return response


def _form(after: str, is_refused: bool = False) -> Response:
    code = 403 if is_refused else 200
    return page("launcher_login.html", code, after=after, is_refused=is_refused)


def _own_path(text: str) -> str:
    """Where to go after the login: a page of this service, and nowhere else."""
    is_own = text.startswith("/") and not text.startswith("//") and "\\" not in text
    return text if is_own and text.isprintable() else url_for("pages.timeline")
