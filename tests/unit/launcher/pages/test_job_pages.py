"""The launcher's pages on chains and jobs: graph, buttons, lists, and the same as data."""

import csv
import io
import re
from pathlib import Path

import pytest

from tests.support import launcher_pages as support
from tests.support.launcher_pages import BROKEN, FAN, PLAIN, SLOT, SLOTS
from tests.support.launcher_site import RUN, Page, Site

pytestmark = pytest.mark.usefixtures("unbound_launcher")


def test_chains_and_jobs_as_data(site: Site) -> None:
    found = site.rows("/api/runs.json")
    assert [chain["state"] for chain in found] == ["running", "failed", "succeeded"]
    assert [job["name"] for job in found[0]["jobs"]] == list(FAN)
    lines = list(csv.DictReader(io.StringIO(site.text("/api/runs.csv"))))
    assert [line["id"] for line in lines] == [chain["id"] for chain in found]
    jobs = list(csv.DictReader(io.StringIO(site.text("/api/jobs.csv"))))
    assert len(jobs) == len(site.rows("/api/jobs.json")) == len(FAN) + len(PLAIN) + len(BROKEN)


def test_a_spreadsheet_finds_no_formula(tmp_path: Path) -> None:
    site = Site(tmp_path)
    support.put_chain(site.records, SLOT, "failed", BROKEN, "=HYPERLINK(1)")
    (line,) = csv.DictReader(io.StringIO(site.text("/api/runs.csv")))
    assert line["error"] == "'=HYPERLINK(1)"


def test_the_graph_has_every_step_in_its_colour(site: Site) -> None:
    page = Page(site.text(f"/runs/{RUN}"))
    states = [attrs["data-state"] for tag, attrs in page.tags if tag == "g"]
    assert sorted(map(str, states)) == sorted(
        {"drained": "cancelled"}.get(state, state) for state, _ in FAN.values()
    )
    assert sum(attrs.get("class") == "edge" for _, attrs in page.tags) == 10


def test_which_buttons_there_are(site: Site) -> None:
    def actions(url: str) -> list[str]:
        page = Page(site.text(url))
        return [
            str(attrs["action"]) for tag, attrs in page.tags if tag == "form" and "action" in attrs
        ]

    assert actions("/runs") == ["/runs"]
    assert actions(f"/runs/{RUN}") == [f"/runs/{RUN}/cancel"]
    failed, done = "analysis-20260107t050000", "analysis-20260107t000000"
    assert actions(f"/runs/{failed}") == [f"/runs/{failed}/retry"]
    assert actions(f"/runs/{done}") == []


def test_buttons_start_cancel_and_retry(tmp_path: Path) -> None:
    site = Site(tmp_path)
    answer = site.post("/runs")
    assert answer.status_code == 303
    run_id = answer.location.rpartition("/")[2]
    assert site.post("/runs").location == answer.location
    run = site.records.run(run_id)
    assert run
    assert (run.state, run.attempt) == ("running", 1)
    assert "running" in Page(site.text(answer.location)).text
    assert site.post(f"/runs/{run_id}/retry").status_code == 409
    assert site.post(f"/runs/{run_id}/cancel").location == answer.location
    run = site.records.run(run_id)
    assert run
    assert run.is_cancelled
    for button in ("cancel", "retry"):
        assert site.post(f"/runs/nothing/{button}").status_code == 404


def test_a_slot_that_has_had_its_run_is_told(tmp_path: Path) -> None:
    site = Site(tmp_path)
    run_id = support.put_chain(site.records, SLOT, "succeeded", PLAIN)
    answer = site.post("/runs")
    assert answer.location == f"/runs/{run_id}?before=1"
    assert "This slot has had its run" in Page(site.text(answer.location)).text
    assert "This slot has had its run" not in Page(site.text(f"/runs/{run_id}")).text


@pytest.mark.parametrize(
    ("url", "name"),
    [("/results", "Timeline"), ("/history?word=storm", "Timeline"), (f"/runs/{RUN}", "Jobs")],
    ids=["results", "history", "run"],
)
def test_the_menu_tells_where_a_page_is(site: Site, url: str, name: str) -> None:
    text = site.text(url)
    assert re.findall(r'aria-current="true">([^<]*)<', text) == [name]


def test_a_failed_chain_is_retried(tmp_path: Path) -> None:
    site = Site(tmp_path)
    run_id = support.put_chain(site.records, SLOT, "failed", BROKEN)
    assert "Retry" in Page(site.text(f"/runs/{run_id}")).text
    assert site.post(f"/runs/{run_id}/retry").status_code == 303
    run = site.records.run(run_id)
    assert run
    assert (run.state, run.attempt) == ("running", 2)
    assert "Cancel" in Page(site.text(f"/runs/{run_id}")).text


@pytest.mark.parametrize("url", ["/runs", f"/runs/{RUN}/cancel", f"/runs/{RUN}/retry"])
def test_a_button_of_another_site_changes_nothing(site: Site, url: str) -> None:
    before = site.rows("/api/runs.json")
    answer = site.post(url, headers={"Origin": "http://evil.example"})
    assert (answer.status_code, answer.data) == (403, b"")
    assert site.rows("/api/runs.json") == before
    assert site.get(f"{url}").status_code in (200, 405)


def test_of_many_chains_the_newest_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launcher.pages.job_pages.PAGE_CHAINS", 2)
    site = Site(tmp_path)
    assert "No chain has run yet." in Page(site.text("/runs")).text
    for number in range(5):
        support.put_chain(site.records, SLOT - number * SLOTS, "succeeded", PLAIN)
    page = Page(site.text("/runs"))
    assert len([link for link in page.links() if link.startswith("/runs/")]) == 2
    assert "/runs?show=8" in page.links()
    more = Page(site.text("/runs?show=8")).links()
    assert len([link for link in more if link.startswith("/runs/")]) == 5
