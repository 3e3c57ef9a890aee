"""Identifies callers of the REST API, and checks them against the acl of a queue."""

import re
from collections.abc import Callable
from pathlib import Path

from service.auth import CachingTransport, Headers, Transport, bearer, oidc_email, same
from taskqueue.errors import ConfigError

# The e-mail address of the caller; None if the request proves none.
Authenticate = Callable[[Headers], str | None]
_LINE = re.compile(r"(\S+)\s+([^@\s]+@[^@\s]+)")


def read_tokens(file: str | Path) -> dict[str, str]:
    """The e-mail addresses by token of a file with a token and an address in each line.

    Skips empty lines and those that begin with #. Raises ConfigError.
    """
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"cannot read {file}: {reason}") from error
    tokens = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if not match:
            raise ConfigError(f"{file}:{number}: expected `TOKEN EMAIL`")
        tokens[match[1]] = match[2]
    if not tokens:
        raise ConfigError(f"{file} has no tokens: write a line `TOKEN EMAIL` for each user")
    return tokens


def by_tokens(tokens: dict[str, str]) -> Authenticate:
    """Identify callers by their bearer tokens."""

    def authenticate(headers: Headers) -> str | None:
        given = bearer(headers)
        # All are compared, so that the time does not tell which.
        found = [email for token, email in tokens.items() if same(given, token)]
        return found[0] if found else None

    return authenticate


def by_oidc(audience: str, transport: Transport | None = None) -> Authenticate:
    """Identify callers by OIDC tokens that Google signed for the audience."""
    cached = transport or CachingTransport()

    def authenticate(headers: Headers) -> str | None:
        token = bearer(headers)
        return oidc_email(token, audience, cached) if token else None

    return authenticate
