"""Who may look at the launcher's pages and press their buttons: three ways, chosen by a setting.

- `loopback`, the default: whoever sits at this machine, and nobody by way of a proxy.
- `token`: a person who has logged in with the shared token; see service.sessions.
- `iap`: whom Google's Identity-Aware Proxy let through; its assertion is verified.
"""

import functools
import ipaddress
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Response, abort, redirect, request, url_for

from service.auth import request_is_proven
from service.sessions import is_person, other_site_asks

View = Callable[..., Any]
# A proxy on this machine connects from it too; it says for whom by one of these.
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via")


class Access:
    """Who may look at one application, which has a guard (service.auth)."""

    def __init__(self, look: str) -> None:
        self.look = look

    def may_look(self) -> bool:
        """Whether the request that is answered now comes from one who may look."""
        return is_local() if self.look == "loopback" else is_person()

    def looked_at(self, view: View) -> View:
        """Let a page be seen by those who may look; others are sent to the login, if there is one.

        Where there is none they are answered 403 with an empty body.
        """

        @functools.wraps(view)
        def checked(*args: Any, **kwargs: Any) -> Any:
            if self.may_look():
                return view(*args, **kwargs)
            if self.look != "token":
                abort(Response(status=403))
            here = request.full_path.rstrip("?")
            return redirect(f"{url_for('pages.login')}?{urlencode({'next': here})}")

        return checked

    def read(self, view: View) -> View:
        """Let data be read by those who may look, and by proven requests; to others 403."""

        @functools.wraps(view)
        def checked(*args: Any, **kwargs: Any) -> Any:
            if not (self.may_look() or request_is_proven()):
                abort(Response(status=403))
            return view(*args, **kwargs)

        return checked

    def pressed(self, view: View) -> View:
        """Let a button's form be sent from these pages by those who may look; to others 403."""

        @functools.wraps(view)
        def checked(*args: Any, **kwargs: Any) -> Any:
            if other_site_asks() or not self.may_look():
                abort(Response(status=403))
            return view(*args, **kwargs)

        return checked


def is_local() -> bool:
    """Whether the request was made on this machine, to this machine, past no proxy.

    The host is looked at too: a page of another site may give its own name this address.
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
