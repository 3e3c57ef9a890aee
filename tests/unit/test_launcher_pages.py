"""The launcher's pages and their data over HTTP: what they hold, and what they never do."""

import csv
import gzip
import io
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from launcher import context, plot_library
from launcher.app import create_app
from taskqueue.auth import AuthSettings
from tests.support import launcher_pages as support
from tests.support.launcher_pages import BROKEN, FAN, NOW, PLAIN, SLOT, SLOTS, STORY, fill

SECRET = "a-token-of-the-tests"
LOCAL = "http://localhost"
HOSTILE = (
    "<script>alert(1)</script>",
    "\"onclick='alert(2)'",
    "</a><img/src=x/onerror=alert(3)>",
    "{{7*7}}",
    "&lt;b&gt;",
    "\u202eevil",
)
LINKS = (
    "javascript:alert(4)",
    'https://e.example/"><script>alert(5)</script>',
    "https://e.example/' onmouseover='alert(6)",
)


class Site:
    """A launcher of one process with a filled warehouse and some chains."""

    def __init__(self, folder: Path, runs: int = 1, **changes: Any) -> None:
        self.settings = support.settings_in(folder, **changes)
        if self.settings.warehouse:
            support.make_warehouse(folder, runs)
        self.records = support.records_of(self.settings)
        self.client = create_app(self.settings, clock=lambda: NOW).test_client()

    def get(self, url: str, **options: Any) -> Any:
        return self.client.get(url, base_url=LOCAL, **options)

    def post(self, url: str, **options: Any) -> Any:
        return self.client.post(url, base_url=LOCAL, **options)

    def text(self, url: str) -> str:
        answer = self.get(url)
        assert answer.status_code == 200, answer.text
        return str(answer.text)

    def rows(self, url: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.text(url))
        return found


