"""Who may look at the launcher's pages, and press their buttons."""

from typing import Any

import pytest
from flask import Flask

from launcher.pages.access import Access
from service.auth import AuthSettings, Guard
from service.sessions import IAP_HEADER
from tests.unit.service.test_sessions import AUDIENCE, Proxy

SECRET = "a-token-of-the-tests"
TOKEN = AuthSettings(token=SECRET)
LOCAL = "http://localhost"


def client_of(look: str, auth: AuthSettings = TOKEN, transport: Any = None) -> Any:
    app = Flask(__name__)
    Guard(auth, transport).install(app)
    access = Access(look)
    app.add_url_rule("/page", "page", access.looked_at(lambda: "page"))
    app.add_url_rule("/data", "data", access.read(lambda: "data"))
    app.add_url_rule("/button", "button", access.pressed(lambda: "pressed"), methods=["POST"])
    app.add_url_rule("/pages/login", "pages.login", lambda: "login")
    return app.test_client()


def status(client: Any, url: str = "/page", base: str = LOCAL, **options: Any) -> int:
    ask = client.post if url == "/button" else client.get
    found: int = ask(url, base_url=base, **options).status_code
    return found


@pytest.mark.parametrize("base", [LOCAL, "http://127.0.0.1:8080", "http://[::1]:8080"])
@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.0.9", "::1", "::ffff:127.0.0.1"])
def test_whoever_sits_at_the_machine_may_look(base: str, address: str) -> None:
    client = client_of("loopback")
    place = {"REMOTE_ADDR": address}
    for url in ("/page", "/data", "/button"):
        assert status(client, url, base, environ_base=place) == 200


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7", "::ffff:192.0.2.7", "", "unix"])
def test_nobody_from_elsewhere_may(address: str) -> None:
    client = client_of("loopback")
    for url in ("/page", "/data", "/button"):
        assert status(client, url, environ_base={"REMOTE_ADDR": address}) == 403


@pytest.mark.parametrize("base", ["http://evil.example", "http://localhost.evil.example:8080"])
def test_another_name_for_this_machine_does_not_open_it(base: str) -> None:
    assert status(client_of("loopback"), base=base) == 403


@pytest.mark.parametrize(
    "name", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via"]
)
def test_who_comes_by_a_proxy_on_this_machine_is_not_local(name: str) -> None:
    assert status(client_of("loopback"), headers={name: "127.0.0.1"}) == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost:1"},
        {"Origin": "null"},
    ],
    ids=["other site", "other host", "other origin", "other port", "no origin"],
)
def test_another_site_presses_no_button(headers: dict[str, str]) -> None:
    assert status(client_of("loopback"), "/button", headers=headers) == 403


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "same-origin"}, {"Origin": LOCAL}, {}],
    ids=["same site", "same origin", "no browser"],
)
def test_the_own_pages_do(headers: dict[str, str]) -> None:
    assert status(client_of("loopback"), "/button", headers=headers) == 200


def test_with_a_token_a_person_is_sent_to_the_login() -> None:
    client = client_of("token")
    answer = client.get("/page?run=1", base_url=LOCAL)
    assert (answer.status_code, answer.location) == (
        302,
        "/pages/login?next=%2Fpage%3Frun%3D1",
    )
    assert status(client, "/data") == 403
    assert status(client, "/button") == 403


def test_a_script_with_the_token_reads_data_and_presses_nothing() -> None:
    proof = {"Authorization": f"Bearer {SECRET}"}
    client = client_of("token")
    assert status(client, "/data", headers=proof) == 200
    assert status(client, "/button", headers=proof) == 403


def test_whom_the_proxy_let_through_may_look() -> None:
    proxy = Proxy()
    client = client_of("iap", AuthSettings(iap_audience=AUDIENCE), proxy)
    away = {"REMOTE_ADDR": "192.0.2.7"}
    for claims, code in (({}, 200), ({"aud": "/projects/2"}, 403), ({"exp": 1}, 403)):
        headers = {IAP_HEADER: proxy.assertion(**claims), "X-Forwarded-For": "192.0.2.9"}
        for url in ("/page", "/data", "/button"):
            assert status(client, url, headers=headers, environ_base=away) == code
    forged = {IAP_HEADER: Proxy().assertion(), "X-Goog-Authenticated-User-Email": "ann@example.com"}
    assert status(client, headers=forged) == 403
    sent = {IAP_HEADER: proxy.assertion(), "Sec-Fetch-Site": "cross-site"}
    assert status(client, "/button", headers=sent) == 403


def test_without_an_assertion_the_proxy_let_nobody_through() -> None:
    client = client_of("iap", AuthSettings(iap_audience="/projects/1/apps/one"))
    for url in ("/page", "/data", "/button"):
        answer = client.post(url) if url == "/button" else client.get(url, base_url=LOCAL)
        assert (answer.status_code, answer.data) == (403, b"")
