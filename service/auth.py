"""Decides whether a request may start work, for the cron and task handlers of all services.

Such a request changes something, so it is refused unless it proves that the platform sent it:

- on App Engine by a header that App Engine strips from requests from outside;
- elsewhere by an OIDC token that Google signed for this service and a known service account;
- on a laptop by a token that both sides read from the environment.

Which people may see pages, service.access says.
"""

import functools
import hmac
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ParamSpec, Protocol, TypeVar

from service.errors import UsageError

APP_ENGINE_HEADERS = ("X-Appengine-Cron", "X-Appengine-TaskName")
TOKEN = "DFPIPE_TASK_TOKEN"  # noqa: S105  # the name of a variable
AUDIENCE = "DFPIPE_TASK_AUDIENCE"
SERVICE_ACCOUNTS = "DFPIPE_TASK_SERVICE_ACCOUNTS"
IAP_AUDIENCE = "DFPIPE_IAP_AUDIENCE"
PAGE_ACCESS = "DFPIPE_PAGE_ACCESS"
OLD_PAGE_ACCESS = "LAUNCHER_LOOK"
WAYS = ("token", "iap", "loopback")
SHORTEST_TOKEN = 16
CERTIFICATES_SECONDS = 3600
_EXTENSION = "service.guard"

# What google.auth calls a request: it fetches a URL.
Transport = Callable[..., Any]
Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")

_logger = logging.getLogger(__name__)


class Headers(Protocol):
    """The headers of a request, by name."""

    def get(self, name: str, default: str, /) -> str:
        """The value of a header, whatever the case of its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSettings:
    """What proves a request. `audience` is the audience that OIDC tokens must have.

    `iap_audience` is the audience of the assertions that Google's Identity-Aware Proxy signs.
    `page_access` is who may see pages: token, iap or loopback (see service.access); empty for iap
    where there is an audience, else token.
    """

    on_app_engine: bool = False
    token: str | None = None
    audience: str | None = None
    service_accounts: frozenset[str] = frozenset()
    iap_audience: str | None = None
    page_access: str = ""


def settings_from(environment: Mapping[str, str]) -> AuthSettings:
    """The settings that the environment holds.

    Raises UsageError for a token that is too short to be a secret, and where one of audience and
    service accounts is missing.
    """
    token = environment.get(TOKEN) or None
    if token and len(token) < SHORTEST_TOKEN:
        raise UsageError(
            f"{TOKEN} has {len(token)} characters: give at least {SHORTEST_TOKEN}, "
            "as from `python -c 'import secrets; print(secrets.token_urlsafe())'`"
        )
    accounts = frozenset(environment.get(SERVICE_ACCOUNTS, "").replace(",", " ").split())
    audience = environment.get(AUDIENCE) or None
    iap_audience = environment.get(IAP_AUDIENCE) or None
    if bool(audience) != bool(accounts):
        raise UsageError(
            f"only one of {AUDIENCE} and {SERVICE_ACCOUNTS} is set: set both or neither"
        )
    return AuthSettings(
        on_app_engine=bool(environment.get("GAE_ENV") or environment.get("GAE_SERVICE")),
        token=token,
        audience=audience,
        service_accounts=accounts,
        iap_audience=iap_audience,
        page_access=_page_access(environment, token, iap_audience),
    )


def _page_access(environment: Mapping[str, str], token: str | None, iap: str | None) -> str:
    name = PAGE_ACCESS
    if environment.get(OLD_PAGE_ACCESS) and not environment.get(PAGE_ACCESS):
        name = OLD_PAGE_ACCESS
        _logger.warning("%s is an old name: set %s instead", name, PAGE_ACCESS)
    way = environment.get(name, "").strip()
    if way and way not in WAYS:
        raise UsageError(f"{name} is {way!r}: expected {', '.join(WAYS)}")
    if way == "token" and not token:
        raise UsageError(f"{name} is token, but {TOKEN} is not set: set it")
    if way == "iap" and not iap:
        raise UsageError(f"{name} is iap, but {IAP_AUDIENCE} is not set: set it")
    return way


class CachingTransport:
    """Fetches Google's certificates at most once an hour; safe for threads."""

    def __init__(
        self, transport: Transport | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, Any]] = {}

    def __call__(self, url: str, method: str = "GET", **options: object) -> Any:
        """The answer to a GET, perhaps one of the last hour."""
        with self._lock:
            until, response = self._kept.get(url, (0.0, None))
            if response is None or until <= self._clock():
                self._transport = self._transport or google_transport()
                response = self._transport(url, method=method, **options)
                if response.status == 200:
                    self._kept[url] = self._clock() + CERTIFICATES_SECONDS, response
        return response


