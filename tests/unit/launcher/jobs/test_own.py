"""Steps that the launcher does itself: checking a run, and noting what is rising."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dfpipe import warehouse
from dfpipe.errors import DfpipeError
from dfpipe.warehouse.tables import (
    STORIES,
    STORY_POSTS,
    STORY_TIMELINE,
    StoryPart,
    StoryPost,
    StoryRow,
)
from launcher.jobs import JobSpec, JobState, LaunchRefusedError, UnavailableError
from launcher.jobs.own import CheckRunner, NoteRunner, poster
from service.times import rfc3339
from tests.support.http_handler import serving as serving_http
from tests.support.jobs import spec
from tests.support.launcher_pages import SLOT, fill
from tests.support.warehouses import a_run


@pytest.fixture
def results(tmp_path: Path) -> str:
    url = f"duckdb:///{tmp_path}/results.duckdb"
    fill(url, SLOT)
    return url


def test_a_plausible_run_passes_the_check(results: str) -> None:
    status = CheckRunner(results).launch(spec(kind="check", parameters={"most_posts": "1000"}))
    assert status.state is JobState.SUCCEEDED
    assert status.outputs == {"posts": 1000, "words": 5000}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"least_posts": "1001"}, "has 1,000 posts: expected at least 1,001"),
        ({"most_posts": "9"}, "has 1,000 posts: expected 1 to 9"),
        ({"least_posts": "many"}, "least_posts is 'many': expected a whole number"),
        ({"least": "1"}, "unknown parameter least: expected least_posts or most_posts"),
    ],
    ids=["too-few", "too-many", "no-number", "unknown"],
)
def test_what_the_check_refuses(results: str, parameters: dict[str, str], message: str) -> None:
    with pytest.raises(LaunchRefusedError, match=message):
        CheckRunner(results).launch(spec(kind="check", parameters=parameters))


def test_a_system_without_posts_passes_until_its_first_ones(tmp_path: Path) -> None:
    url = f"duckdb:///{tmp_path}/new.duckdb"
    results, check = warehouse.connect(url), spec(kind="check", parameters={"least_posts": "1"})
    empty = replace(a_run(SLOT), tweets=0)
    results.replace_run(empty, {})
    assert CheckRunner(url).launch(check).outputs == {"posts": 0, "words": 0}
    results.replace_run(a_run(SLOT - timedelta(hours=5)), {})
    with pytest.raises(LaunchRefusedError, match="has 0 posts: expected at least 1"):
        CheckRunner(url).launch(check)


def test_a_run_that_is_not_complete(results: str) -> None:
    given = JobSpec(name="x", kind="check", slot=datetime(2026, 1, 8, tzinfo=UTC))
    with pytest.raises(LaunchRefusedError, match="the run 2026-01-08T00:00:00Z is not complete"):
        CheckRunner(results).launch(given)


def test_without_a_warehouse(tmp_path: Path) -> None:
    with pytest.raises(LaunchRefusedError, match="set DFPIPE_SINK"):
        CheckRunner("").launch(spec(kind="check"))
    with pytest.raises(LaunchRefusedError, match="is not the URL of a warehouse"):
        CheckRunner("nowhere").launch(spec(kind="check"))
    (tmp_path / "no.duckdb").write_text("no database")
    with pytest.raises(UnavailableError, match="the warehouse cannot be read"):
        CheckRunner(f"duckdb:///{tmp_path}/no.duckdb").launch(spec(kind="check"))


def tell(url: str, slot: datetime, *names: str, p_value: float = 0.001) -> None:
    """Write a run of these stories."""
    rows = [
        StoryRow(slot, i, *name.split()[:2], name, 9, 3, 8, 1, 30.0, p_value, 1, slot, slot)
        for i, name in enumerate(names, 1)
    ]
    parts = [StoryPart(slot, row.rank, slot, 9) for row in rows]
    posts = [StoryPost(slot, row.rank, 1, 7, 9) for row in rows]
    run = a_run(slot, tweets=90, recent_start=slot, recent=30)
    tables = {STORIES: rows, STORY_TIMELINE: parts, STORY_POSTS: posts}
    warehouse.connect(url).replace_run(run, tables)


def test_rising_stories_are_noted_once(results: str, caplog: pytest.LogCaptureFixture) -> None:
    hours = [SLOT - timedelta(hours=h) for h in (9, 6, 3)]
    tell(results, hours[0], "ferry late", p_value=0.5)
    tell(results, hours[1], "harbour storm odette ferries", "ferry late")
    tell(results, hours[2], "harbour storm odette wind", "ferry late", "cup final")
    with serving_http() as hook, caplog.at_level("INFO"):
        runner = NoteRunner(results, f"{hook.url}/hook")
        noted = [
            runner.launch(replace(spec(kind="note"), slot=slot)).outputs["stories"]
            for slot in hours
        ]
    assert noted == [[], ["harbour storm odette ferries", "ferry late"], ["cup final"]]
    first, _ = hook.requests
    assert first.headers["Idempotency-Key"] == "job-1"
    body = json.loads(first.body)
    assert (body["slot"], body["number"]) == (rfc3339(hours[1]), 2)
    assert (body["stories"][0]["posts"], body["stories"][0]["times"]) == (9, 16.0)
    assert "rising stories" in caplog.text


def test_a_webhook_that_fails(results: str) -> None:
    tell(results, SLOT, "harbour storm")
    refused = pytest.raises(UnavailableError, match="the webhook answered 500")
    with serving_http(lambda request: 500) as hook, refused:
        NoteRunner(results, hook.url).launch(spec(kind="note"))
    with pytest.raises(UnavailableError, match="the webhook: "):
        poster("http://127.0.0.1:9/secret")("x", "{}")


def test_no_results_are_made(tmp_path: Path) -> None:
    with pytest.raises(DfpipeError):
        warehouse.connect(f"duckdb:///{tmp_path}/absent.duckdb").query("latest_runs")
