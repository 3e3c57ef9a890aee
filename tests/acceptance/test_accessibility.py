"""All pages in a real browser: axe-core, the keyboard, narrow screens, and their weight."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from flask import Flask

import workflow
from collector.app import create_app as create_collector
from collector.fetching.accounts import Accounts
from collector.settings import CollectorSettings
from dfpipe.datastore import connect
from launcher.chains import context as launcher_context
from launcher.chains.stages import start_workflow
from service.auth import AuthSettings, Guard
from tests.support import launcher_pages as support
from tests.support.in_browser import SITE, Served, unreached, violations
from tests.support.launcher_pages import FAN, SLOT, SLOTS
from tests.support.launcher_site import HOSTILE, RUN, SECRET, Site
from tests.support.processes import ROOT
from tests.support.screenshots import SCHEMES, SIZES
from tests.support.workflow_page import Fails, Fan, Later, Outer, make_engine
from workflow.engine.local import LocalRunner
from workflow.web.handlers import create_blueprint

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Locator, Page

LAUNCHER = {
    "front": "/",
    "story": "/timeline/story?w1=harbour&w2=storm&ts=2026-01-07T10:00:00Z",
    "word": "/timeline/word?word=storm",
    "pair": "/timeline/pair?w1=ferry&w2=storm",
    "link": "/timeline/link?url=https://news1.example/story/1?page=0",
    "host": "/timeline/host?host=news1.example",
    "search": "/timeline/search?q=stor",
    "unknown": "/timeline/search?q=qqqq",
    "meaning": "/timeline/meaning",
    "runs": "/timeline/runs",
    "ranking": "/timeline/rankings/popular_words",
    "compared": "/?compare=2026-01-07T04:00:00Z&sort=rise",
    "jobs": "/jobs",
    "execution": f"/jobs/{RUN}",
    "failed": "/jobs/analysis-20260107t050000",
    "workflows": "/_ah/pipeline/list",
    "workflow": f"/_ah/pipeline/status?root={RUN}-1",
    "missing": "/jobs/nothing",
}
# On a wide screen the tables in cards show all their columns.
_CUT = """
() => innerWidth > 1000 && [...document.querySelectorAll(".cards .wide")].some(
  (each) => each.scrollWidth > each.clientWidth)
"""
# Headings that skip a level, and drawings that a screen reader neither names nor skips.
_LEVELS = """
() => {
  const levels = [...document.querySelectorAll("h1, h2, h3, h4")].map((each) => Number(each.tagName[1]));
  const skipped = levels.filter((level, at) => level > (levels[at - 1] ?? 0) + 1);
  const nameless = [...document.querySelectorAll("main svg")].filter((each) =>
    !each.closest("[aria-hidden=true], [role=img][aria-label]"));
  return [...skipped, ...nameless.map((each) => each.outerHTML.slice(0, 100))];
}
"""  # noqa: E501
WEIGHT = 80_000  # bytes of the front page and of all that it loads, without plots


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """A launcher with hostile words, executions, a log and a workflow."""
    folder = tmp_path_factory.mktemp("site")
    site = Site(folder, runs=12)
    support.fill(site.settings.warehouse, SLOT + SLOTS, words=(*HOSTILE, *support.STORY))
    error = "exit code 1: " + "long " * 100
    support.put_execution(site.records, SLOT - 2 * SLOTS, "succeeded", support.PLAIN)
    support.put_execution(site.records, SLOT - SLOTS, "failed", support.BROKEN, error)
    support.put_execution(site.records, SLOT, "running", FAN, error)
    log = Path(site.settings.jobs_folder) / f"{RUN}-links-1" / "log"
    log.parent.mkdir(parents=True)
    log.write_text("a line of a log\n" * 200)
    execution = site.records.execution(RUN)
    assert execution
    start_workflow(execution)
    yield site.client.application
    launcher_context.bind(None)


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    store = f"sqlite:///{tmp_path_factory.mktemp('collector')}/store.db"
    app = create_collector(
        CollectorSettings(
            store=store,
            queue_yaml=str(ROOT / "queue.yaml"),
            auth=AuthSettings(page_access="loopback"),
            places={"Timeline": "/", "Jobs": "/jobs", "Collector": "/status"},
        )
    )
    accounts = Accounts(connect(store))
    for name in ("bluesky:" + "long-name." * 5 + "example", "mastodon:public"):
        accounts.follow(name, SLOT)
    return app


@pytest.fixture(scope="module")
def workflows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The addresses of a running, a failed, a retried and a finished workflow, and of a list."""
    engine = make_engine(f"sqlite:///{tmp_path_factory.mktemp('workflows')}/store.db")
    workflow.bind(engine)
    stages = {
        "running": Later(),
        "failed": Outer(120, 100),
        "retry": Fails("long " * 100).with_params(backoff_seconds=3600),
        "done": Fan(60, note="word" * 200),
    }
    for stage in stages.values():
        stage.start()
    runner = LocalRunner(engine)
    while runner.step():
        pass
    page = "/_ah/pipeline/status?root="
    found = {name: f"{page}{stage.pipeline_id}" for name, stage in stages.items()}
    yield {"list": "/_ah/pipeline/list", **found, "state": f"{found['failed']}&state=done"}
    workflow.bind(None)
    engine.client.close()


