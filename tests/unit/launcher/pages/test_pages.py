"""The launcher's pages and their data over HTTP: what they hold, and what they never do."""

import csv
import gzip
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from dfpipe import warehouse
from launcher.app import create_app
from launcher.pages import plot_library
from tests.support import launcher_pages as support
from tests.support.analysis import store_posts
from tests.support.launcher_pages import SLOT, SLOTS
from tests.support.launcher_site import HOSTILE, HOSTILE_POSTS, LINKS, RUN, Page, Site

pytestmark = pytest.mark.usefixtures("unbound_launcher")
NEWEST = "2026-01-07T15:00:00Z"
PAGES = {
    "timeline": "/",
    "an older run": "/?run=2026-01-07T05:00:00Z&since=6",
    "results": "/timeline/runs",
    "ranking": "/timeline/rankings/popular_words",
    "links": "/timeline/rankings/top_urls",
    "pairs": "/timeline/rankings/emerging_pairs?since=6",
    "all stories": "/?all=1&sort=rise&compare=2026-01-06T10:00:00Z",
    "story": f"/timeline/story?w1={quote(HOSTILE[0])}&w2={quote(HOSTILE[1])}&ts={NEWEST}",
    "an older story": "/timeline/story?w1=harbour&w2=storm&ts=2026-01-07T05:00:00Z",
    "word": "/timeline/word?word=%3Cscript%3Ealert(1)%3C/script%3E",
    "a word of an older run": "/timeline/word?word=storm&run=2026-01-07T05:00:00Z",
    "pair": f"/timeline/pair?w1={quote(HOSTILE[0])}&w2={quote(HOSTILE[1])}",
    "link": f"/timeline/link?url={quote(LINKS[1])}",
    "a link that is none": f"/timeline/link?url={quote(LINKS[0])}",
    "host": "/timeline/host?host=e.example",
    "an unknown host": "/timeline/host?host=<b>&run=2026-01-07T05:00:00Z",
    "search": "/timeline/search?q=<b>stor",
    "an empty search": "/timeline/search",
    "meaning": "/timeline/meaning",
    "the contrast": "/timeline/rankings/popular_not_interesting",
    "runs": "/jobs",
    "run": f"/jobs/{RUN}",
}


