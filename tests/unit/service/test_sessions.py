"""Whether a person asks: sessions after a login, and the assertions of Google's proxy."""

import json
import time
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask, Response, request
from google.auth import jwt
from google.auth.crypt import es256

from service import sessions
from service.auth import AuthSettings, Guard, settings_from
from service.sessions import COOKIE, IAP_CERTIFICATES, IAP_HEADER, is_session, new_session

SECRET = "a-token-of-the-tests"
AUDIENCE = "/projects/1/apps/one"
TOKEN = AuthSettings(token=SECRET)
NOW = 1_800_000_000.0


def test_a_session_ends_by_itself() -> None:
    cookie = new_session(TOKEN, NOW)
    assert is_session(TOKEN, cookie, NOW)
    assert is_session(TOKEN, cookie, NOW + sessions.SESSION_SECONDS - 1)
    assert not is_session(TOKEN, cookie, NOW + sessions.SESSION_SECONDS)


def test_a_session_holds_no_token_and_is_never_the_same() -> None:
    cookies = {new_session(TOKEN, NOW) for _ in range(5)}
    assert len(cookies) == 5
    assert not any(SECRET in cookie for cookie in cookies)


@pytest.mark.parametrize("name", ["none", "no seal", "longer", "other token", "other letters"])
def test_what_is_no_session(name: str) -> None:
    cookie = new_session(TOKEN, NOW)
    end, rest = cookie.split(".", 1)
    forged = {
        "none": "",
        "no seal": cookie.rpartition(".")[0],
        "longer": f"{int(end) + 1}.{rest}",
        "other token": new_session(AuthSettings(token="another-token-of-them"), NOW),
        "other letters": "ⅷ.ü.\N{SNOWMAN}",
    }[name]
    assert not is_session(TOKEN, forged, NOW)


def test_without_a_token_there_is_no_session() -> None:
    nothing = AuthSettings()
    assert not is_session(nothing, new_session(nothing, NOW), NOW)


# In an application


def application(settings: AuthSettings, transport: Any = None) -> Any:
    """A client of an application that tells what it makes of a request."""
    app = Flask(__name__)
    Guard(settings, transport).install(app)

    @app.get("/")
    def told() -> dict[str, bool]:
        return {
            "person": sessions.is_person(),
            "script": sessions.script_asks(),
            "other": sessions.other_site_asks(),
        }

    @app.post("/in")
    def sign_in() -> Response:
        response = Response()
        response.status_code = 200 if sessions.sign_in(response, request.form["token"]) else 403
        return response

    @app.post("/out")
    def sign_out() -> Response:
        response = Response()
        sessions.sign_out(response)
        return response

    return app.test_client()


def test_a_person_logs_in_and_out() -> None:
    client = application(TOKEN)
    assert not client.get("/").json["person"]
    answer = client.post("/in", data={"token": SECRET})
    cookie = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert client.get("/").json["person"]
    client.post("/out")
    assert not client.get("/").json["person"]


def test_behind_tls_the_cookie_is_for_tls_alone() -> None:
    headers = {"X-Forwarded-Proto": "https"}
    answer = application(TOKEN).post("/in", data={"token": SECRET}, headers=headers)
    assert "Secure" in answer.headers["Set-Cookie"].split("; ")


@pytest.mark.parametrize("settings", [TOKEN, AuthSettings()], ids=["token", "no token"])
@pytest.mark.parametrize("token", ["", "another", f"{SECRET} "], ids=["empty", "other", "longer"])
def test_another_token_begins_no_session(settings: AuthSettings, token: str) -> None:
    client = application(settings)
    answer = client.post("/in", data={"token": token})
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


def test_without_a_guard_nobody_is_let_in() -> None:
    client = application(TOKEN)
    client.application.extensions.clear()
    assert client.post("/in", data={"token": SECRET}).status_code == 403
    assert not client.get("/").json["person"]


@pytest.mark.parametrize(
    ("headers", "is_other"),
    [
        ({}, False),
        ({"Sec-Fetch-Site": "same-origin"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Sec-Fetch-Site": "same-site"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, True),
        ({"Origin": "http://localhost"}, False),
        ({"Origin": "http://evil.example"}, True),
        ({"Origin": "null"}, True),
    ],
    ids=["neither", "own", "typed", "neighbour", "other", "own origin", "other origin", "hidden"],
)
def test_forms_that_another_site_sends(headers: dict[str, str], is_other: bool) -> None:
    assert application(TOKEN).get("/", headers=headers).json["other"] is is_other


def test_a_script_says_that_it_is_one() -> None:
    client = application(TOKEN)
    assert not client.get("/").json["script"]
    assert client.get("/", headers={"X-Requested-With": "XMLHttpRequest"}).json["script"]


# Google's Identity-Aware Proxy


class Proxy:
    """Signs assertions, and serves its keys as a transport does."""

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        self._signer = es256.ES256Signer.from_string(pem, "key-1")
        self._public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def assertion(self, **claims: Any) -> str:
        now = int(time.time())
        about = {
            "iss": sessions.IAP_ISSUER,
            "aud": AUDIENCE,
            "email": "ann@example.com",
            "iat": now - 10,
            "exp": now + 600,
        }
        return str(jwt.encode(self._signer, {**about, **claims}).decode())

    def __call__(self, url: str, method: str = "GET", **options: Any) -> Any:
        assert (url, method) == (IAP_CERTIFICATES, "GET")
        return SimpleNamespace(
            status=200, data=json.dumps({"key-1": self._public.decode()}).encode()
        )


@pytest.fixture(scope="module")
def proxy() -> Proxy:
    return Proxy()


def comes_through(proxy: Proxy, assertion: str, audience: str | None = AUDIENCE) -> bool:
    client = application(AuthSettings(iap_audience=audience), proxy)
    return bool(client.get("/", headers={IAP_HEADER: assertion}).json["person"])


def test_a_person_comes_through_the_proxy(proxy: Proxy) -> None:
    assert comes_through(proxy, proxy.assertion())


@pytest.mark.parametrize(
    "claims",
    [{"aud": "/projects/2"}, {"iss": "https://evil.example"}, {"exp": 1}, {"email": ""}],
    ids=["audience", "issuer", "expired", "nobody"],
)
def test_other_assertions_are_refused(proxy: Proxy, claims: dict[str, Any]) -> None:
    assert not comes_through(proxy, proxy.assertion(**claims))


def test_assertions_that_another_has_signed_are_refused(proxy: Proxy) -> None:
    assert not comes_through(proxy, Proxy().assertion())
    assert not comes_through(proxy, "junk")
    assert not comes_through(proxy, "")


def test_without_a_proxy_its_header_says_nothing(proxy: Proxy) -> None:
    assert not comes_through(proxy, proxy.assertion(), audience=None)


def test_the_proxy_is_named_in_the_environment() -> None:
    assert settings_from({"DFPIPE_IAP_AUDIENCE": AUDIENCE}).iap_audience == AUDIENCE
    assert settings_from({}).iap_audience is None


def test_a_login_cookie_has_the_name_that_is_documented() -> None:
    assert COOKIE == "dfpipe_session"
