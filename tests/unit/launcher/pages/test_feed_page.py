"""The feed of rising stories, as a reader of feeds takes it."""

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import feedparser
import pytest
from lxml import etree

from dfpipe import warehouse
from dfpipe.warehouse.tables import STORIES, STORY_URLS, StoryRow, StoryUrl
from launcher.views import feed
from launcher.views.feed import PAUSE, SHOWN, rises
from service.auth import AuthSettings
from tests.support.launcher_pages import SLOT, SLOTS, a_run
from tests.support.launcher_site import HOSTILE, SECRET, Site

pytestmark = pytest.mark.usefixtures("unbound_launcher")
ATOM = f"{{{feed.ATOM}}}"
DAY = timedelta(days=1)


def story(ts: datetime, rank: int, w1: str, w2: str, words: str, p_value: float = 1e-9) -> StoryRow:
    return StoryRow(
        ts, rank, w1, w2, words, 120, 80, 90, 30, 55.5, p_value, 3, ts - DAY, ts - SLOTS
    )


def put(site: Site, ts: datetime, *stories: StoryRow, url: str = "https://e.example/a?b&c") -> None:
    urls = [StoryUrl(ts, each.rank, 1, url, 5) for each in stories]
    warehouse.connect(site.settings.warehouse).replace_run(
        a_run(ts, recent=200, recent_start=ts - DAY), {STORIES: stories, STORY_URLS: urls}
    )


def entries(site: Site, url: str = "/feed.atom") -> list[Any]:
    answer = site.get(url)
    assert answer.status_code == 200
    assert answer.content_type == "application/atom+xml; charset=utf-8"
    assert_valid(etree.fromstring(answer.data))
    found = feedparser.parse(answer.data)
    assert not found.bozo
    assert found.version == "atom10"
    return list(found.entries)


def assert_valid(root: Any) -> None:
    """What RFC 4287 demands of a feed and of its entries."""
    assert root.tag == f"{ATOM}feed"
    assert len(root.findall(f"{ATOM}author")) == 1
    assert [link.get("rel") for link in root.findall(f"{ATOM}link")] == ["self", "alternate"]
    for each in (root, *root.findall(f"{ATOM}entry")):
        for name in ("id", "title", "updated"):
            [element] = each.findall(f"{ATOM}{name}")
            assert element.text
        assert datetime.fromisoformat(each.findtext(f"{ATOM}updated")).tzinfo
        assert each.findtext(f"{ATOM}id").startswith("tag:localhost,2015:rising")
    ids = [each.findtext(f"{ATOM}id") for each in root.iter(f"{ATOM}entry")]
    assert len(set(ids)) == len(ids)


def test_an_entry_for_each_story_that_rises(tmp_path: Path) -> None:
    site = Site(tmp_path, runs=0)
    weak = story(SLOT + SLOTS, 3, "c", "d", "c d", p_value=0.01)
    put(site, SLOT + SLOTS, story(SLOT + SLOTS, 2, "ferry", "storm", "storm ferry wind"), weak)
    [entry] = entries(site)
    assert entry.title == "storm ferry wind ×12.0"
    assert entry.link == (
        "http://localhost/timeline/story?w1=ferry&w2=storm&ts=2026-01-07T15%3A00%3A00Z"
    )
    assert entry.updated == entry.published == "2026-01-07T15:00:00Z"
    assert entry.summary == (
        "120 posts by 80 people (12.00 % of all posts); 90 in the recent part of the window, "
        "30 before. First link: https://e.example/a?b&c"
    )


def test_an_entry_stays_the_same_while_its_story_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launcher.views.results.FRESH_SECONDS", 0.0)
    site = Site(tmp_path, runs=0)
    put(site, SLOT + SLOTS, story(SLOT + SLOTS, 1, "ferry", "storm", "storm ferry wind port"))
    before = entries(site)
    later = SLOT + 2 * SLOTS
    put(site, later, story(later, 1, "port", "wind", "wind port harbour coast"),
        story(later, 2, "comet", "sky", "comet sky"))  # fmt: skip
    latest = SLOT + 3 * SLOTS
    put(site, latest, story(latest, 1, "coast", "harbour", "harbour coast boats"))
    after = entries(site)
    assert [entry.title.split()[0] for entry in after] == ["comet", "storm"]
    assert after[1] == before[0]


def row(ts: datetime, words: str = "a b") -> dict[str, Any]:
    w1, w2 = sorted(words.split())[:2]
    return {"ts": ts, "rank": 1, "w1": w1, "w2": w2, "words": words}


def began(rows: list[dict[str, Any]], newest: datetime) -> list[datetime]:
    return [each["ts"] for each in rises(rows, newest)]


def test_a_story_that_rises_again_after_a_pause_is_news_again() -> None:
    rows = [row(SLOT), row(SLOT + 3 * DAY), row(SLOT + 3 * DAY + PAUSE)]
    assert began(rows, SLOT + 4 * DAY) == [SLOT + 3 * DAY + PAUSE, SLOT]
    assert began(rows[:2], SLOT + SHOWN) == []


def test_one_that_rises_for_weeks_is_not_news_when_its_beginning_is_out_of_sight() -> None:
    days = [SLOT + n * DAY for n in range(40)]
    for newest in days[15:]:
        start = newest - timedelta(hours=feed.HOURS)
        assert began([row(day) for day in days if start <= day <= newest], newest) == []


def test_two_stories_of_a_run_are_two() -> None:
    assert began([row(SLOT, "a b c"), row(SLOT, "a b d")], SLOT) == [SLOT, SLOT]


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    site = Site(tmp_path, runs=0)
    words = " ".join([*HOSTILE, "\x00\x08", "]]>"])
    put(site, SLOT + SLOTS, story(SLOT + SLOTS, 1, HOSTILE[0], "b", words), url="javascript:a(1)")
    [entry] = entries(site)
    title = etree.fromstring(site.get("/feed.atom").data).findtext(f"{ATOM}entry/{ATOM}title")
    assert title.startswith(" ".join(HOSTILE))
    assert not re.search("[\x00-\x08]", title)
    assert [link.href.split("?")[0] for link in entry.links] == ["http://localhost/timeline/story"]


def test_without_runs_or_a_warehouse_the_feed_is_empty(tmp_path: Path) -> None:
    assert entries(Site(tmp_path, warehouse="")) == []


def test_the_key_in_the_address_opens_the_feed_alone(tmp_path: Path) -> None:
    site = Site(tmp_path, auth=AuthSettings(token=SECRET))
    assert site.get("/feed.atom").status_code == 403
    assert site.get("/feed.atom?key=").status_code == 403
    assert site.get(f"/feed.atom?key={SECRET}").status_code == 403
    site.post("/pages/login", data={"token": SECRET})
    [address] = set(re.findall(r'href="(/feed\.atom\?key=\w+)"', site.text("/")))
    stranger = site.client.application.test_client()
    answer = stranger.get(address, base_url="http://localhost")
    assert answer.status_code == 200
    assert SECRET not in address
    key = address.partition("?")[2]
    for url in ("/", "/jobs", "/api/queries", "/api/executions.json", "/pages/login"):
        assert b"Log in" in stranger.get(f"{url}?{key}", follow_redirects=True).data or (
            stranger.get(f"{url}?{key}").status_code == 403
        )


def test_where_nobody_logs_in_the_address_needs_no_key(tmp_path: Path) -> None:
    assert 'href="/feed.atom"' in Site(tmp_path).text("/")
