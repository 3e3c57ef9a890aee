"""Makes the pictures of docs/images again: `make images`.

They show the launcher's front page and the page of a story over the synthetic timeline, in a real
browser, light and dark.
"""

import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.support.browser import OPTIONS, find_chromium
from tests.support.documents import ROOT
from tests.support.screenshots import SCHEMES
from tests.support.serving import Serving

FOLDER = ROOT / "docs" / "images"
SIZE = {"width": 1180, "height": 760}


def main() -> None:
    """Serve the demo until its page has results, and take the pictures."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        serving = Serving(Path(name), "--demo")
        try:
            serving.wait_for("/healthz")
            cookie, _, value = serving.log_in().partition("=")
            browser = playwright.chromium.launch(
                executable_path=find_chromium(), args=list(OPTIONS)
            )
            for scheme in SCHEMES:
                context = browser.new_context(viewport=SIZE, color_scheme=scheme)  # type: ignore[arg-type]
                context.add_cookies([{"name": cookie, "value": value, "url": serving.url}])
                page = context.new_page()
                page.goto(serving.url)
                # There is a second run by then, so that some stories are new.
                page.locator("text=/^Compared with the run/").first.wait_for(timeout=240_000)
                story = page.locator("a[href*='/timeline/story']").first
                page.screenshot(path=FOLDER / f"front-{scheme}.png")
                story.click()
                page.locator(".js-plotly-plot .main-svg").first.wait_for(timeout=120_000)
                page.screenshot(path=FOLDER / f"story-{scheme}.png")
        finally:
            serving.kill()


if __name__ == "__main__":
    main()
