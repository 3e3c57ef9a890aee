"""The frame of all pages: one style sheet, one policy, one login, one base template.

    Access(settings.auth, store).install(app)
    install_pages(app, [Link("pages.timeline", "Timeline", ("pages.history",))])
    app.after_request(secured)

Templates begin with `{% extends "page_base.html" %}` and fill `title` and `main`; `head` takes
scripts and more, `body` the attributes of the body, `after` what follows the main part. Nothing in
a page may be inline: the policy allows the application's own files alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from flask import (
    Blueprint,
    Response,
    current_app,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.sansio.app import App

from service.access import current_access, may_view, other_site_asks

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
SYNTHETIC = "The posts here are synthetic: made up by the demo, about events that never happened."
_EXTENSION = "service.pages"


class Link(NamedTuple):
    """A link of the navigation; it is marked as current on its own page and those `below` it."""

    endpoint: str
    name: str
    below: tuple[str, ...] = ()


class Item(NamedTuple):
    """A link of the navigation as it is shown; `current` is "page", "true" (below it) or ""."""

    name: str
    address: str
    current: str


@dataclass(slots=True)
class _Frame:
    """What the frame of an application shows.

    `places` are the addresses of all pages of the system by their names, in order; `search` is the
    endpoint of the search, if the application has one.
    """

    places: Mapping[str, str]
    search: str
    links: list[Link] = field(default_factory=list)

    def items(self) -> Iterator[Item]:
        """The navigation: all places, then the application's own links that are not among them."""
        own = {link.name: link for link in self.links}
        for name, address in self.places.items():
            yield _item(own.pop(name)) if name in own else Item(name, address, "")
        yield from map(_item, own.values())


def _item(link: Link) -> Item:
    current = {link.endpoint: "page", **dict.fromkeys(link.below, "true")}
    return Item(link.name, url_for(link.endpoint), current.get(request.endpoint or "", ""))


def install_pages(
    app: App,
    navigation: Sequence[Link] = (),
    prefix: str = "",
    *,
    places: Mapping[str, str] | None = None,
    search: str = "",
    notice: str = "",
) -> None:
    """Give an application the frame, with /login and /logout under a prefix.

    `places` are the pages of all services, by the names that they have in the navigation; `search`
    is the endpoint that takes the text of the search box as `q`; `notice` is a text above all
    pages. Further calls only add to the navigation: a blueprint may make sure that there is a
    frame.
    """
    frame = app.extensions.setdefault(_EXTENSION, _Frame(places or {}, search))
    frame.links += [link for link in navigation if link not in frame.links]
    # A service and a blueprint in it may both ask for the frame.
    if "service" in app.blueprints:
        return
    blueprint = _blueprint(prefix)
    blueprint.app_context_processor(
        lambda: {
            "navigation": list(frame.items()),
            "search": frame.search,
            "notice": notice,
            "has_login": current_access().has_login,
        }
    )
    app.register_blueprint(blueprint)


def _blueprint(prefix: str) -> Blueprint:
    blueprint = Blueprint(
        "service",
        __name__,
        url_prefix=prefix or None,
        template_folder="templates",
        static_folder="static",
        static_url_path="/service/static",
    )
    blueprint.add_url_rule("/login", "login", _login, methods=["GET", "POST"])
    blueprint.add_url_rule("/logout", "logout", _logout, methods=["POST"])
    blueprint.add_url_rule("/service/session", "session", _session)
    blueprint.after_request(secured)
    return blueprint


def secured(response: Response) -> Response:
    """Give a response the security headers that it lacks; only static files may be cached."""
    lacking = dict(HEADERS)
    if not (request.endpoint or "").endswith(".static"):
        lacking["Cache-Control"] = "no-store"
    response.headers.extend({k: v for k, v in lacking.items() if k not in response.headers})
    return response


def page(template: str, code: int = 200, **values: object) -> Response:
    """A response that a template of a service's page fills.

    Halves of surrogate pairs, which texts from JSON may have but UTF-8 does not, become "?".
    """
    return make_response(render_template(template, **values).encode(errors="replace"), code)


def message_page(
    code: int, title: str, text: str, onward: tuple[str, str] | None = None
) -> Response:
    """A page with one message, as for errors, and a link (its text and address)."""
    return page("page_message.html", code, title=title, text=text, onward=onward)


def _login() -> Any:
    access = current_access()
    if not access.has_login:
        return Response(status=404)
    after = own_path(request.values.get("next", ""))
    key = request.args.get("key", "")
    if request.method == "GET" and not key:
        return redirect(after) if may_view() else _form(after)
    response = redirect(after, 303)
    token = request.form.get("token", "")
    # A key proves enough: its link may be opened from a terminal in another site's page.
    if (not key and other_site_asks()) or not access.log_in(response, token=token, key=key):
        return _form(after, "key" if key else "token")
    return response


def _form(after: str, refused: str = "") -> Response:
    return page("page_login.html", 403 if refused else 200, after=after, refused=refused)


def _logout() -> Any:
    if other_site_asks():
        return Response(status=403)
    response = redirect(url_for("service.login"), 303)
    current_access().log_out(response)
    return response


def _session() -> Any:
    """Whether there is a session: the login asks, as a link from another site hides the cookie."""
    return {"isPerson": may_view()}


def own_path(text: str) -> str:
    """Where to go after the login: a path of this application, and nowhere else.

    Texts that a browser reads as another host, or that no header can hold, lead to the first page
    of the navigation.
    """
    is_own = text.startswith("/") and not text.startswith("//") and "\\" not in text
    return text if is_own and text.isprintable() else _home()


def _home() -> str:
    links = current_app.extensions[_EXTENSION].links
    return url_for(links[0].endpoint) if links else "/"
