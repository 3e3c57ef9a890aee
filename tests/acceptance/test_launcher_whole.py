"""From cron's request to the page: a real run on a laptop, seen in a real browser."""

import json
import urllib.error
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dfpipe import archive, warehouse
from dfpipe.datastore import connect
from dfpipe.demo import timeline
from launcher.slots import parse_slot
from tests.support import launcher_pages as support
from tests.support.launcher_service import TOKEN, Service, serving

if TYPE_CHECKING:
    from playwright.sync_api import Page

LONG_MS = 300_000  # for an analysis on a busy machine


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A launcher with a dispatcher, and posts of the last day."""
    folder: Path = tmp_path_factory.mktemp("whole")
    settings = support.settings_in(folder)
    now = datetime.now(UTC)
    posts = islice(timeline(now - timedelta(days=1), now), archive.BATCH_POSTS)
    archive.store_posts(connect(settings.store), list(posts))
    with serving(settings, dispatches=True) as found:
        yield found


def test_cron_starts_a_run_that_the_page_shows(service: Service, page: "Page") -> None:
    with pytest.raises(urllib.error.HTTPError, match="403"):
        service.ask("/launchpipeline", **{"X-Appengine-Cron": "true"})
    page.goto(service.url)
    assert page.get_by_text("write a run to it with").count()
    answer = service.ask("/launchpipeline", Authorization=f"Bearer {TOKEN}")
    run = json.load(answer)
    assert answer.status == 202
    page.goto(f"{service.url}/runs/{run['id']}")
    # The page is not loaded again: it follows the run by itself.
    done = page.locator(".head .badge[data-state=succeeded]")
    done.wait_for(timeout=LONG_MS)
    assert page.locator("svg g[data-state=succeeded]").count() == 3
    page.get_by_role("link", name="Log of analyse").click()
    assert "posts" in page.locator("body").inner_text()
    page.goto(service.url)
    slot = parse_slot(run["slot"])
    page.locator("main time").get_by_text(f"{slot:%Y-%m-%d %H:%M}").wait_for()
    (shown,) = warehouse.connect(service.warehouse).query("latest_runs").rows
    assert shown[0] == slot
    assert page.get_by_text(f"{shown[3]:,} posts").count()
    best = warehouse.connect(service.warehouse).query("interesting_pairs").rows[0]
    page.get_by_role("link", name=f"{best[2]} + {best[3]}").first.click()
    page.locator("#moved-plot[data-drawn='1']").wait_for()
