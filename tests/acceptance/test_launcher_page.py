"""The launcher's pages in a real browser, served by gunicorn, as people see and use them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import launcher_pages as support
from tests.support.browser import DEADLINE_MS
from tests.support.launcher_pages import BROKEN, FAN, PLAIN, SLOT, SLOTS, STORY
from tests.support.launcher_service import Service, serving
from tests.support.processes import wait_until
from tests.support.screenshots import SCHEMES, SIZES, screen, shoot

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

HOSTILE = ("<script>alert(1)</script>", "<img/src=x/onerror=alert(2)>", "\"onclick='alert(3)")
RUN = f"analysis-{SLOT:%Y%m%dt%H%M%S}"
VIEWS = {
    "timeline": "/",
    "history": "/timeline/history?w1=storm&w2=ferry",
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


def test_a_word_is_plotted_on_a_click_and_by_the_keyboard(service: Service, page: "Page") -> None:
    page.goto(service.url)
    dialog, link = page.locator("#moved"), page.get_by_role("link", name="storm", exact=True).first
    link.click()
    assert plotted(dialog.locator(".plot")) == 13
    assert dialog.get_by_role("heading").inner_text() == "storm"
    assert dialog.get_by_role("status").inner_text().startswith("Ranked in 13 of 13 runs, at best")
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    assert link.evaluate("link => link === document.activeElement")
    page.get_by_role("link", name="ferry + storm").first.focus()
    page.keyboard.press("Enter")
    assert 0 < plotted(dialog.locator(".plot")) < 13
    assert dialog.get_by_role("heading").inner_text() == "ferry + storm"
    dialog.get_by_role("link", name="As a page").click()
    assert plotted(page.locator("#plot")) > 0
    assert page.get_by_role("heading", level=1).inner_text() == "ferry + storm"


def test_hostile_text_runs_nothing(service: Service, page: "Page") -> None:
    opened: list[str] = []
    page.on("dialog", lambda dialog: (opened.append(dialog.message), dialog.dismiss()))
    for url in (
        "/",
        "/timeline/rankings/popular_words",
        f"/jobs/analysis-{SLOT - SLOTS:%Y%m%dt%H%M%S}",
    ):
        page.goto(f"{service.url}{url}")
        assert page.get_by_text(HOSTILE[1]).count()
        assert not page.locator("main img, main script").count()
    page.goto(service.url)
    page.get_by_role("link", name=HOSTILE[0], exact=True).first.click()
    assert plotted(page.locator("#moved-plot")) == 1
    assert page.locator("#moved-title").inner_text() == HOSTILE[0]
    page.locator("#moved-plot").hover()
    assert opened == []


def test_a_run_is_chosen(service: Service, page: "Page") -> None:
    page.goto(service.url)
    page.get_by_label("Run", exact=True).select_option(label=f"{SLOT - SLOTS:%Y-%m-%d %H:%M}")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url(re.compile("run="))
    assert page.get_by_text(HOSTILE[0]).count() == 0
    assert page.locator("time").first.inner_text() == f"{SLOT - SLOTS:%Y-%m-%d %H:%M}"
    page.get_by_role("link", name="→").click()
    assert page.locator("time").first.inner_text() == f"{SLOT:%Y-%m-%d %H:%M}"


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
            if name == "history":
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
    assert page.get_by_role("heading", level=1).inner_text() == "storm"
    page.goto(f"{service.url}/jobs/{RUN}")
    assert page.locator("svg g[data-state]").count() == len(FAN)
    context.close()
