"""A real Chromium for the tests of pages, driven by Playwright."""

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.missing import missing

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

CHROMIUM = "DFPIPE_CHROMIUM"
# As root it cannot make its own sandbox, and it asks for nothing but the pages that it is given.
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
DEADLINE_MS = 60_000


def find_chromium() -> str:
    """The program: DFPIPE_CHROMIUM, or what Debian or Google call it."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = os.environ.get(CHROMIUM) or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        missing("Chromium", f"`apt-get install chromium`, or set {CHROMIUM} to the program")
    return str(found)


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """One browser for the tests of a module; with it ends the event loop that it needs."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("Playwright", "`pip install playwright`")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=find_chromium(), args=list(OPTIONS), timeout=DEADLINE_MS * 2
        )
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: "Browser") -> Iterator["Page"]:
    """A page of a browser that knows nothing; a fault of its scripts fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(DEADLINE_MS)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: note(message, faults))
    yield page
    context.close()
    assert faults == []


def note(message: "ConsoleMessage", faults: list[str]) -> None:
    """Keep what the console says is wrong, but for answers that a test asks for."""
    if message.type == "error" and not message.text.startswith("Failed to load resource"):
        faults.append(message.text)