@pytest.fixture(autouse=True)
def _bound() -> Iterator[None]:
    yield
    context.bind(None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("site")


@pytest.fixture(scope="module")
def site(folder: Path) -> Site:
    """Tests do not change it."""
    site = Site(folder, runs=12)
    fill(site.settings.warehouse, SLOT + SLOTS, words=(*HOSTILE, *STORY), links=LINKS)
    error = "exit code 1: <img src=x onerror=alert(7)>"
    support.put_chain(site.records, SLOT - 2 * SLOTS, "succeeded", PLAIN)
    support.put_chain(site.records, SLOT - SLOTS, "failed", BROKEN, error)
    support.put_chain(site.records, SLOT, "running", FAN, error)
    return site


class Page(HTMLParser):
    """Which elements a page has, with which attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def links(self) -> list[str]:
        return [str(attrs["href"]) for tag, attrs in self.tags if tag == "a" and "href" in attrs]


RUN = "analysis-20260107t100000"
PAGES = {
    "timeline": "/",
    "an older run": "/?run=2026-01-07T05:00:00Z&since=6",
    "results": "/results",
    "ranking": "/rankings/popular_words",
    "links": "/rankings/top_urls",
    "pairs": "/rankings/emerging_pairs?since=6",
    "history": "/history?word=%3Cscript%3Ealert(1)%3C/script%3E",
    "history of a pair": "/history?w1=%3Cscript%3Ealert(1)%3C/script%3E&w2={{7*7}}",
    "runs": "/runs",
    "run": f"/runs/{RUN}",
}


@pytest.fixture(params=PAGES.values(), ids=PAGES.keys())
def url(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_text_never_becomes_markup(site: Site, url: str) -> None:
    page = Page(site.text(url))
    scripts = [attrs for tag, attrs in page.tags if tag == "script"]
    assert [set(attrs) for attrs in scripts] == [{"src", "defer"}]
    for tag, attrs in page.tags:
        assert tag not in ("img", "iframe", "style", "object", "base")
        assert not any(name.startswith("on") or name == "style" for name in attrs), (tag, attrs)
    for link in page.links():
        assert link.startswith(("/", "#", "http://", "https://")), link


def test_hostile_text_is_shown_as_it_is(site: Site) -> None:
    page = Page(site.text("/"))
    for text in (*HOSTILE, LINKS[0], *(link.removeprefix("https://") for link in LINKS[1:])):
        assert text in page.text
    assert set(LINKS[1:]) <= set(page.links())
    assert "<img src=x onerror=alert(7)>" in Page(site.text(f"/runs/{RUN}")).text


def test_every_link_of_a_page_leads_somewhere(site: Site, url: str) -> None:
    page = Page(site.text(url))
    ids = {attrs.get("id") for _, attrs in page.tags}
    for link in set(page.links()):
        if link.startswith("#"):
            assert link[1:] in ids
        elif link.startswith("/") and not link.endswith(".log"):
            assert site.get(link).status_code == 200, link


def test_nothing_comes_from_elsewhere(site: Site, url: str) -> None:
    answer = site.get(url)
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cache-Control"] == "no-store"
    for _, attrs in Page(answer.text).tags:
        assert str(attrs.get("src", "/")).startswith("/")
        assert str(attrs.get("data-plotly", "/")).startswith("/")


def test_labels_name_elements_and_ids_are_unique(site: Site, url: str) -> None:
    page = Page(site.text(url))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in page.tags:
        for name in ("for", "aria-labelledby", "aria-describedby"):
            assert attrs.get(name, ids[0]) in ids


# What the timeline talks about


def test_the_cards_are_the_named_queries_of_the_newest_run(site: Site) -> None:
    text = site.text("/")
    page = Page(text)
    for title in (
        *("Popular words", "Interesting pairs", "Emerging pairs", "Rising pairs"),
        *("Rising words", "Top links", "Top hosts", "Popular, not interesting"),
    ):
        assert title in page.text
    assert re.findall(r'datetime="([^"]+)"', text) == ["2026-01-07T15:00:00Z"]
    assert "All 33" in page.text
    assert "1,000 posts" in page.text


def test_a_run_is_chosen_and_the_next_ones_are_near(site: Site) -> None:
    page = Page(site.text("/?run=2026-01-07T10:00:00Z&since=167"))
    chosen = [attrs["value"] for tag, attrs in page.tags if tag == "option" and "selected" in attrs]
    assert chosen == ["2026-01-07T10:00:00Z", "167"]
    assert HOSTILE[0] not in page.text
    near = {attrs["rel"]: attrs["href"] for _, attrs in page.tags if "rel" in attrs}
    assert "run=2026-01-07T05:00:00Z" in str(near["prev"])
    assert "run=2026-01-07T15:00:00Z" in str(near["next"])


def test_of_many_runs_the_chosen_one_is_among_the_choice(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launcher.timeline_pages.CHOICE", 2)
    monkeypatch.setattr("launcher.timeline_pages.PAGE_ROWS", 5)
    oldest = "2026-01-05T03:00:00Z"
    page = Page(site.text(f"/?run={oldest}"))
    runs = [attrs["value"] for tag, attrs in page.tags if tag == "option"][:3]
    assert runs == ["2026-01-07T15:00:00Z", "2026-01-07T10:00:00Z", oldest]
    links = Page(site.text("/results?from=5")).links()
    assert {"/results?from=0", "/results?from=10"} <= set(links)


def test_history_tells_the_ranks_of_every_run(site: Site) -> None:
    page = Page(site.text("/history?word=storm"))
    assert "Ranked in 13 of 13 runs, at best number 1." in page.text
    assert "not ranked" in Page(site.text(f"/history?word={HOSTILE[4]}")).text
    assert "Ranked in 0 of 13 runs." in Page(site.text("/history?word=nobody")).text


# Data


@pytest.mark.parametrize("name", ["popular_words", "pair_history", "latest_runs", "rising_pairs"])
def test_json_and_csv_hold_the_same(site: Site, name: str) -> None:
    given = "?w1=storm&w2=ferry" if name == "pair_history" else ""
    rows = site.rows(f"/api/queries/{name}.json{given}")
    answer = site.get(f"/api/queries/{name}.csv{given}")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}.csv"'
    found = list(csv.DictReader(io.StringIO(answer.text)))
    assert [{k: "" if v is None else str(v) for k, v in row.items()} for row in rows] == found
    assert rows


def test_parameters_and_limit_of_an_answer(site: Site) -> None:
    url = "/api/queries/popular_words.json?ts=2026-01-07T10:00:00Z&limit=2"
    assert [row["word"] for row in site.rows(url)] == ["harbour", "storm"]
    assert site.rows("/api/queries/popular_words.json?ts=2020-01-07T10:00:00Z") == []
    assert site.rows("/api/queries/popular_words.json?limit=0") == []
    listed = {query["name"] for query in json.loads(site.text("/api/queries"))["queries"]}
    assert {"popular_words", "word_history"} <= listed


@pytest.mark.parametrize(
    ("url", "code", "message"),
    [
        ("/api/queries/nothing.json", 404, ""),
        ("/api/queries/popular_words.xml", 404, ""),
        ("/api/runs.xml", 404, ""),
        ("/api/queries/popular_words.json?tz=1", 400, "its parameters are ts"),
        ("/api/queries/word_history.csv", 400, "needs word"),
        ("/api/queries/popular_words.json?limit=-1", 400, "limit is '-1': give a whole number"),
        ("/api/queries/rising_words.json?since=x", 400, "give a whole number from 0"),
        ("/?run=yesterday", 400, "run is 'yesterday': give a time such as"),
        ("/?since=x", 400, "since is 'x': give a whole number"),
        ("/?run=2020-01-01T00:00:00Z", 200, "no run before 2020-01-01T00:00:00Z"),
        ("/history", 400, "needs w1"),
        ("/rankings/word_history", 404, ""),
        ("/runs/nothing", 404, "there is no run"),
        ("/results?from=x", 400, "from is"),
    ],
    ids=str,
)
def test_what_cannot_be_shown(site: Site, url: str, code: int, message: str) -> None:
    answer = site.get(url)
    assert answer.status_code == code
    body = answer.json["error"] if url.startswith("/api/") else Page(answer.text).text
    assert message in body


def test_chains_and_jobs_as_data(site: Site) -> None:
    found = site.rows("/api/runs.json")
    assert [chain["state"] for chain in found] == ["running", "failed", "succeeded"]
    assert [job["name"] for job in found[0]["jobs"]] == list(FAN)
    lines = list(csv.DictReader(io.StringIO(site.text("/api/runs.csv"))))
    assert [line["id"] for line in lines] == [chain["id"] for chain in found]
    jobs = list(csv.DictReader(io.StringIO(site.text("/api/jobs.csv"))))
    assert len(jobs) == len(site.rows("/api/jobs.json")) == len(FAN) + len(PLAIN) + len(BROKEN)


def test_a_spreadsheet_finds_no_formula(tmp_path: Path) -> None:
    site = Site(tmp_path)
    support.put_chain(site.records, SLOT, "failed", BROKEN, "=HYPERLINK(1)")
    (line,) = csv.DictReader(io.StringIO(site.text("/api/runs.csv")))
    assert line["error"] == "'=HYPERLINK(1)"


# Chains


def test_the_graph_has_every_step_in_its_colour(site: Site) -> None:
    page = Page(site.text(f"/runs/{RUN}"))
    states = [attrs["data-state"] for tag, attrs in page.tags if tag == "g"]
    assert sorted(map(str, states)) == sorted(
        {"drained": "cancelled"}.get(state, state) for state, _ in FAN.values()
    )
    assert sum(attrs.get("class") == "edge" for _, attrs in page.tags) == 10


def test_which_buttons_there_are(site: Site) -> None:
    def actions(url: str) -> list[str]:
        page = Page(site.text(url))
        return [
            str(attrs["action"]) for tag, attrs in page.tags if tag == "form" and "action" in attrs
        ]

    assert actions("/runs") == ["/runs"]
    assert actions(f"/runs/{RUN}") == [f"/runs/{RUN}/cancel"]
    failed, done = "analysis-20260107t050000", "analysis-20260107t000000"
    assert actions(f"/runs/{failed}") == [f"/runs/{failed}/retry"]
    assert actions(f"/runs/{done}") == []


def test_buttons_start_cancel_and_retry(tmp_path: Path) -> None:
    site = Site(tmp_path)
    answer = site.post("/runs")
    assert answer.status_code == 303
    run_id = answer.location.rpartition("/")[2]
    assert site.post("/runs").location == answer.location
    run = site.records.run(run_id)
    assert run
    assert (run.state, run.attempt) == ("running", 1)
    assert "running" in Page(site.text(answer.location)).text
    assert site.post(f"/runs/{run_id}/retry").status_code == 409
    assert site.post(f"/runs/{run_id}/cancel").location == answer.location
    run = site.records.run(run_id)
    assert run
    assert run.is_cancelled
    for button in ("cancel", "retry"):
        assert site.post(f"/runs/nothing/{button}").status_code == 404


def test_a_failed_chain_is_retried(tmp_path: Path) -> None:
    site = Site(tmp_path)
    run_id = support.put_chain(site.records, SLOT, "failed", BROKEN)
    assert "Retry" in Page(site.text(f"/runs/{run_id}")).text
    assert site.post(f"/runs/{run_id}/retry").status_code == 303
    run = site.records.run(run_id)
    assert run
    assert (run.state, run.attempt) == ("running", 2)
    assert "Cancel" in Page(site.text(f"/runs/{run_id}")).text


@pytest.mark.parametrize("url", ["/runs", f"/runs/{RUN}/cancel", f"/runs/{RUN}/retry"])
def test_a_button_of_another_site_changes_nothing(site: Site, url: str) -> None:
    before = site.rows("/api/runs.json")
    answer = site.post(url, headers={"Origin": "http://evil.example"})
    assert (answer.status_code, answer.data) == (403, b"")
    assert site.rows("/api/runs.json") == before
    assert site.get(f"{url}").status_code in (200, 405)


def test_of_many_chains_the_newest_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launcher.job_pages.PAGE_CHAINS", 2)
    site = Site(tmp_path)
    assert "No chain has run yet." in Page(site.text("/runs")).text
    for number in range(5):
        support.put_chain(site.records, SLOT - number * SLOTS, "succeeded", PLAIN)
    page = Page(site.text("/runs"))
    assert len([link for link in page.links() if link.startswith("/runs/")]) == 2
    assert "/runs?show=8" in page.links()
    more = Page(site.text("/runs?show=8")).links()
    assert len([link for link in more if link.startswith("/runs/")]) == 5


# Who may look


def with_token(folder: Path) -> Site:
    return Site(folder, look="token", auth=AuthSettings(token=SECRET))


def test_with_a_token_people_log_in_and_out(tmp_path: Path) -> None:
    site = with_token(tmp_path)
    answer = site.get("/history?word=storm")
    assert answer.location == "/login?next=%2Fhistory%3Fword%3Dstorm"
    page = Page(site.text(answer.location))
    assert "Log out" not in page.text
    refused = site.post("/login", data={"token": "another"})
    assert (refused.status_code, "Set-Cookie" in refused.headers) == (403, False)
    assert "That is not the token." in refused.text
    entered = site.post("/login", data={"token": SECRET, "next": "/history?word=storm"})
    assert (entered.status_code, entered.location) == (303, "/history?word=storm")
    assert "Log out" in Page(site.text("/")).text
    assert site.get("/login").location == "/"
    assert site.post("/logout", headers={"Origin": "http://e.example"}).status_code == 403
    assert site.post("/logout").location == "/login"
    assert site.get("/").status_code == 302


@pytest.mark.parametrize(
    "after",
    ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example", "", "x"],
    ids=["no scheme", "other site", "backslash", "tab", "nothing", "no path"],
)
def test_the_login_leads_to_this_service_alone(tmp_path: Path, after: str) -> None:
    answer = with_token(tmp_path).post("/login", data={"token": SECRET, "next": after})
    assert answer.location == "/"


def test_strangers_learn_nothing(tmp_path: Path) -> None:
    site = with_token(tmp_path)
    for url in ("/api/queries", "/api/queries/popular_words.csv", "/api/runs.json"):
        assert (site.get(url).status_code, site.get(url).data) == (403, b"")
    for url in ("/", "/results", "/runs", "/runs/nothing", "/rankings/popular_words"):
        assert site.get(url).status_code == 302
    proof = {"Authorization": f"Bearer {SECRET}"}
    assert site.get("/api/queries/popular_words.csv", headers=proof).status_code == 200
    assert site.get("/api/queries", headers=proof).headers["Cache-Control"] == "no-store"


def test_nothing_secret_is_in_the_pages(tmp_path: Path) -> None:
    site = with_token(tmp_path)
    site.post("/login", data={"token": SECRET})
    for url in ("/", "/runs", "/login", "/nothing", "/?run=x"):
        assert SECRET not in site.get(url, follow_redirects=True).text


# Where there is nothing


def test_without_a_warehouse_there_are_the_chains(tmp_path: Path) -> None:
    site = Site(tmp_path, warehouse="")
    assert "set DFPIPE_WAREHOUSE" in Page(site.text("/")).text
    assert "No chain has run yet." in Page(site.text("/runs")).text


def test_a_warehouse_without_runs(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.client = create_app(
        support.settings_in(tmp_path, warehouse=f"duckdb:///{tmp_path / 'new.duckdb'}")
    ).test_client()
    answer = site.get("/")
    assert answer.status_code == 503
    assert "write a run to it with" in Page(answer.text).text
    assert site.get("/api/queries/popular_words.json").status_code == 503


# The plot library


def test_the_plot_library_is_the_installed_one(site: Site) -> None:
    (body,) = [attrs for tag, attrs in Page(site.text("/")).tags if tag == "body"]
    url = str(body["data-plotly"])
    plain, packed = (site.get(url, headers={"Accept-Encoding": e}) for e in ("identity", "gzip"))
    assert plain.data == gzip.decompress(packed.data) == plot_library._path().read_bytes()
    assert len(packed.data) < len(plain.data) / 2
    for answer in (plain, packed):
        assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert plot_library.MAP_STYLE_ID in plain.text
