"""Addresses of earlier versions lead to those of today."""

from pathlib import Path

import pytest

from launcher.pages.old_addresses import MOVED
from tests.support.launcher_site import RUN, Site

pytestmark = pytest.mark.usefixtures("unbound_launcher")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/executions", "/jobs"),
        (f"/executions/{RUN}?before=1", f"/jobs/{RUN}?before=1"),
        ("/runs", "/jobs"),
        ("/runs?show=8", "/jobs?show=8"),
        (f"/runs/{RUN}", f"/jobs/{RUN}"),
        (f"/api/runs/{RUN}", f"/api/executions/{RUN}"),
        (f"/api/runs/{RUN}/steps/one/log", f"/api/executions/{RUN}/steps/one/log"),
        ("/api/runs.json", "/api/executions.json"),
        ("/api/runs.csv", "/api/executions.csv"),
        ("/results?from=100", "/timeline/runs?from=100"),
        ("/results/history?word=storm", "/timeline/history?word=storm"),
        ("/results/rankings/top_urls", "/timeline/rankings/top_urls"),
        ("/history?w1=caf%C3%A9&w2=a+b", "/timeline/history?w1=caf%C3%A9&w2=a+b"),
        ("/rankings/popular_words?since=6", "/timeline/rankings/popular_words?since=6"),
        ("/login?next=%2Fruns", "/pages/login?next=%2Fruns"),
        ("/runs/a%20b:c", "/jobs/a%20b%3Ac"),
    ],
)
def test_an_old_address_leads_to_the_new_one(site: Site, old: str, new: str) -> None:
    answer = site.get(old)
    assert (answer.status_code, answer.location) == (301, new)


@pytest.mark.parametrize("url", ["/runs", "/api/runs", f"/runs/{RUN}/cancel", "/logout"])
def test_a_post_to_an_old_address_stays_a_post(tmp_path: Path, url: str) -> None:
    answer = Site(tmp_path).post(url, data="body")
    old = next(each for each in MOVED if url.startswith(each))
    assert answer.status_code == 308
    assert answer.location == MOVED[old] + url.removeprefix(old)


def test_the_pages_are_below_a_few_prefixes(site: Site) -> None:
    prefixes = ("/api/", "/jobs", "/timeline/", "/pages/", *MOVED)
    pages = [
        rule.rule
        for rule in site.client.application.url_map.iter_rules()
        if rule.endpoint.startswith("pages.")
    ]
    assert [url for url in pages if not url.startswith(prefixes)] == ["/", "/feed.atom"]
