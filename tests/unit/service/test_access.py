"""Who may see the pages of an application, and press their buttons."""

from typing import Any

import pytest
from flask import Flask

from service.access import (
    Access,
    own_forms_only,
    script_asks,
    viewers_only,
    viewers_or_proven,
)
from service.auth import AuthSettings, Guard, settings_from
from service.errors import UsageError
from service.iap import HEADER
from service.pages import install_pages
from tests.support.google_identity import IAP_AUDIENCE, Proxy

SECRET = "a-token-of-the-tests"
TOKEN = AuthSettings(token=SECRET)
LOOPBACK = AuthSettings(token=SECRET, page_access="loopback")
IAP = AuthSettings(iap_audience=IAP_AUDIENCE)
LOCAL = "http://localhost"
URLS = ("/page", "/data", "/button")


def client_of(auth: AuthSettings, transport: Any = None) -> Any:
    app = Flask(__name__)
    Guard(auth, transport).install(app)
    Access(auth).install(app)
    install_pages(app)
    app.add_url_rule("/page", "page", viewers_only(lambda: "page"))
    app.add_url_rule("/data", "data", viewers_or_proven(lambda: "data"))
    app.add_url_rule("/button", "button", own_forms_only(lambda: "pressed"), methods=["POST"])
    app.add_url_rule("/script", "script", lambda: {"asks": script_asks()})
    return app.test_client()


def status(client: Any, url: str = "/page", base: str = LOCAL, **options: Any) -> int:
    ask = client.post if url == "/button" else client.get
    found: int = ask(url, base_url=base, **options).status_code
    return found


def logged_in() -> Any:
    client = client_of(TOKEN)
    assert client.post("/login", data={"token": SECRET}).status_code == 303
    return client


# The way of the token


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "upstream", "dfpipe.example.com"])
def test_coming_from_this_machine_opens_nothing(host: str) -> None:
    """A proxy on this machine that adds no header, as nginx's proxy_pass, looks like its owner."""
    client = client_of(TOKEN)
    for url, code in zip(URLS, (302, 403, 403), strict=True):
        assert status(client, url, f"http://{host}") == code


def test_strangers_are_sent_to_the_login_and_back() -> None:
    answer = client_of(TOKEN).get("/page?run=1", base_url=LOCAL)
    assert (answer.status_code, answer.location) == (302, "/login?next=%2Fpage%3Frun%3D1")


def test_a_person_who_has_logged_in_sees_and_presses() -> None:
    client = logged_in()
    assert [status(client, url) for url in URLS] == [200, 200, 200]


def test_a_program_with_the_token_reads_data_and_presses_nothing() -> None:
    proof = {"Authorization": f"Bearer {SECRET}"}
    client = client_of(TOKEN)
    assert status(client, "/data", headers=proof) == 200
    assert status(client, "/button", headers=proof) == 403


@pytest.mark.parametrize("auth", [AuthSettings(), AuthSettings(page_access="iap")])
def test_without_settings_nobody_is_let_in(auth: AuthSettings) -> None:
    client = client_of(auth)
    assert client.post("/login", data={"token": ""}).status_code in (403, 404)
    for url in URLS:
        assert status(client, url) in (302, 403)


def test_an_application_without_an_access_asks_its_guard() -> None:
    client = client_of(TOKEN)
    client.application.extensions.pop("service.access")
    client.post("/login", data={"token": SECRET})
    assert status(client) == 200
    client.application.extensions.clear()
    assert status(client) == 302


# Forms of other sites


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost:1"},
        {"Origin": "null"},
        {"Origin": "http://dfpipe.example.com", "Sec-Fetch-Site": "same-origin"},
    ],
    ids=["other", "neighbor", "origin", "port", "hidden", "proxy that changes the host"],
)
def test_another_site_presses_no_button(headers: dict[str, str]) -> None:
    client = logged_in()
    assert status(client, "/button", headers=headers) == 403
    script = {"X-Requested-With": "XMLHttpRequest"}
    assert not client.get("/script", headers=headers | script).json["asks"]
    for url in ("/login", "/logout"):
        assert client.post(url, data={"token": SECRET}, headers=headers).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "same-origin", "Origin": LOCAL}, {"Origin": LOCAL}, {}],
    ids=["browser", "older browser", "no browser"],
)
def test_the_own_pages_do(headers: dict[str, str]) -> None:
    assert status(logged_in(), "/button", headers=headers) == 200


