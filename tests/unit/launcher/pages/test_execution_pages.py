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
    found = site.rows("/api/executions.json")
    assert [chain["state"] for chain in found] == ["running", "failed", "succeeded"]
    assert [job["name"] for job in found[0]["jobs"]] == list(FAN)
    lines = list(csv.DictReader(io.StringIO(site.text("/api/executions.csv"))))
    assert [line["id"] for line in lines] == [chain["id"] for chain in found]
    jobs = list(csv.DictReader(io.StringIO(site.text("/api/jobs.csv"))))
    assert len(jobs) == len(site.rows("/api/jobs.json")) == len(FAN) + len(PLAIN) + len(BROKEN)


def test_a_spreadsheet_finds_no_formula(tmp_path: Path) -> None:
    site = Site(tmp_path)
    support.put_execution(site.records, SLOT, "failed", BROKEN, "=HYPERLINK(1)")
    (line,) = csv.DictReader(io.StringIO(site.text("/api/executions.csv")))
    assert line["error"] == "'=HYPERLINK(1)"


def test_the_graph_has_every_step_in_its_colour(site: Site) -> None:
    page = Page(site.text(f"/jobs/{RUN}"))
    states = [attrs["data-state"] for tag, attrs in page.tags if tag == "g"]
    assert sorted(map(str, states)) == sorted(
        {"drained": "cancelled"}.get(state, state) for state, _ in FAN.values()
    )
    assert sum(attrs.get("class") == "edge" for _, attrs in page.tags) == 10


def test_which_buttons_there_are(site: Site) -> None:
    def actions(url: str) -> list[str]:
        page = Page(site.text(url))
        return [
            str(attrs["action"])
            for tag, attrs in page.tags
            if tag == "form" and attrs.get("method") == "post"
        ]

    assert actions("/jobs") == ["/jobs"]
    assert actions(f"/jobs/{RUN}") == [f"/jobs/{RUN}/cancel"]
    failed, done = "analysis-20260107t050000", "analysis-20260107t000000"
    assert actions(f"/jobs/{failed}") == [f"/jobs/{failed}/retry"]
    assert actions(f"/jobs/{done}") == []


def test_buttons_start_cancel_and_retry(tmp_path: Path) -> None:
    site = Site(tmp_path)
    answer = site.post("/jobs")
    assert answer.status_code == 303
    execution_id = answer.location.rpartition("/")[2]
    assert site.post("/jobs").location == answer.location
    execution = site.records.execution(execution_id)
    assert execution
    assert (execution.state, execution.attempt) == ("running", 1)
    assert "running" in Page(site.text(answer.location)).text
    assert site.post(f"/jobs/{execution_id}/retry").status_code == 409
    assert site.post(f"/jobs/{execution_id}/cancel").location == answer.location
    execution = site.records.execution(execution_id)
    assert execution
    assert execution.is_cancelled
    for button in ("cancel", "retry"):
        assert site.post(f"/jobs/nothing/{button}").status_code == 404


def test_a_slot_that_has_had_its_run_is_told(tmp_path: Path) -> None:
    site = Site(tmp_path)
    execution_id = support.put_execution(site.records, SLOT, "succeeded", PLAIN)
    answer = site.post("/jobs")
    assert answer.location == f"/jobs/{execution_id}?before=1"
    assert "The chain was already started" in Page(site.text(answer.location)).text
    assert "The chain was already started" not in Page(site.text(f"/jobs/{execution_id}")).text


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("/timeline/runs", "Timeline"),
        ("/timeline/word?word=storm", "Timeline"),
        (f"/jobs/{RUN}", "Jobs"),
    ],
    ids=["results", "history", "run"],
)
def test_the_menu_tells_where_a_page_is(site: Site, url: str, name: str) -> None:
    text = site.text(url)
    assert re.findall(r'aria-current="true">([^<]*)<', text) == [name]


def test_a_failed_chain_is_retried(tmp_path: Path) -> None:
    site = Site(tmp_path)
    execution_id = support.put_execution(site.records, SLOT, "failed", BROKEN)
    assert "Retry" in Page(site.text(f"/jobs/{execution_id}")).text
    assert site.post(f"/jobs/{execution_id}/retry").status_code == 303
    execution = site.records.execution(execution_id)
    assert execution
    assert (execution.state, execution.attempt) == ("running", 2)
    assert "Cancel" in Page(site.text(f"/jobs/{execution_id}")).text


@pytest.mark.parametrize("url", ["/jobs", f"/jobs/{RUN}/cancel", f"/jobs/{RUN}/retry"])
def test_a_button_of_another_site_changes_nothing(site: Site, url: str) -> None:
    before = site.rows("/api/executions.json")
    answer = site.post(url, headers={"Origin": "http://evil.example"})
    assert (answer.status_code, answer.data) == (403, b"")
    assert site.rows("/api/executions.json") == before
    assert site.get(f"{url}").status_code in (200, 405)


