"""Whether a person is at the other end: the one answer for the pages of all services.

- On a laptop, or wherever the shared token is set, a person gives that token once. The browser then
  keeps a cookie that is signed with the token but does not hold it, and that ends by itself.
- Behind Google's Identity-Aware Proxy every request carries an assertion that Google signed.

A browser sends either of them also with requests that another site made it send. So whatever
changes something, or gives data, is to be asked for by a script of one's own page: see
`script_asks`.
"""

import hashlib
import hmac
import secrets
import time
from typing import Any
from urllib.parse import urlsplit

from service.auth import AuthSettings, Guard, Headers, Transport, current_guard, same

COOKIE = "dfpipe_session"
SESSION_SECONDS = 12 * 3600
IAP_HEADER = "X-Goog-IAP-JWT-Assertion"
IAP_CERTIFICATES = "https://www.gstatic.com/iap/verify/public_key"
IAP_ISSUER = "https://cloud.google.com/iap"


def new_session(settings: AuthSettings, now: float) -> str:
    """The value of a session's cookie: when it ends, something random, and a seal over both."""
    text = f"{int(now) + SESSION_SECONDS}.{secrets.token_urlsafe(12)}"
    return f"{text}.{_seal(settings, text)}"


def is_session(settings: AuthSettings, cookie: str, now: float) -> bool:
    """Whether a cookie is that of a session that goes on."""
    text, _, seal = cookie.rpartition(".")
    if not settings.token or not same(seal, _seal(settings, text)):
        return False
    return int(text.partition(".")[0]) > now


def _seal(settings: AuthSettings, text: str) -> str:
    # Another token ends all sessions.
    key = (settings.token or "").encode()
    return hmac.new(key, f"session {text}".encode(), hashlib.sha256).hexdigest()


def iap_email(headers: Headers, audience: str, transport: Transport) -> str | None:
    """The e-mail address of the person whom the Identity-Aware Proxy let through."""
    from google.auth.exceptions import GoogleAuthError
    from google.oauth2 import id_token

    assertion = headers.get(IAP_HEADER, "")
    if not assertion:
        return None
    try:
        claims = id_token.verify_token(assertion, transport, audience, IAP_CERTIFICATES)
    except (ValueError, KeyError, GoogleAuthError):
        return None
    return str(claims.get("email") or "") or None if claims.get("iss") == IAP_ISSUER else None


# Of the request that a Flask application answers now


def is_person(now: float | None = None) -> bool:
    """Whether a person who may look asks."""
    from flask import request

    guard = current_guard()
    if guard is None:
        return False
    settings = guard.settings
    if is_session(settings, request.cookies.get(COOKIE, ""), time.time() if now is None else now):
        return True
    return _came_by_proxy(guard, request.headers)


def _came_by_proxy(guard: Guard, headers: Headers) -> bool:
    audience = guard.settings.iap_audience
    return bool(audience) and iap_email(headers, str(audience), guard.transport) is not None


def script_asks() -> bool:
    """Whether a script of the service's own pages asks.

    Another site's script cannot send this header without being allowed to, which nobody is.
    """
    from flask import request

    return request.headers.get("X-Requested-With", "") == "XMLHttpRequest"


def other_site_asks() -> bool:
    """Whether the browser says that another site has made it send this form."""
    from flask import request

    site = request.headers.get("Sec-Fetch-Site", "")
    if site:
        return site not in ("same-origin", "none")
    origin = request.headers.get("Origin", "")
    return bool(origin) and urlsplit(origin).netloc != request.host


def sign_in(response: Any, token: str) -> bool:
    """Let a response begin a session, if that is the token; returns whether it is."""
    guard = current_guard()
    if guard is None or not guard.settings.token or not same(token, guard.settings.token):
        return False
    _set_cookie(response, new_session(guard.settings, time.time()), SESSION_SECONDS)
    return True


def sign_out(response: Any) -> None:
    """Let a response end the browser's session."""
    _set_cookie(response, "", 0)


def _set_cookie(response: Any, value: str, seconds: int) -> None:
    from flask import request

    # A proxy that speaks TLS to the browser says so; on a laptop there is none.
    is_secure = request.is_secure or request.headers.get("X-Forwarded-Proto", "") == "https"
    response.set_cookie(
        COOKIE, value, max_age=seconds, httponly=True, samesite="Strict", secure=is_secure, path="/"
    )
