"""Who may look at the launcher's pages: the login, the proxy, and what strangers learn."""

from pathlib import Path

import pytest

from launcher.settings import read_settings
from service.auth import AuthSettings, Guard
from service.iap import HEADER
from tests.support.google_identity import IAP_AUDIENCE, Proxy
from tests.support.launcher_site import SECRET, Page, Site

pytestmark = pytest.mark.usefixtures("unbound_launcher")


def with_token(folder: Path) -> Site:
    return Site(folder, auth=AuthSettings(token=SECRET))


def test_with_a_token_people_log_in_and_out(tmp_path: Path) -> None:
    site = with_token(tmp_path)
    answer = site.get("/timeline/word?word=storm")
    assert answer.location == "/pages/login?next=%2Ftimeline%2Fword%3Fword%3Dstorm"
    page = Page(site.text(answer.location))
    assert "Log out" not in page.text
    refused = site.post("/pages/login", data={"token": "another"})
    assert (refused.status_code, "Set-Cookie" in refused.headers) == (403, False)
    assert "Wrong token." in refused.text
    entered = site.post("/pages/login", data={"token": SECRET, "next": "/timeline/word?word=storm"})
    assert (entered.status_code, entered.location) == (303, "/timeline/word?word=storm")
    assert "Log out" in Page(site.text("/")).text
    assert site.get("/pages/login").location == "/"
    assert site.post("/pages/logout", headers={"Origin": "http://e.example"}).status_code == 403
    assert site.post("/pages/logout").location == "/pages/login"
    assert site.get("/").status_code == 302


@pytest.mark.parametrize(
    "after",
    ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example", "", "x"],
    ids=["no scheme", "other site", "backslash", "tab", "nothing", "no path"],
)
def test_the_login_leads_to_this_service_alone(tmp_path: Path, after: str) -> None:
    answer = with_token(tmp_path).post("/pages/login", data={"token": SECRET, "next": after})
    assert answer.location == "/"


def test_strangers_learn_nothing(tmp_path: Path) -> None:
    site = with_token(tmp_path)
    for url in ("/api/queries", "/api/queries/popular_words.csv", "/api/executions.json"):
        assert (site.get(url).status_code, site.get(url).data) == (403, b"")
    for url in (
        "/",
        "/timeline/runs",
        "/jobs",
        "/jobs/nothing",
        "/timeline/rankings/popular_words",
    ):
        assert site.get(url).status_code == 302
    proof = {"Authorization": f"Bearer {SECRET}"}
    assert site.get("/api/queries/popular_words.csv", headers=proof).status_code == 200
    assert site.get("/api/queries", headers=proof).headers["Cache-Control"] == "no-store"


def test_nothing_secret_is_in_the_pages(tmp_path: Path) -> None:
    site = with_token(tmp_path)
    site.post("/pages/login", data={"token": SECRET})
    for url in ("/", "/jobs", "/pages/login", "/nothing", "/?run=x"):
        assert SECRET not in site.get(url, follow_redirects=True).text


def test_on_app_engine_people_come_by_the_proxy(tmp_path: Path) -> None:
    """The proxy's signed word opens pages, data and buttons; cron's header opens none of them."""
    given = read_settings(
        {"GAE_ENV": "standard", "DFPIPE_PAGE_ACCESS": "iap", "DFPIPE_IAP_AUDIENCE": IAP_AUDIENCE}
    )
    site, proxy = Site(tmp_path, auth=given.auth), Proxy()
    Guard(given.auth, proxy).install(site.client.application)

    def codes(**headers: str) -> list[int]:
        sent = {
            "base_url": "https://project.appspot.com",
            "environ_base": {"REMOTE_ADDR": "192.0.2.7"},
            "headers": {"X-Forwarded-For": "198.51.100.9"}
            | {name.replace("_", "-"): text for name, text in headers.items()},
        }
        found = [site.client.get(url, **sent) for url in ("/", "/jobs", "/api/executions.json")]
        return [each.status_code for each in (*found, site.client.post("/jobs", **sent))]

    header = HEADER.replace("-", "_")
    assert codes(**{header: proxy.assertion()}) == [200, 200, 200, 303]
    for claims in ({"aud": "/projects/2/apps/other"}, {"iss": "https://evil.example"}, {"exp": 1}):
        assert codes(**{header: proxy.assertion(**claims)}) == [403] * 4
    assert codes(**{header: Proxy().assertion()}) == [403] * 4
    assert codes(X_Goog_Authenticated_User_Email="accounts.google.com:ann@example.com") == [403] * 4
    # What the platform starts work with is no person.
    assert codes(X_Appengine_Cron="true") == [403, 403, 200, 403]
    launched = {"base_url": "https://project.appspot.com", "headers": {HEADER: "x"}}
    assert site.client.get("/launchpipeline", **launched).status_code == 403


def test_the_old_login_of_workflows_leads_to_the_one_login(tmp_path: Path) -> None:
    site = with_token(tmp_path)
    assert site.get("/_ah/pipeline/login").location == "/pages/login"
    answer = site.get("/_ah/pipeline/list")
    assert answer.location == "/pages/login?next=%2F_ah%2Fpipeline%2Flist"
    site.post("/pages/login", data={"token": SECRET})
    page = Page(site.text("/_ah/pipeline/list"))
    assert [link for link in page.links() if link.startswith("/")][:4] == [
        *("/", "/", "/jobs", "/_ah/pipeline/list")
    ]
