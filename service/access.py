"""Who may see the pages of an application and press their buttons.

    Guard(settings.auth).install(app)
    Access(settings.auth, store=client).install(app)

    @viewers_only            # a page: others are sent to the login
    @viewers_or_proven       # data: others get 403
    @readers_only            # a feed: also whoever has its address with the key
    @own_forms_only          # a button: by viewers, from a page of this application

DFPIPE_PAGE_ACCESS chooses the way:

- `token`: people who have logged in with the shared token, or with a link that works once.
- `iap`: people whom Google's Identity-Aware Proxy let through; the default where there is one.
- `loopback`: everybody who reaches the service from its own machine. Any proxy on this machine
  opens the pages to all who reach the proxy, so this is never the default.
"""

import functools
import ipaddress
from collections.abc import Callable
from typing import Any, ParamSpec
from urllib.parse import urlencode, urlsplit

from flask import Flask, Response, abort, current_app, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from service.auth import AuthSettings, current_guard, request_is_proven, same
from service.iap import iap_email
from service.sessions import (
    COOKIE,
    SESSION_SECONDS,
    Sessions,
    SpentInMemory,
    StoredSpent,
    reading_key,
)

# By which a proxy says for whom it connects.
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via")
Arguments = ParamSpec("Arguments")
View = Callable[Arguments, Any]
_EXTENSION = "service.access"


class Access:
    """Decides for one application, which has a guard (service.auth).

    `store` remembers, for all processes, which sessions were ended; without it each process only
    knows its own.
    """

    def __init__(self, settings: AuthSettings, store: object = None) -> None:
        self.way = settings.page_access or ("iap" if settings.iap_audience else "token")
        self._token = settings.token
        self._iap_audience = settings.iap_audience
        spent = SpentInMemory() if store is None else StoredSpent(store)
        self.sessions = Sessions(settings.token, spent)

    def install(self, app: Flask) -> None:
        """Let the views of an application ask this."""
        app.extensions[_EXTENSION] = self

    @property
    def has_login(self) -> bool:
        """Whether people can log in with the token here."""
        return self.way == "token"

    def may_view(self) -> bool:
        """Whether the request that is answered now comes from a person who may see the pages."""
        if self.way == "token":
            return self.sessions.is_valid(request.cookies.get(COOKIE, ""))
        return is_local() if self.way == "loopback" else self._came_through_proxy()

    def _came_through_proxy(self) -> bool:
        guard = current_guard()
        if guard is None or not self._iap_audience:
            return False
        return iap_email(request.headers, self._iap_audience, guard.transport) is not None

    @property
    def reading_key(self) -> str:
        """The key in the address of a feed; empty where nobody needs one."""
        return reading_key(self._token) if self.has_login and self._token else ""

    def log_in(self, response: AnyResponse, *, token: str = "", key: str = "") -> bool:
        """Let a response begin a session, if the token or the key is right; returns whether."""
        if not self.has_login or not self._token:
            return False
        if not (same(token, self._token) or (key and self.sessions.use_key(key))):
            return False
        _set_cookie(response, self.sessions.begin(), SESSION_SECONDS)
        return True

    def log_out(self, response: AnyResponse) -> None:
        """End the session of the request that is answered now, also for copies of its cookie."""
        self.sessions.end(request.cookies.get(COOKIE, ""))
        _set_cookie(response, "", 0)


def current_access() -> Access:
    """That of the application that answers a request; else one by the settings of its guard."""
    if _EXTENSION not in current_app.extensions:
        guard = current_guard()
        Access(guard.settings if guard else AuthSettings()).install(current_app)
    found: Access = current_app.extensions[_EXTENSION]
    return found


def may_view() -> bool:
    """Whether the request that is answered now comes from a person who may see the pages."""
    return current_access().may_view()


def viewers_only(view: View[Arguments]) -> View[Arguments]:
    """Let viewers alone see a page; others are sent to the login, or get an empty 403."""

    @functools.wraps(view)
    def checked(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Any:
        return view(*args, **kwargs) if may_view() else to_login()

    return checked


def viewers_or_proven(view: View[Arguments]) -> View[Arguments]:
    """Let viewers and proven requests read data; others get an empty 403."""

    @functools.wraps(view)
    def checked(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Any:
        if not (may_view() or request_is_proven()):
            abort(Response(status=403))
        return view(*args, **kwargs)

    return checked


def readers_only(view: View[Arguments]) -> View[Arguments]:
    """Let viewers, proven requests and addresses with the key read a feed; others get 403."""

    @functools.wraps(view)
    def checked(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Any:
        key = current_access().reading_key
        has_key = bool(key) and same(request.args.get("key", ""), key)
        if not (has_key or may_view() or request_is_proven()):
            abort(Response(status=403))
        return view(*args, **kwargs)

    return checked


def own_forms_only(view: View[Arguments]) -> View[Arguments]:
    """Let viewers alone send a form, from a page of this application; others get an empty 403."""

    @functools.wraps(view)
    def checked(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Any:
        if other_site_asks() or not may_view():
            abort(Response(status=403))
        return view(*args, **kwargs)

    return checked


def to_login() -> Any:
    """The way to the login, and from there back to this address; an empty 403 without a login."""
    if not current_access().has_login:
        return Response(status=403)
    here = request.full_path.rstrip("?")
    return redirect(f"{url_for('service.login')}?{urlencode({'next': here})}")


def other_site_asks() -> bool:
    """Whether another site's page made the browser send the request that is answered now.

    Browsers give the Origin with every form. It has to be this host whatever Sec-Fetch-Site says:
    behind a proxy that changes the Host, same-origin is a claim about another name.
    """
    origin = request.headers.get("Origin", "")
    if origin and urlsplit(origin).netloc != request.host:
        return True
    return request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none")


def script_asks() -> bool:
    """Whether a script of this application's own pages asks.

    Another site's script cannot send this header without being allowed to, which nobody is.
    """
    is_script = request.headers.get("X-Requested-With", "") == "XMLHttpRequest"
    return is_script and not other_site_asks()


def is_local() -> bool:
    """Whether the request was made on this machine, to this machine, through no proxy that says so.

    The Host counts too: another site's name may have the address of this machine.
    """
    if any(name in request.headers for name in FORWARDED):
        return False
    return _is_loopback(request.remote_addr or "") and _is_loopback(_host())


def _host() -> str:
    try:
        return urlsplit(f"//{request.host}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    inner = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (inner or address).is_loopback


def _set_cookie(response: AnyResponse, value: str, seconds: int) -> None:
    # A proxy that speaks TLS to the browser says so.
    is_secure = request.is_secure or request.headers.get("X-Forwarded-Proto", "") == "https"
    response.set_cookie(
        COOKIE, value, max_age=seconds, httponly=True, samesite="Strict", secure=is_secure, path="/"
    )
