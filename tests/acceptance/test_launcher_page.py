"""The launcher's pages in a real browser, served by gunicorn, as people see and use them."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.support import launcher_pages as support
from tests.support.browser import DEADLINE_MS
from tests.support.launcher_pages import BROKEN, FAN, PLAIN, SLOT, SLOTS, STORY
from tests.support.launcher_service import Service, serving
from tests.support.launcher_site import HOSTILE_POSTS
from tests.support.processes import wait_until
from tests.support.screenshots import SCHEMES, SIZES, screen, shoot

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

HOSTILE = ("<script>alert(1)</script>", "<img/src=x/onerror=alert(2)>", "\"onclick='alert(3)")
HOUR = timedelta(hours=1)
RUN = f"analysis-{SLOT:%Y%m%dt%H%M%S}"
VIEWS = {
    "timeline": "/",
    "story": f"/timeline/story?w1={quote(HOSTILE[0])}&w2={quote(HOSTILE[1])}",
    "word": "/timeline/word?word=storm",
    "pair": "/timeline/pair?w1=storm&w2=ferry",
    "link": "/timeline/link?url=https://news1.example/story/1?page=0",
    "host": "/timeline/host?host=news1.example",
    "search": "/timeline/search?q=harbor",
    "meaning": "/timeline/meaning",
    "results": "/timeline/runs",
    "runs": "/jobs",
    "run": f"/jobs/{RUN}",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("launcher")
    settings = support.settings_in(folder)
    support.make_warehouse(folder)
    support.fill(settings.warehouse, SLOT + SLOTS, words=(*HOSTILE, *STORY))
    support.put_posts(settings.store, HOSTILE_POSTS, user=HOSTILE[1])
    records = support.records_of(settings)
    support.put_execution(records, SLOT - 2 * SLOTS, "succeeded", PLAIN)
    support.put_execution(records, SLOT - SLOTS, "failed", BROKEN, f"exit code 1: {HOSTILE[1]}")
    support.put_execution(records, SLOT, "running", FAN, "exit code 1")
    with serving(settings) as found:
        yield found


def plotted(place: "Locator") -> int:
    """How many points a plot shows, once it is drawn."""
    place.and_(place.page.locator("[data-drawn]")).wait_for()
    assert place.locator("svg.main-svg").count()
    return int(place.get_attribute("data-drawn") or "")


def test_a_word_and_a_story_are_plotted_on_their_pages(service: Service, page: "Page") -> None:
    page.goto(service.url)
    page.get_by_role("link", name="storm", exact=True).first.click()
    assert plotted(page.locator("#plot")) == 13
    assert page.get_by_role("heading", level=1).inner_text().startswith("storm ▲ ×")
    page.get_by_role("link", name="ferry + storm").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/timeline/pair"))
    assert 0 < plotted(page.locator("#plot")) < 13
    page.locator(".stories h3 a").first.click()
    page.wait_for_url(re.compile("/timeline/story"))
    assert plotted(page.locator("#plot")) == 15
    assert page.locator(".posts li").count() == 2


def test_hostile_text_runs_nothing(service: Service, page: "Page") -> None:
    opened: list[str] = []
    page.on("dialog", lambda dialog: (opened.append(dialog.message), dialog.dismiss()))
    words = f"w1={quote(HOSTILE[0])}&w2={quote(HOSTILE[1])}"
    for url in (
        *("/", "/?all=1", "/timeline/rankings/popular_words", "/timeline/rankings/rising_pairs"),
        *(f"/timeline/{kind}?{words}" for kind in ("story", "pair")),
        *(f"/timeline/word?word={quote(word)}" for word in HOSTILE),
        *(f"/timeline/{kind}={quote(HOSTILE[1])}" for kind in ("search?q", "host?host")),
        f"/jobs/analysis-{SLOT - SLOTS:%Y%m%dt%H%M%S}",
    ):
        page.goto(f"{service.url}{url}")
        page.wait_for_load_state("networkidle")
        assert not page.locator("main img, main script, main b > script").count(), url
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), url
    page.goto(f"{service.url}/timeline/story?{words}")
    assert page.get_by_text(HOSTILE_POSTS[0]).count()
    page.goto(service.url)
    page.get_by_role("link", name=HOSTILE[0], exact=True).first.click()
    assert plotted(page.locator("#plot")) == 1
    page.locator("#plot").hover()
    assert opened == []


def test_stories_are_filtered_and_searched_while_a_person_types(
    service: Service, page: "Page"
) -> None:
    page.goto(service.url)
    stories = page.locator(".stories > li:visible")
    everything = stories.count()
    page.get_by_label("Filter the stories").fill("wind")
    assert 0 < stories.count() < everything
    page.get_by_label("Filter the stories").fill("qqq")
    assert stories.count() == 0
    assert page.get_by_text("No story here").is_visible()
    page.get_by_label("Filter the stories").fill("comet")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/timeline/word"))
    assert page.get_by_role("heading", level=1).inner_text().startswith("comet")


def test_times_are_those_of_the_reader(service: Service, browser: "Browser") -> None:
    context = browser.new_context(timezone_id="Asia/Tokyo", locale="en-GB")
    context.set_default_timeout(DEADLINE_MS)
    page = context.new_page()
    page.goto(service.url)
    time = page.locator("time").nth(1)
    assert time.inner_text() == f"{SLOT + SLOTS + 9 * HOUR:%Y-%m-%d %H:%M}"
    assert time.get_attribute("title") == f"{SLOT + SLOTS:%Y-%m-%d %H:%M} UTC"
    assert page.locator(".zone").first.inner_text() == "GMT+9"
    context.close()


def test_a_newer_run_shows_without_a_reload(tmp_path: Path, page: "Page") -> None:
    settings = support.settings_in(tmp_path)
    support.make_warehouse(tmp_path, 1)
    with serving(settings) as own:
        page.goto(own.url)
        page.evaluate("window.stays = true")
        page.locator("#live").evaluate("live => { live.dataset.refresh = 0.2; }")
        page.get_by_label("Filter the stories").fill("o")
        page.evaluate("scheduleRefresh()")
        support.fill(own.warehouse, SLOT + SLOTS, words=("penguin", "escaped", "zoo"))
        page.get_by_role("link", name="penguin escaped zoo").wait_for()
        assert page.get_by_label("Filter the stories").input_value() == "o"
        assert page.evaluate("window.stays")


def test_a_run_is_chosen(service: Service, page: "Page") -> None:
    page.goto(service.url)
    page.get_by_label("Run", exact=True).select_option(label=f"{SLOT - SLOTS:%Y-%m-%d %H:%M}")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url(re.compile("run="))
    assert page.get_by_text(HOSTILE[0]).count() == 0
    assert page.locator("time").nth(1).inner_text() == f"{SLOT - SLOTS:%Y-%m-%d %H:%M}"
    page.get_by_role("link", name="Later →").click()
    assert page.locator("time").nth(1).inner_text() == f"{SLOT:%Y-%m-%d %H:%M}"


def test_a_run_is_followed_while_it_goes_on(service: Service, page: "Page") -> None:
    page.goto(f"{service.url}/jobs/{RUN}")
    assert page.locator("#node-links [data-state=running]").count() == 1
    page.get_by_role("button", name="Cancel").focus()
    job = service.records.job(f"{RUN}/links")
    assert job
    changed = type(job)(**{**_values(job), "state": "succeeded", "ended": SLOT + SLOTS})
    service.records.put_job(changed)
    page.locator("#node-links [data-state=succeeded]").wait_for()
    assert page.locator("#job-links").get_by_text("succeeded").count() == 1
    assert page.evaluate("document.activeElement.id") == "cancel"
    page.locator("#node-check").click()
    assert page.url.endswith("#job-check")


def _values(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def test_a_run_is_started_and_cancelled(service: Service, page: "Page") -> None:
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))
    page.goto(f"{service.url}/jobs")
    page.get_by_role("button", name="Run now").click()
    page.wait_for_url(re.compile("/jobs/analysis-"))
    run_id = page.url.rpartition("/")[2]
    assert page.locator(".badge").first.inner_text() == "running"
    page.get_by_role("button", name="Cancel").click()
    wait_until(lambda: bool((run := service.records.execution(run_id)) and run.is_cancelled))
    assert len(asked) == 2


def test_a_question_that_is_declined_changes_nothing(service: Service, page: "Page") -> None:
    page.on("dialog", lambda dialog: dialog.dismiss())
    failed = f"analysis-{SLOT - SLOTS:%Y%m%dt%H%M%S}"
    page.goto(f"{service.url}/jobs/{failed}")
    page.get_by_role("button", name="Retry").click()
    run = service.records.execution(failed)
    assert run
    assert run.attempt == 1


def test_the_first_key_leads_past_the_menu(service: Service, page: "Page") -> None:
    page.goto(service.url)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.id === 'main'")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", list(SIZES))
def test_the_pages_fit_the_screen(
    service: Service, browser: "Browser", tmp_path: Path, size: str, scheme: str
) -> None:
    with screen(browser, size, scheme) as page:
        for name, url in VIEWS.items():
            page.goto(f"{service.url}{url}")
            if name in ("story", "word", "pair"):
                plotted(page.locator("#plot"))
            shoot(page, tmp_path / f"{name}.png")
            text, back = (colour(page, name) for name in ("color", "backgroundColor"))
            assert contrast(text, back) > 10
            assert (sum(back) < 200) == (scheme == "dark")


def colour(page: "Page", name: str) -> list[int]:
    found = page.evaluate(f"getComputedStyle(document.body).{name}")
    return [int(part) for part in re.findall(r"\d+", found)[:3]]


def contrast(one: list[int], other: list[int]) -> float:
    """The ratio of WCAG 2."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(rgb: list[int]) -> float:
    parts = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def test_the_pages_can_be_read_without_scripts(service: Service, browser: "Browser") -> None:
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(DEADLINE_MS)
    page = context.new_page()
    page.goto(service.url)
    page.get_by_role("link", name="storm", exact=True).first.click()
    page.get_by_role("cell").first.wait_for()
    assert page.get_by_role("heading", level=1).inner_text().startswith("storm")
    assert page.locator("#plot svg path").count()
    page.goto(f"{service.url}/jobs/{RUN}")
    assert page.locator("svg g[data-state]").count() == len(FAN)
    context.close()
