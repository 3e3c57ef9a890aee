"""The frame of pages: login, logout, headers, navigation."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from dfpipe.datastore import connect
from service.access import Access
from service.auth import AuthSettings, Guard
from service.pages import HEADERS, Link, install_pages, message_page, secured
from service.sessions import COOKIE, login_key

SECRET = "a-token-of-the-tests"
TOKEN = AuthSettings(token=SECRET)


def client_of(auth: AuthSettings = TOKEN, store: Any = None, prefix: str = "") -> Any:
    app = Flask(__name__)
    Guard(auth).install(app)
    Access(auth, store).install(app)
    install_pages(app, [Link("one", "One"), Link("two", "Two", ("below",))], prefix)
    install_pages(app, [Link("two", "Two", ("below",)), Link("three", "Three")])
    app.after_request(secured)
    for name in ("one", "two", "three", "below"):
        view = lambda name=name: message_page(200, f"<{name}>", "")  # noqa: E731
        app.add_url_rule(f"/{name}", name, view)
    return app.test_client()


def test_login_and_logout() -> None:
    client = client_of()
    assert 'type="password"' in client.get("/login").text
    answer = client.post("/login", data={"token": SECRET, "next": "/two?a=b"})
    assert (answer.status_code, answer.location) == (303, "/two?a=b")
    cookie = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert client.get("/login?next=/one").location == "/one"
    assert client.get("/service/session").json == {"isPerson": True}
    assert client.post("/logout").location == "/login"
    assert client.get("/service/session").json == {"isPerson": False}


@pytest.mark.parametrize("is_stored", [True, False], ids=["store", "memory"])
def test_after_the_logout_a_copy_of_the_cookie_is_dead(tmp_path: Path, is_stored: bool) -> None:
    store = connect(f"sqlite:///{tmp_path}/a.db") if is_stored else None
    client = client_of(store=store)
    client.post("/login", data={"token": SECRET})
    copy = client.get_cookie(COOKIE).value
    client.post("/logout")
    client.set_cookie(COOKIE, copy)
    assert client.get("/service/session").json == {"isPerson": False}


def test_a_login_link_works_once_from_wherever_it_is_opened() -> None:
    link = f"/login?key={login_key(SECRET, time.time())}"
    first, second = client_of(), None
    answer = first.get(link, headers={"Sec-Fetch-Site": "cross-site"})
    assert (answer.status_code, answer.location) == (303, "/one")
    assert first.get("/service/session").json == {"isPerson": True}
    second = first.application.test_client()
    answer = second.get(link)
    assert answer.status_code == 403
    assert "already used" in answer.text
    assert second.get("/service/session").json == {"isPerson": False}


def test_behind_tls_the_cookie_is_for_tls_alone() -> None:
    headers = {"X-Forwarded-Proto": "https"}
    answer = client_of().post("/login", data={"token": SECRET}, headers=headers)
    assert "Secure" in answer.headers["Set-Cookie"].split("; ")


@pytest.mark.parametrize("auth", [TOKEN, AuthSettings()], ids=["token", "no token"])
@pytest.mark.parametrize("token", ["", "another", f"{SECRET} "], ids=["empty", "other", "longer"])
def test_another_token_begins_no_session(auth: AuthSettings, token: str) -> None:
    answer = client_of(auth).post("/login", data={"token": token})
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (403, False)
    assert "Wrong token." in answer.text


@pytest.mark.parametrize("way", ["loopback", "iap"])
def test_without_a_login_there_is_none(way: str) -> None:
    client = client_of(AuthSettings(token=SECRET, page_access=way))
    assert client.get("/login").status_code == 404
    assert client.post("/login", data={"token": SECRET}).status_code == 404
    assert "Log out" not in client.get("/one").text


@pytest.mark.parametrize(
    "after",
    [
        *("//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example"),
        *("", "x", "/a\r\nSet-Cookie: a=b", "/a\nb", "/\x00", "/\u2028", "\r\n/a"),
    ],
)
def test_the_login_leads_to_this_application_alone(after: str) -> None:
    answer = client_of().post("/login", data={"token": SECRET, "next": after})
    assert (answer.status_code, answer.location) == (303, "/one")
    assert client_of().get("/login", query_string={"next": after}).status_code == 200


def test_every_answer_has_the_headers() -> None:
    client = client_of()
    for url in ("/one", "/login", "/missing", "/service/static/pages.css"):
        answer = client.get(url)
        assert HEADERS.items() <= dict(answer.headers).items()
        is_file = url.endswith(".css")
        assert (answer.headers["Cache-Control"] == "no-store") is not is_file
    assert "unsafe-inline" not in HEADERS["Content-Security-Policy"]


def test_nothing_in_a_page_is_inline() -> None:
    client = client_of()
    for url in ("/one", "/login"):
        text = client.get(url).text
        assert "<style" not in text
        assert "style=" not in text
        assert "<script>" not in text


def test_the_navigation_marks_the_current_page() -> None:
    client = client_of()
    assert '<a href="/one" aria-current="page">One</a>' in client.get("/one").text
    text = client.get("/below").text
    assert '<a href="/two" aria-current="true">Two</a>' in text
    assert text.count("<a href=") == 3
    assert "&lt;below&gt;" in text
    assert '<a class="brand" href="/one">' in text
    assert 'role="search"' not in text


def test_the_navigation_has_the_pages_of_all_services() -> None:
    app = Flask(__name__)
    places = {"Zero": "https://other.example/?a&b", "One": "https://other.example/one"}
    install_pages(app, [Link("two", "Two"), Link("one", "One")], places=places, search="two")
    for name in ("one", "two"):
        app.add_url_rule(f"/{name}", name, lambda: message_page(200, "", ""))
    text = app.test_client().get("/one").text
    assert re.findall(r'<a href="(.*?)"(.*?)>(.*?)</a>', text) == [
        ("https://other.example/?a&amp;b", "", "Zero"),
        ("/one", ' aria-current="page"', "One"),
        ("/two", "", "Two"),
    ]
    assert '<form class="search" role="search" action="/two">' in text
    text = app.test_client().get("/two?q=%3Cb%3E%22").text
    assert 'value="&lt;b&gt;&#34;"' in text


def test_a_blueprint_brings_the_frame_under_its_own_path() -> None:
    client = client_of(prefix="/flow")
    assert client.get("/flow/login").status_code == 200
    assert client.get("/login").status_code == 404
    assert client.get("/flow/service/static/icon.svg").status_code == 200
