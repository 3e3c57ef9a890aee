"""Which requests may start work."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from werkzeug.datastructures import Headers

from service.auth import (
    AuthSettings,
    CachingTransport,
    Guard,
    OidcTokens,
    bearer,
    changing,
    credentials_from,
    proven,
    settings_from,
)
from service.errors import UsageError
from tests.support.google_identity import ACCOUNT, AUDIENCE, Google

SECRET = "a-token-of-the-tests"
OIDC = AuthSettings(audience=AUDIENCE, service_accounts=frozenset({ACCOUNT}))


@pytest.fixture(scope="module")
def google() -> Google:
    return Google()


def allows(settings: AuthSettings, headers: Mapping[str, str], google: Any = None) -> bool:
    return Guard(settings, google).allows(Headers(dict(headers)))


def with_token(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("name", ["X-Appengine-Cron", "X-AppEngine-TaskName"])
def test_the_headers_of_app_engine_count_only_there(name: str) -> None:
    assert allows(AuthSettings(on_app_engine=True), {name: "true"})
    assert not allows(AuthSettings(on_app_engine=True), {name: ""})
    assert not allows(AuthSettings(), {name: "true"})
    assert not allows(AuthSettings(token=SECRET), {name: "true"})


def test_nothing_is_allowed_without_settings() -> None:
    assert not allows(AuthSettings(), with_token("anything"))
    assert not allows(AuthSettings(), {})


def test_the_shared_token() -> None:
    settings = AuthSettings(token=SECRET)
    assert allows(settings, with_token(SECRET))
    for headers in (
        {},
        with_token(SECRET + "x"),
        with_token(""),
        {"Authorization": SECRET},
        {"Authorization": f"Basic {SECRET}"},
        with_token("é"),
    ):
        assert not allows(settings, headers)


def test_a_token_that_google_signed(google: Google) -> None:
    assert allows(OIDC, with_token(google.token()), google)


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://other.example"},
        {"email": "stranger@project.example"},
        {"email_verified": False},
        {"email": None},
        {"iss": "https://issuer.example"},
        {"exp": 1_000_000_000, "iat": 999_999_000},
    ],
)
def test_a_token_for_something_else(google: Google, claims: dict[str, Any]) -> None:
    assert not allows(OIDC, with_token(google.token(**claims)), google)


def test_a_token_that_another_signed(google: Google) -> None:
    assert not allows(OIDC, with_token(Google().token()), google)
    for broken in ("x", "a.b.c", "a.b.c.d", google.token()[:-4]):
        assert not allows(OIDC, with_token(broken), google)


def test_certificates_that_cannot_be_fetched_let_nobody_in(google: Google) -> None:
    def down(url: str, **_: Any) -> Any:
        return SimpleNamespace(status=500, data=b"")

    assert not allows(OIDC, with_token(google.token()), CachingTransport(down))


def test_certificates_are_fetched_once_an_hour(google: Google) -> None:
    now = [0.0]
    transport = CachingTransport(google, clock=lambda: now[0])
    before = google.fetched
    for seconds, fetched in ((0, 1), (3599, 1), (3601, 2)):
        now[0] = seconds
        assert allows(OIDC, with_token(google.token()), transport)
        assert google.fetched - before == fetched


def test_settings_come_from_the_environment() -> None:
    assert settings_from({}) == AuthSettings()
    assert settings_from({"GAE_ENV": "standard"}).on_app_engine
    assert settings_from({"GAE_SERVICE": "default"}).on_app_engine
    assert settings_from({"DFPIPE_TASK_TOKEN": SECRET}).token == SECRET
    both = {"DFPIPE_TASK_AUDIENCE": AUDIENCE, "DFPIPE_TASK_SERVICE_ACCOUNTS": f"{ACCOUNT}, b@c.d"}
    assert settings_from(both).service_accounts == {ACCOUNT, "b@c.d"}


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(UsageError, match="DFPIPE_TASK_TOKEN has 5 characters: give at least 16"):
        settings_from({"DFPIPE_TASK_TOKEN": "short"})
    for name in ("DFPIPE_TASK_AUDIENCE", "DFPIPE_TASK_SERVICE_ACCOUNTS"):
        with pytest.raises(UsageError, match="set both or neither"):
            settings_from({name: "x"})


def test_a_view_is_guarded() -> None:
    app = Flask(__name__)

    @app.post("/work/<name>")
    @proven
    def work(name: str) -> str:
        return f"did {name}"

    client = app.test_client()
    # An application that forgot its guard is closed, not open.
    assert client.post("/work/a", headers=with_token(SECRET)).status_code == 403
    Guard(AuthSettings(token=SECRET)).install(app)
    refused = client.post("/work/a")
    assert (refused.status_code, refused.data) == (403, b"")
    assert client.post("/work/a", headers=with_token(SECRET)).data == b"did a"


def test_a_head_request_changes_nothing() -> None:
    app = Flask(__name__)
    Guard(AuthSettings(token=SECRET)).install(app)
    done = []

    @app.route("/work/<name>", methods=["GET", "POST"])
    @changing
    def work(name: str) -> str:
        done.append(name)
        return "did it"

    client = app.test_client()
    assert client.head("/work/a").status_code == 403
    refused = client.head("/work/a", headers=with_token(SECRET))
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, OPTIONS, POST")
    assert done == []
    assert client.get("/work/a", headers=with_token(SECRET)).data == b"did it"
    assert client.post("/work/b", headers=with_token(SECRET)).data == b"did it"
    assert done == ["a", "b"]


def test_what_a_dispatcher_sends() -> None:
    assert credentials_from(AuthSettings())("http://h") == {}
    assert credentials_from(AuthSettings(token=SECRET))("http://h") == with_token(SECRET)

    class Tokens(OidcTokens):
        def token(self, audience: str) -> str:
            return f"for {audience}"

    assert credentials_from(OIDC, Tokens())("http://h") == with_token(f"for {AUDIENCE}")


def test_an_oidc_token_is_minted_once_while_it_is_valid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    minted = []

    class Credentials:
        valid = False
        token = None

        def refresh(self, transport: Any) -> None:
            minted.append(transport)
            self.valid, self.token = True, f"token-{len(minted)}"

    made: list[Any] = []
    monkeypatch.setattr(
        "google.oauth2.id_token.fetch_id_token_credentials",
        lambda audience, request: made.append((audience, request)) or Credentials(),
    )
    tokens = OidcTokens("transport")
    assert [tokens.token(AUDIENCE), tokens.token(AUDIENCE)] == ["token-1", "token-1"]
    assert made == [(AUDIENCE, "transport")]


def test_bearer_ignores_case_and_space() -> None:
    assert bearer(Headers({"authorization": "bearer  x "})) == "x"
    assert bearer(Headers()) == ""


def test_a_token_of_json_too_deep_is_refused(google: Google, nested_jwt: str) -> None:
    assert not allows(OIDC, with_token(nested_jwt), google)