@pytest.fixture(params=PAGES.values(), ids=PAGES.keys())
def url(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_text_never_becomes_markup(site: Site, url: str) -> None:
    page = Page(site.text(url))
    scripts = [attrs for tag, attrs in page.tags if tag == "script"]
    assert all(set(attrs) == {"src", "defer"} for attrs in scripts)
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
    assert HOSTILE_POSTS[0] in page.text
    assert "<b>anna</b>" in page.text
    assert f"{HOSTILE_POSTS[3][:399]}…" in page.text
    assert HOSTILE_POSTS[3][:400] not in page.text
    assert "\x00" not in page.text
    assert "<img src=x onerror=alert(7)>" in Page(site.text(f"/jobs/{RUN}")).text


def test_every_link_of_a_page_leads_somewhere(site: Site, url: str) -> None:
    page = Page(site.text(url))
    ids = {attrs.get("id") for _, attrs in page.tags}
    for link in set(page.links()):
        if link.startswith("#"):
            assert link[1:] in ids
        elif link.startswith("/") and not link.endswith(".log"):
            assert site.get(link, follow_redirects=True).status_code == 200, link


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
    moments = re.findall(r'<time datetime="([^"]+)"', text)
    assert moments == ["2026-01-03T15:00:00Z", NEWEST, "2026-01-06T14:00:00Z"]
    assert "All 33" in page.text


def test_a_run_is_chosen_and_the_next_ones_are_near(site: Site) -> None:
    page = Page(site.text("/?run=2026-01-07T10:00:00Z&since=168"))
    chosen = [attrs["value"] for tag, attrs in page.tags if tag == "option" and "selected" in attrs]
    assert chosen == ["2026-01-07T10:00:00Z", "168"]
    assert HOSTILE[0] not in page.text
    near = {attrs["rel"]: attrs["href"] for _, attrs in page.tags if "rel" in attrs}
    assert "run=2026-01-07T05:00:00Z" in str(near["prev"])
    assert "run=2026-01-07T15:00:00Z" in str(near["next"])


def test_of_many_runs_the_chosen_one_is_among_the_choice(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launcher.pages.timeline_pages.CHOICE", 2)
    monkeypatch.setattr("launcher.pages.timeline_pages.PAGE_ROWS", 5)
    oldest = "2026-01-05T03:00:00Z"
    page = Page(site.text(f"/?run={oldest}"))
    runs = [attrs["value"] for tag, attrs in page.tags if tag == "option"][:2]
    assert runs == ["2026-01-05T08:00:00Z", oldest]
    links = Page(site.text("/timeline/runs?from=5")).links()
    assert {"/timeline/runs?from=0", "/timeline/runs?from=10"} <= set(links)


# Data


@pytest.mark.parametrize("name", ["popular_words", "pair_history", "latest_runs", "emerging_pairs"])
def test_json_and_csv_hold_the_same(site: Site, name: str) -> None:
    given = "?w1=storm&w2=ferry" if name == "pair_history" else ""
    rows = site.rows(f"/api/queries/{name}.json{given}")
    answer = site.get(f"/api/queries/{name}.csv{given}")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}.csv"'
    found = list(csv.DictReader(io.StringIO(answer.text)))
    assert [{k: "" if v is None else str(v) for k, v in row.items()} for row in rows] == found
    assert rows


def test_a_spreadsheet_finds_no_formula_in_a_host(tmp_path: Path) -> None:
    site = Site(tmp_path)
    support.fill(site.settings.warehouse, SLOT + SLOTS, links=("https://=1+1/a",))
    [row] = csv.DictReader(io.StringIO(site.get("/api/queries/top_hosts.csv").text))
    assert row["host"] == "'=1+1"
    assert site.rows("/api/queries/top_hosts.json")[0]["host"] == "=1+1"


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
        ("/api/executions.xml", 404, ""),
        ("/api/queries/popular_words.json?tz=1", 400, "its parameters are ts"),
        ("/api/queries/word_history.csv", 400, "needs word"),
        ("/api/queries/popular_words.json?limit=-1", 400, "limit is '-1': expected a whole number"),
        ("/api/queries/emerging_pairs.json?since=x", 400, "give a whole number from 0"),
        ("/?run=yesterday", 400, "the run is 'yesterday': expected a time like"),
        ("/?since=x", 400, "the run is 'x': expected a time like"),
        ("/?run=2020-01-01T00:00:00Z", 200, "no run at or before 2020-01-01T00:00:00Z"),
        ("/timeline/word", 400, "the address needs word"),
        ("/timeline/word?word=+", 400, "the address needs word"),
        ("/timeline/pair?w1=a", 400, "the address needs w2"),
        ("/timeline/story?w1=a&w2=b", 404, "has no story that begins with a and b"),
        ("/timeline/story?w1=a&w2=b&ts=now", 400, "the run is 'now'"),
        ("/?compare=x", 400, "the run is 'x'"),
        ("/timeline/rankings/word_history", 404, ""),
        ("/jobs/nothing", 404, "No execution has the id"),
        ("/timeline/runs?from=x", 400, "from is"),
    ],
    ids=str,
)
def test_what_cannot_be_shown(site: Site, url: str, code: int, message: str) -> None:
    answer = site.get(url)
    assert answer.status_code == code
    body = answer.json["error"] if url.startswith("/api/") else Page(answer.text).text
    assert message in body


# Where there is nothing


def test_a_run_without_posts(tmp_path: Path) -> None:
    site = Site(tmp_path)
    empty = replace(support.a_run(SLOT + SLOTS), tweets=0, words=0, urls=0)
    warehouse.connect(site.settings.warehouse).replace_run(empty, {})
    page = Page(site.text("/"))
    assert "No posts in these days" in page.text
    assert "Popular words" not in page.text
    assert f"dfpipe import FILE --store {site.settings.store}" in page.text
    store_posts(site.settings.store, [{"tid": 1, "text": "Storm", "created_at": SLOT}])
    page = Page(site.text("/"))
    assert "The store has posts from 2026-01-07 10:00 to 2026-01-07 10:00 UTC" in page.text
    assert f"--sink {site.settings.warehouse} --until 2026-01-0" in page.text


def test_without_a_warehouse_there_are_the_chains(tmp_path: Path) -> None:
    site = Site(tmp_path, warehouse="")
    assert "set DFPIPE_SINK" in Page(site.text("/")).text
    assert site.get("/api/queries/popular_words.json").status_code == 404
    assert "No chain has been executed yet." in Page(site.text("/jobs")).text


def test_a_warehouse_without_runs(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.client = create_app(
        support.settings_in(tmp_path, warehouse=f"duckdb:///{tmp_path / 'new.duckdb'}")
    ).test_client()
    answer = site.get("/")
    assert answer.status_code == 200
    page = Page(answer.text)
    assert "write a run to it with" in page.text
    assert "Run now" in page.text
    assert f"collector follow bluesky:NAME.bsky.social --store {site.settings.store}" in page.text
    # It waits for the first run.
    assert [attrs["data-refresh"] for _, attrs in page.tags if attrs.get("id") == "live"] == ["4"]
    assert site.get("/api/queries/popular_words.json").status_code == 404


# The plot library


def test_the_plot_library_is_the_installed_one(site: Site) -> None:
    text = site.text("/timeline/word?word=storm")
    (body,) = [attrs for tag, attrs in Page(text).tags if tag == "body"]
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
