"""The pages for people: the list of workflows, and one of them."""

from typing import Any

from flask import Blueprint, redirect, request, url_for
from flask.blueprints import BlueprintSetupState

from service.pages import Link, install_pages, page, secured
from workflow.web.access import viewers_only

STATIC = "/static"
NAVIGATION = (Link("workflow.list", "Workflows", ("workflow.status",)),)


def install(blueprint: Blueprint) -> None:
    """Add the routes of the pages, and the login where the application has none yet."""
    add = blueprint.add_url_rule
    add("/", "home", _home)
    add("/list", "list", viewers_only(lambda: page("workflow_list.html")))
    add("/status", "status", viewers_only(lambda: page("workflow_status.html")))
    blueprint.after_request(secured)
    blueprint.record_once(_install_frame)


def _install_frame(state: BlueprintSetupState) -> None:
    has_login = "service" in state.app.blueprints
    install_pages(state.app, NAVIGATION, prefix=state.url_prefix or "")
    if has_login:  # elsewhere: it was here before applications had one for all their pages
        state.add_url_rule("/login", "old_login", lambda: redirect(url_for("service.login"), 308))


def _home() -> Any:
    # As in the old library, /?root=... is the page of that workflow.
    endpoint = "workflow.status" if request.args.get("root") else "workflow.list"
    return redirect(f"{url_for(endpoint)}?{request.query_string.decode()}".rstrip("?"))
