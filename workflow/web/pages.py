"""The pages for people: the list of workflows, one of them, and its buttons."""

import functools
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Blueprint, Response, redirect, request, url_for
from flask.blueprints import BlueprintSetupState

from service.pages import Link, install_pages, message_page, page, secured
from service.times import rfc3339, spell_duration
from workflow.engine import actions
from workflow.engine.engine import current
from workflow.errors import PipelineStatusError, UnknownPipelineError
from workflow.web import details, status
from workflow.web.access import own_forms_only, viewers_only
from workflow.web.describing import Tree
from workflow.web.outline import PAGE, outline

NAVIGATION = (Link("workflow.list", "Workflows", ("workflow.status",)),)
BUSY_SECONDS, IDLE_SECONDS = 2, 10  # after which a page fetches itself again
DONE = {
    "abort": "The workflow is being aborted.",
    "cleanup": "The workflow is being deleted.",
    "rerun": "This new workflow was started.",
    "retry": "The stage will be retried now.",
}
View = Callable[[], Any]
_WEB = re.compile(r"https?://|/(?!/)", re.IGNORECASE)  # other addresses are shown as text


def install(blueprint: Blueprint) -> None:
    """Add the routes of the pages, and the login where the application has none yet."""
    add = blueprint.add_url_rule
    add("/", "home", _home)
    add("/list", "list", viewers_only(_explaining(_list)))
    add("/status", "status", viewers_only(_explaining(_status)))
    for name, act in _ACTIONS.items():
        view = own_forms_only(_explaining(act))
        add(f"/status/{name}", f"{name}_form", view, methods=["POST"])
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


_MESSAGES: tuple[tuple[type[Exception], int, str], ...] = (
    (UnknownPipelineError, 404, "No such workflow"),
    (PipelineStatusError, 400, "Invalid address"),
    (actions.RefusedError, 409, "Not possible now"),
)


def _explaining(view: View) -> View:
    """Answer what goes wrong with a page that says why."""

    @functools.wraps(view)
    def answered() -> Any:
        try:
            return view()
        except tuple(kind for kind, _, _ in _MESSAGES) as error:
            code, title = next((c, t) for kind, c, t in _MESSAGES if isinstance(error, kind))
            back = request.form.get("root", "")
            onward = (
                ("Back to the workflow", url_for("workflow.status", root=back))
                if back
                else ("All workflows", url_for("workflow.list"))
            )
            return message_page(code, title, str(error), onward)

    return answered


# Pages


def _list() -> Response:
    """The newest workflows, or those of a class or in a state, a page at a time."""
    given, state, cursor = (request.args.get(name, "") for name in ("class", "state", "cursor"))
    found = status.get_root_list(given or None, cursor or None, PAGE, state or None)
    roots = found["pipelines"]
    return page(
        "workflow_list.html",
        roots=roots,
        chosen={"class": given or None, "state": state or None},
        counts=status.get_root_counts(),
        classes=status.get_pipeline_names(),
        cursor=cursor,
        older=found.get("cursor"),
        seconds=IDLE_SECONDS if all(root["isOver"] for root in roots) else BUSY_SECONDS,
        **_shared(),
    )


def _status() -> Response:
    """A workflow or a part of it: its tree, or its stages in a state, and one stage's details."""
    top, state = request.args.get("root", ""), request.args.get("state", "")
    part = status.get_stage(top, 0, 0)
    root_id = part["rootPipelineId"]
    root = status.get_stages([root_id])["pipelines"][root_id]
    failed = root.get("failure", {}).get("pipelineId") if top == root_id else None
    chosen = request.args.get("stage") or failed or top
    found = part if chosen == top else status.get_stage(chosen, 0, 0)
    return page(
        "workflow_status.html",
        top=top,
        root_id=root_id,
        root=root,
        ancestors=part["ancestors"],
        counts=status.get_counts(root_id)["counts"],
        tree=None if state else outline(current(), top, chosen, _first()),
        state=state,
        in_state=state and status.get_stages_in(top, state, request.args.get("cursor"), PAGE),
        page_size=PAGE,
        seconds=IDLE_SECONDS if root["isOver"] else BUSY_SECONDS,
        **_details(chosen, found),
        **_shared(),
    )


def _first() -> int:
    text = request.args.get("first", "0")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise PipelineStatusError(f"first is {text[:20]!r}: give a whole number below 10**9")
    return int(text)


def _details(chosen: str, found: Tree) -> Tree:
    """What is shown of the chosen stage."""
    about, slots = found["pipelines"][chosen], found["slots"]
    urls = dict(about.get("statusLinks", {}))
    if "statusConsoleUrl" in about:
        urls = {"Console": about["statusConsoleUrl"], **urls}
    links = [(name, url, bool(_WEB.match(url))) for name, url in urls.items()]
    values = {
        "Arguments": list(details.arguments(about, slots)),
        "Outputs": list(details.outputs(chosen, about, slots)),
        "Starts after": list(details.awaited(about["afterSlotKeys"], slots)),
    }
    return {"chosen": chosen, "about": about, "links": links, "values": values}


def _shared() -> Tree:
    now = current().service.clock()

    def took(about: Tree) -> str:
        started = _time(about.get("startTimeMs"))
        ended = _time(about.get("endTimeMs")) or now
        return spell_duration(ended - started) if started else ""

    return {
        "took": took,
        "time": _time,
        "rfc3339": rfc3339,
        "done": DONE.get(request.args.get("done", "")),
    }


def _time(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)


# Buttons


def _to_status(root: str, done: str, stage: str | None = None) -> Any:
    return redirect(url_for("workflow.status", root=root, stage=stage, done=done), 303)


def _abort() -> Any:
    root = request.form.get("root", "")
    actions.abort(current(), root, request.form.get("message", ""))
    return _to_status(root, "abort")


def _cleanup() -> Any:
    actions.cleanup(current(), request.form.get("root", ""))
    return redirect(url_for("workflow.list", done="cleanup"), 303)


def _rerun() -> Any:
    return _to_status(actions.rerun(current(), request.form.get("root", "")), "rerun")


def _retry() -> Any:
    root, stage = request.form.get("root", ""), request.form.get("stage", "")
    actions.retry(current(), stage)
    return _to_status(root, "retry", stage=stage)


_ACTIONS: dict[str, View] = {
    "abort": _abort,
    "cleanup": _cleanup,
    "rerun": _rerun,
    "retry": _retry,
}
