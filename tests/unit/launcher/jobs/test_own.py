"""Steps that the launcher does itself: checking a run, and noting what is emerging."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from dfpipe import warehouse
from dfpipe.errors import DfpipeError
from launcher.jobs import JobSpec, JobState, LaunchRefusedError, UnavailableError
from launcher.jobs.own import CheckRunner, NoteRunner, poster
from tests.support.http_handler import serving as serving_http
from tests.support.jobs import spec
from tests.support.launcher_pages import SLOT, fill


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


def test_a_run_that_is_not_complete(results: str) -> None:
    given = JobSpec(name="x", kind="check", slot=datetime(2026, 1, 8, tzinfo=UTC))
    with pytest.raises(LaunchRefusedError, match="the run 2026-01-08T00:00:00Z is not complete"):
        CheckRunner(results).launch(given)


def test_without_a_warehouse(tmp_path: Path) -> None:
    with pytest.raises(LaunchRefusedError, match="set DFPIPE_WAREHOUSE"):
        CheckRunner("").launch(spec(kind="check"))
    with pytest.raises(LaunchRefusedError, match="is not the URL of a warehouse"):
        CheckRunner("nowhere").launch(spec(kind="check"))
    (tmp_path / "no.duckdb").write_text("no database")
    with pytest.raises(UnavailableError, match="the warehouse cannot be read"):
        CheckRunner(f"duckdb:///{tmp_path}/no.duckdb").launch(spec(kind="check"))


def test_what_is_emerging_is_noted(results: str, caplog: pytest.LogCaptureFixture) -> None:
    with serving_http() as hook, caplog.at_level("INFO"):
        status = NoteRunner(results, f"{hook.url}/hook").launch(spec(kind="note"))
    assert status.outputs["number"] == 26
    assert "harbour storm" in status.outputs["pairs"]
    (request,) = hook.requests
    assert request.headers["Idempotency-Key"] == "job-1"
    assert b'"slot": "2026-01-07T10:00:00Z"' in request.body
    assert "emerging pairs" in caplog.text


def test_a_webhook_that_fails(results: str) -> None:
    refused = pytest.raises(UnavailableError, match="the webhook answered 500")
    with serving_http(lambda request: 500) as hook, refused:
        NoteRunner(results, hook.url).launch(spec(kind="note"))
    with pytest.raises(UnavailableError, match="the webhook: "):
        poster("http://127.0.0.1:9/secret")("x", "{}")


def test_no_results_are_made(tmp_path: Path) -> None:
    with pytest.raises(DfpipeError):
        warehouse.connect(f"duckdb:///{tmp_path}/absent.duckdb").query("latest_runs")
