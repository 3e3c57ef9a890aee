"""Applications of this process in a real browser: each request goes to Flask's test client."""

import functools
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from flask import Flask
    from playwright.sync_api import BrowserContext, Page, Route

# A name of this machine: pages are open to it without a login where that is chosen.
SITE = "http://localhost"
# The rules of WCAG 2.2, levels A and AA, and what axe-core recommends besides.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
FOCUSABLE = "a[href], button, input, select, textarea, summary, [tabindex]"
# The elements that the Tab key has to reach, in the order of the page.
_REACHABLE = """
(selector) => [...document.querySelectorAll(selector)].filter((each) =>
  each.tabIndex >= 0 && !each.disabled && each.type !== "hidden" && each.checkVisibility()
  && !each.closest("dialog:not([open])")).length
"""
_FOCUSED = """
() => {
  const each = document.activeElement;
  window.reached ??= new Set();
  if (each && each !== document.body) window.reached.add(each);
  return window.reached.size;
}
"""


class Served:
    """What an application has answered to a browser: the bytes by address."""

    def __init__(self, app: "Flask", context: "BrowserContext") -> None:
        self.client = app.test_client()
        self.bytes: dict[str, int] = {}
        self.statuses: dict[str, int] = {}
        context.route("**/*", self._answer)

    def _answer(self, route: "Route") -> None:
        request = route.request
        parts = urlsplit(request.url)
        assert f"{parts.scheme}://{parts.netloc}" == SITE, request.url
        answer = self.client.open(
            parts.path,
            method=request.method,
            query_string=parts.query,
            data=request.post_data_buffer,
            headers=request.headers,
            base_url=SITE,
        )
        self.bytes[parts.path] = len(answer.data)
        self.statuses[parts.path] = answer.status_code
        route.fulfill(status=answer.status_code, headers=dict(answer.headers), body=answer.data)


@functools.cache
def axe() -> str:
    """The source of axe-core."""
    found = util.find_spec("axe_playwright_python")
    assert found
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0], "axe.min.js").read_text(encoding="utf-8")


def violations(page: "Page") -> list[str]:
    """What axe-core finds wrong with a page: the rule, and the elements that break it."""
    page.wait_for_load_state()  # with its style sheet
    page.evaluate(axe())
    found: dict[str, Any] = page.evaluate(
        "(tags) => axe.run(document, {runOnly: {type: 'tag', values: tags}})", RULES
    )
    return [
        f"{each['id']}: {node['html'][:200]} {node['failureSummary']}"
        for each in found["violations"]
        for node in each["nodes"]
    ]


def unreached(page: "Page") -> int:
    """How many elements of a page the Tab key does not reach."""
    expected: int = page.evaluate(_REACHABLE, FOCUSABLE)
    page.evaluate("document.activeElement.blur()")
    reached = 0
    for _ in range(expected + 1):
        page.keyboard.press("Tab")
        reached = page.evaluate(_FOCUSED)
    return expected - reached