def workflow_pages() -> Flask:
    app = Flask(__name__)
    settings = AuthSettings(page_access="loopback")
    Guard(settings).install(app)
    app.register_blueprint(create_blueprint())
    return app


def test_the_pages_of_workflows_have_no_barriers(
    workflows: dict[str, str], screen: "BrowserContext"
) -> None:
    served, page = Served(workflow_pages(), screen), screen.new_page()
    found = [each for url in workflows.values() for each in problems(page, url)]
    assert not found, "\n".join(found)
    page.goto(f"{SITE}{workflows['running']}")
    page.get_by_text("Abort…").click()
    assert violations(page) == []
    assert set(served.statuses.values()) == {200}


@pytest.mark.parametrize("name", ["list", "running", "failed", "done", "state"])
def test_the_keyboard_reaches_everything_of_a_workflow(
    workflows: dict[str, str], page: "Page", name: str
) -> None:
    Served(workflow_pages(), page.context)
    page.goto(f"{SITE}{workflows[name]}")
    page.wait_for_load_state("networkidle")
    assert unreached(page) == 0


@pytest.fixture(params=[(size, scheme) for size in SIZES for scheme in SCHEMES], ids="-".join)
def screen(browser: "Browser", request: pytest.FixtureRequest) -> "Iterator[BrowserContext]":
    size, scheme = request.param
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    context.set_default_timeout(60_000)
    yield context
    context.close()


def problems(page: "Page", url: str) -> list[str]:
    """What is wrong with a page: barriers, and parts that are wider than the screen."""
    page.goto(f"{SITE}{url}")
    page.wait_for_load_state("networkidle")
    found = violations(page)
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        found.append("it scrolls sideways")
    if page.evaluate(_CUT):
        found.append("a table in a card is cut at the side")
    return [f"{url}: {each}" for each in found]


def test_the_pages_of_the_launcher_have_no_barriers(
    launcher: Flask, screen: "BrowserContext"
) -> None:
    served, page = Served(launcher, screen), screen.new_page()
    found = [each for url in LAUNCHER.values() for each in problems(page, url)]
    assert not found, "\n".join(found)
    wrong = {path for path, status in served.statuses.items() if status >= 400}
    assert wrong == {"/jobs/nothing"}


def test_the_page_of_the_collector_has_no_barriers(
    collector: Flask, screen: "BrowserContext"
) -> None:
    Served(collector, screen)
    page = screen.new_page()
    assert problems(page, "/status") == []


def test_the_login_has_no_barriers(tmp_path: Path, screen: "BrowserContext") -> None:
    Served(Site(tmp_path, auth=AuthSettings(token=SECRET)).client.application, screen)
    page = screen.new_page()
    assert problems(page, "/pages/login") == []
    page.get_by_label("Token").fill("wrong")
    page.keyboard.press("Enter")
    page.get_by_text("Wrong token.").wait_for()
    assert violations(page) == []
    launcher_context.bind(None)


@pytest.mark.parametrize("name", ["front", "story", "jobs", "execution"])
def test_the_keyboard_reaches_everything(launcher: Flask, page: "Page", name: str) -> None:
    Served(launcher, page.context)
    page.goto(f"{SITE}{LAUNCHER[name]}")
    page.wait_for_load_state("networkidle")
    assert unreached(page) == 0


def test_the_keyboard_alone_operates_the_front_page(launcher: Flask, page: "Page") -> None:
    Served(launcher, page.context)
    page.goto(SITE)
    page.wait_for_load_state("networkidle")
    assert page.evaluate(_LEVELS) == []
    for name in ("Filter the stories", "Word, pair, link or host", "Run", "compared with"):
        tab_to(page, page.get_by_label(name, exact=True))
    tab_to(page, page.get_by_role("link", name="Rising", exact=True))
    page.keyboard.press("Enter")
    page.wait_for_url("**sort=rise**")
    tab_to(page, page.get_by_role("link", name="← Earlier"))
    page.keyboard.press("Enter")
    page.wait_for_url("**run=**")
    tab_to(page, page.get_by_role("button", name="Show", exact=True))
    page.keyboard.press("Space")
    page.wait_for_url("**compare=**")
    tab_to(page, page.locator(".stories h3 a").first)
    page.keyboard.press("Enter")
    page.wait_for_url("**/timeline/story**")
    page.locator("#plot[data-drawn]").wait_for()
    assert page.evaluate(_LEVELS) == []


def tab_to(page: "Page", place: "Locator") -> None:
    """Press Tab until a place has the focus, which has to be seen."""
    for _ in range(200):
        page.keyboard.press("Tab")
        if place.evaluate("(each) => each === document.activeElement"):
            break
    else:
        raise AssertionError(f"Tab does not reach {place}")
    assert place.evaluate("(each) => getComputedStyle(each).outlineStyle") != "none"


def test_the_front_page_is_light(launcher: Flask, page: "Page") -> None:
    served = Served(launcher, page.context)
    page.goto(SITE)
    page.wait_for_load_state("networkidle")
    assert sum(served.bytes.values()) < WEIGHT, served.bytes