def google_transport() -> Transport:
    """The HTTP session with which google.auth fetches Google's keys."""
    import urllib3
    from google.auth.transport.urllib3 import Request

    transport: Transport = Request(urllib3.PoolManager(retries=2, timeout=10))
    return transport


def bearer(headers: Headers) -> str:
    """The token of the header Authorization; empty where there is none."""
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def oidc_email(token: str, audience: str, transport: Transport) -> str | None:
    """The verified e-mail address in an OIDC token that Google signed for the audience."""
    from google.auth.exceptions import GoogleAuthError
    from google.oauth2 import id_token

    try:
        claims = id_token.verify_oauth2_token(token, transport, audience)
    # A header of JSON nested too deeply raises the last.
    except (ValueError, KeyError, GoogleAuthError, RecursionError) as error:
        _logger.info("OIDC token refused: %s", error)
        return None
    return str(claims.get("email")) if claims.get("email_verified") is True else None


class Guard:
    """Decides for one service. `transport` fetches Google's certificates."""

    def __init__(self, settings: AuthSettings, transport: Transport | None = None) -> None:
        self.settings = settings
        self.transport = transport or CachingTransport()

    def allows(self, headers: Headers) -> bool:
        """Whether a request with these headers, whose names ignore case, may start work."""
        settings = self.settings
        if settings.on_app_engine and any(headers.get(name, "") for name in APP_ENGINE_HEADERS):
            return True
        token = bearer(headers)
        if not token:
            return False
        if settings.token and same(token, settings.token):
            return True
        if not settings.audience:
            return False
        return oidc_email(token, settings.audience, self.transport) in settings.service_accounts

    def install(self, app: Any) -> None:
        """Let the handlers of a Flask application that are `proven` ask this guard."""
        app.extensions[_EXTENSION] = self


def same(given: str, secret: str) -> bool:
    """Whether two secrets are equal, in constant time."""
    return hmac.compare_digest(given.encode(), secret.encode())


def proven(view: Callable[Arguments, Answer]) -> Callable[Arguments, Answer]:
    """Let a Flask view be called only by requests that the application's guard allows.

    Others are answered 403 with an empty body. The application needs a guard: see Guard.install.
    """

    @functools.wraps(view)
    def checked(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
        from flask import Response, abort

        if not request_is_proven():
            abort(Response(status=403))
        return view(*args, **kwargs)

    return checked


def changing(view: Callable[Arguments, Answer]) -> Callable[Arguments, Answer]:
    """Let proven requests change something by GET, which cron sends, but not by HEAD.

    Flask answers HEAD wherever it answers GET, but a HEAD must not change anything: it gets 405.
    """

    @functools.wraps(view)
    def checked(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
        from flask import Response, abort, request

        if request.method == "HEAD":
            rule = request.url_rule
            allowed = set(rule.methods or ()) if rule is not None else set()
            abort(Response(status=405, headers={"Allow": ", ".join(sorted(allowed - {"HEAD"}))}))
        return view(*args, **kwargs)

    return proven(checked)


def request_is_proven() -> bool:
    """Whether the guard of the Flask application allows the request that is being answered."""
    from flask import request

    guard = current_guard()
    return guard is not None and guard.allows(request.headers)


def current_guard() -> Guard | None:
    """The guard of the Flask application that answers a request now, where it has one."""
    from flask import current_app

    guard: Guard | None = current_app.extensions.get(_EXTENSION)
    return guard


class OidcTokens:
    """OIDC tokens for an audience, from Google, for this process's service account."""

    def __init__(self, transport: Transport | None = None) -> None:
        self._transport = transport
        self._lock = threading.Lock()
        self._credentials: dict[str, Any] = {}

    def token(self, audience: str) -> str:
        """A token that is still valid for some minutes; raises GoogleAuthError."""
        from google.oauth2 import id_token

        with self._lock:
            self._transport = self._transport or google_transport()
            if audience not in self._credentials:
                self._credentials[audience] = id_token.fetch_id_token_credentials(
                    audience, request=self._transport
                )
            credentials = self._credentials[audience]
            if not credentials.valid:
                credentials.refresh(self._transport)
            return str(credentials.token)


# Gives the headers that prove a request to the service at a URL.
Credentials = Callable[[str], Mapping[str, str]]


def credentials_from(settings: AuthSettings, tokens: OidcTokens | None = None) -> Credentials:
    """What a dispatcher with these settings sends: the shared token, an OIDC token, or nothing."""
    if settings.token:
        header = {"Authorization": f"Bearer {settings.token}"}
        return lambda url: header
    if settings.audience:
        audience, minted = settings.audience, tokens or OidcTokens()
        return lambda url: {"Authorization": f"Bearer {minted.token(audience)}"}
    return lambda url: {}
