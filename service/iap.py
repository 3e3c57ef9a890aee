"""Google's Identity-Aware Proxy: it signs each request of the people that it lets through."""

from service.auth import Headers, Transport

HEADER = "X-Goog-IAP-JWT-Assertion"
CERTIFICATES = "https://www.gstatic.com/iap/verify/public_key"
ISSUER = "https://cloud.google.com/iap"


def iap_email(headers: Headers, audience: str, transport: Transport) -> str | None:
    """The e-mail address of the person that the proxy let through; None without its signature."""
    from google.auth.exceptions import GoogleAuthError
    from google.oauth2 import id_token

    assertion = headers.get(HEADER, "")
    if not assertion:
        return None
    try:
        claims = id_token.verify_token(assertion, transport, audience, CERTIFICATES)
    # A header of JSON nested too deeply raises the last.
    except (ValueError, KeyError, GoogleAuthError, RecursionError):
        return None
    return str(claims.get("email") or "") or None if claims.get("iss") == ISSUER else None
