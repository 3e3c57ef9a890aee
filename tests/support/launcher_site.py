"""The launcher's pages in one process: a site of theirs, and what a page has."""

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from launcher.app import create_app
from launcher.chains import context
from tests.support import launcher_pages as support
from tests.support.launcher_pages import BROKEN, FAN, NOW, PLAIN, SLOT, SLOTS, STORY, fill

RUN = "analysis-20260107t100000"
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
# Posts are written by strangers.
HOSTILE_POSTS = (
    "<script>alert(8)</script><img src=x onerror=alert(9)>",
    "\u202egnihton yas\u2066 \u200b\u200d\ufeff and marks e" + "\u0301" * 300,
    "long " * 2000,
    "x" * 10_000,
    "javascript:alert(10) data:text/html,<b>x</b> \x00\x1b[2J {{7*7}}",
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


@pytest.fixture
def unbound_launcher() -> Iterator[None]:
    """The process is bound to no launcher when the test is over."""
    yield
    context.bind(None)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site that tests do not change."""
    site = Site(tmp_path_factory.mktemp("site"), runs=12)
    fill(site.settings.warehouse, SLOT + SLOTS, words=(*HOSTILE, *STORY), links=LINKS)
    support.put_posts(site.settings.store, HOSTILE_POSTS, user="<b>anna</b>\u202e")
    error = "exit code 1: <img src=x onerror=alert(7)>"
    support.put_execution(site.records, SLOT - 2 * SLOTS, "succeeded", PLAIN)
    support.put_execution(site.records, SLOT - SLOTS, "failed", BROKEN, error)
    support.put_execution(site.records, SLOT, "running", FAN, error)
    return site