def test_of_many_chains_the_newest_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launcher.pages.execution_pages.PAGE_EXECUTIONS", 2)
    site = Site(tmp_path)
    assert "No chain has been executed yet." in Page(site.text("/jobs")).text
    for number in range(5):
        support.put_execution(site.records, SLOT - number * SLOTS, "succeeded", PLAIN)
    page = Page(site.text("/jobs"))
    assert len(rows_of(page)) == 2
    assert "/jobs?show=8" in page.links()
    assert len(rows_of(Page(site.text("/jobs?show=8")))) == 5


def rows_of(page: Page) -> list[str]:
    """The ids of the links of the list, one for each execution."""
    ids = [str(attrs.get("id")) for tag, attrs in page.tags if tag == "a"]
    return [each for each in ids if each.startswith("execution-")]


def test_the_durations_are_bars_that_lead_to_their_executions(site: Site) -> None:
    page = Page(site.text("/jobs"))
    states = [attrs["data-state"] for tag, attrs in page.tags if tag == "rect" and "y" in attrs]
    assert states == ["succeeded", "failed", "running"]
    bars = [attrs["href"] for tag, attrs in page.tags if tag == "a" and "tabindex" in attrs]
    slots = (SLOT - 2 * SLOTS, SLOT - SLOTS, SLOT)
    assert bars == [f"/jobs/analysis-{slot:%Y%m%dt%H%M%S}" for slot in slots]


def test_failures_are_first_with_the_step_that_failed_first(site: Site) -> None:
    text = " ".join(Page(site.text("/jobs")).text.split())
    assert text.index("Failed analysis, 2026-01-07 05:00 at analyse") < text.index("Slot")
    failed = " ".join(Page(site.text("/jobs/analysis-20260107t050000")).text.split())
    assert "analyse failed first: exit code 1: <img src=x onerror=alert(7)>" in failed


@pytest.mark.parametrize(
    ("schedule", "shown"),
    [
        ("every 5 hours", "next start about 2026-01-07 15:00 (every 5 hours)"),
        ("every day 03:40", "next start 2026-01-08 03:40 (every day 03:40)"),
        ("1st monday of month 10:00", None),
    ],
    ids=["interval", "daily", "unknown"],
)
def test_the_next_start_is_that_of_cron_yaml(
    tmp_path: Path, schedule: str, shown: str | None
) -> None:
    cron = tmp_path / "cron.yaml"
    cron.write_text(f"cron:\n- url: /launchpipeline\n  schedule: {schedule}\n")
    site = Site(tmp_path, cron_yaml=str(cron))
    support.put_execution(site.records, SLOT, "succeeded", PLAIN)
    text = " ".join(Page(site.text("/jobs")).text.split())
    assert shown in text if shown else "next start" not in text


def test_the_log_of_the_running_step_is_shown(tmp_path: Path) -> None:
    site = Site(tmp_path)
    support.put_execution(site.records, SLOT, "running", FAN)
    folder = Path(site.settings.jobs_folder) / f"{RUN}-links-1"
    folder.mkdir(parents=True)
    (folder / "log").write_text("".join(f"line {n} <b>\n" for n in range(100)))
    page = Page(site.text(f"/jobs/{RUN}"))
    assert "Log of links" in page.text
    assert "line 60 <b>\nline 61 <b>" in page.text
    assert "line 59" not in page.text
    assert f"/jobs/{RUN}/links.log" in page.links()


def test_the_log_of_what_failed_first_is_shown_when_nothing_runs(tmp_path: Path) -> None:
    site = Site(tmp_path)
    support.put_execution(site.records, SLOT, "failed", BROKEN, "exit code 1")
    assert "the last lines" not in Page(site.text(f"/jobs/{RUN}")).text
    folder = Path(site.settings.jobs_folder) / f"{RUN}-analyse-1"
    folder.mkdir(parents=True)
    (folder / "log").write_text("")
    assert "No output yet." in Page(site.text(f"/jobs/{RUN}")).text


def test_an_analysis_leads_to_its_execution(site: Site) -> None:
    address = f"/jobs/of/{SLOT:%Y-%m-%dT%H:%M:%SZ}"
    assert address in Page(site.text(f"/?run={SLOT:%Y-%m-%dT%H:%M:%SZ}")).links()
    assert site.get(address).location == f"/jobs/{RUN}"
    assert site.get("/jobs/of/2001-01-01T00:00:00Z").location == "/jobs"


def test_an_execution_leads_to_its_analysis(site: Site, tmp_path: Path) -> None:
    assert "/?run=2026-01-07T10:00:00Z" in Page(site.text(f"/jobs/{RUN}")).links()
    other = Site(tmp_path, warehouse="")
    support.put_execution(other.records, SLOT, "succeeded", PLAIN)
    assert "/?run=" not in other.text(f"/jobs/{RUN}")