def test_a_script_says_that_it_is_one() -> None:
    client = client_of(TOKEN)
    assert not client.get("/script").json["asks"]
    assert client.get("/script", headers={"X-Requested-With": "XMLHttpRequest"}).json["asks"]


# The way of loopback, chosen explicitly


@pytest.mark.parametrize("base", [LOCAL, "http://127.0.0.1:8080", "http://[::1]:8080"])
@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.0.9", "::1", "::ffff:127.0.0.1"])
def test_loopback_opens_the_pages_to_this_machine(base: str, address: str) -> None:
    client = client_of(LOOPBACK)
    for url in URLS:
        assert status(client, url, base, environ_base={"REMOTE_ADDR": address}) == 200


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7", "::ffff:192.0.2.7", "", "unix"])
def test_loopback_is_for_nobody_from_elsewhere(address: str) -> None:
    client = client_of(LOOPBACK)
    for url in URLS:
        assert status(client, url, environ_base={"REMOTE_ADDR": address}) == 403


@pytest.mark.parametrize("base", ["http://evil.example", "http://localhost.evil.example:8080"])
def test_another_name_for_this_machine_does_not_open_it(base: str) -> None:
    assert status(client_of(LOOPBACK), base=base) == 403


@pytest.mark.parametrize(
    "name", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via"]
)
def test_a_proxy_that_says_so_is_not_local(name: str) -> None:
    assert status(client_of(LOOPBACK), headers={name: "127.0.0.1"}) == 403


# Google's Identity-Aware Proxy


@pytest.fixture(scope="module")
def proxy() -> Proxy:
    return Proxy()


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({}, 200),
        ({"aud": "/projects/2"}, 403),
        ({"iss": "https://evil.example"}, 403),
        ({"exp": 1}, 403),
        ({"email": ""}, 403),
    ],
    ids=["person", "audience", "issuer", "expired", "nobody"],
)
def test_the_proxy_lets_people_through(proxy: Proxy, claims: dict[str, Any], code: int) -> None:
    client = client_of(IAP, proxy)
    headers = {HEADER: proxy.assertion(**claims), "X-Forwarded-For": "192.0.2.9"}
    away = {"REMOTE_ADDR": "192.0.2.7"}
    for url in URLS:
        assert status(client, url, headers=headers, environ_base=away) == code


@pytest.mark.parametrize("junk", ["", "junk", "nested", "another's"])
def test_what_the_proxy_did_not_sign_is_refused(proxy: Proxy, junk: str, nested_jwt: str) -> None:
    text = {"nested": nested_jwt, "another's": Proxy().assertion()}.get(junk, junk)
    headers = {HEADER: text, "X-Goog-Authenticated-User-Email": "ann@example.com"}
    assert [status(client_of(IAP, proxy), url, headers=headers) for url in URLS] == [403] * 3


def test_another_site_presses_no_button_through_the_proxy(proxy: Proxy) -> None:
    sent = {HEADER: proxy.assertion(), "Sec-Fetch-Site": "cross-site"}
    assert status(client_of(IAP, proxy), "/button", headers=sent) == 403


def test_without_a_proxy_its_header_says_nothing(proxy: Proxy) -> None:
    assert status(client_of(TOKEN, proxy), headers={HEADER: proxy.assertion()}) == 302


# Settings


def test_who_may_see_pages_is_in_the_environment(caplog: pytest.LogCaptureFixture) -> None:
    def way(environment: dict[str, str]) -> str:
        return Access(settings_from(environment)).way

    assert way({}) == "token"
    assert way({"DFPIPE_IAP_AUDIENCE": "a"}) == "iap"
    assert way({"DFPIPE_PAGE_ACCESS": "loopback", "DFPIPE_IAP_AUDIENCE": "a"}) == "loopback"
    assert caplog.messages == []
    assert way({"LAUNCHER_LOOK": "loopback"}) == "loopback"
    assert caplog.messages == ["LAUNCHER_LOOK is an old name: set DFPIPE_PAGE_ACCESS instead"]


@pytest.mark.parametrize(
    ("way", "message"),
    [
        ("all", "DFPIPE_PAGE_ACCESS is 'all': expected token, iap, loopback"),
        ("token", "DFPIPE_PAGE_ACCESS is token, but DFPIPE_TASK_TOKEN is not set"),
        ("iap", "DFPIPE_PAGE_ACCESS is iap, but DFPIPE_IAP_AUDIENCE is not set"),
    ],
)
def test_settings_that_let_nobody_in_are_refused(way: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        settings_from({"DFPIPE_PAGE_ACCESS": way})
