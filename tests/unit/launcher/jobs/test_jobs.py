"""The ways to run a job: local processes, Dataflow's API, and what the launcher does itself."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from dfpipe import warehouse
from dfpipe.errors import DfpipeError
from launcher.jobs import (
    JobSpec,
    JobState,
    LaunchRefusedError,
    UnavailableError,
    UnknownJobError,
)
from launcher.jobs.classic_template import ClassicTemplateRunner
from launcher.jobs.dataflow import DataflowRunner, options_of
from launcher.jobs.dataflow_api import DataflowApi
from launcher.jobs.flex_template import FlexTemplateRunner
from launcher.jobs.local import LocalRunner, is_alive, words_of
from launcher.jobs.own import CheckRunner, NoteRunner, poster
from launcher.settings import DataflowSettings
from tests.support.fake_dataflow import PROJECT, REGION, FakeDataflow, Faults, serving
from tests.support.http_handler import serving as serving_http
from tests.support.launcher_pages import SLOT, fill
from tests.support.processes import ROOT, wait_until
from tests.support.serving import running

PYTHON = sys.executable


def spec(*command: str, kind: str = "local", name: str = "job-1", **words: Any) -> JobSpec:
    labels = {"launcher-run": "run", "launcher-step": "step", "launcher-attempt": "1"}
    return JobSpec(name=name, kind=kind, slot=SLOT, command=command, labels=labels, **words)


def python(code: str, **words: Any) -> JobSpec:
    return spec(PYTHON, "-c", code, **words)


@pytest.fixture
def local(tmp_path: Path) -> LocalRunner:
    return LocalRunner(tmp_path, {"EXTRA": "given"})


def ended(runner: LocalRunner, name: str = "job-1") -> Any:
    wait_until(lambda: runner.state(name, name).state.is_over, 120)
    return runner.state(name, name)


def test_a_local_job_succeeds(local: LocalRunner) -> None:
    code = "import os, sys; print(os.environ['EXTRA'], sys.argv[1:])"
    given = python(code, parameters={"until": "2026"})
    assert local.find(given) is None
    assert local.launch(given).job_id == "job-1"
    assert ended(local).state is JobState.SUCCEEDED
    assert "given ['--until=2026']" in local.log("job-1")
    assert local.log_link(given, "job-1") == "/api/runs/run/steps/step/log"
    found = local.find(given)
    assert found is not None
    assert found.state is JobState.SUCCEEDED


def test_a_local_job_fails_with_its_last_line(local: LocalRunner) -> None:
    local.launch(python("import sys; print('so'); sys.exit('it is broken')"))
    status = ended(local)
    assert (status.state, status.error) == (JobState.FAILED, "exit code 1: it is broken")


def test_a_command_that_is_not_there(local: LocalRunner) -> None:
    local.launch(spec("/no/such/command"))
    assert ended(local).error == (
        "exit code 127: /no/such/command cannot be run: No such file or directory"
    )


def test_a_local_job_is_run_once_however_often_it_is_launched(
    local: LocalRunner, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    given = python(f"open({str(mark)!r}, 'a').write('x')")
    for _ in range(4):
        local.launch(given)
    ended(local)
    local.launch(given)
    wait_until(lambda: not is_alive(tmp_path / "job-1"))
    assert mark.read_text() == "x"


def test_a_job_whose_launch_was_killed_is_launched_again(
    api: DataflowApi, local: LocalRunner, tmp_path: Path
) -> None:
    """Its folder is there, and nobody has started its process."""
    given = python("print('given')")
    (tmp_path / "job-1").mkdir()
    (tmp_path / "job-1" / "job.json").write_text('{"words": [], "started": 1000.0}')
    assert DataflowRunner(api, local).find(given) is None
    assert local.find(given) is None
    local.launch(given)
    assert ended(local).state is JobState.SUCCEEDED
    assert local.find(given) == local.state("job-1", "job-1")


def test_a_local_job_is_cancelled(local: LocalRunner, tmp_path: Path) -> None:
    local.launch(python("import time; print('on', flush=True); time.sleep(600)"))
    wait_until(lambda: "on" in local.log("job-1"))
    assert local.state("job-1", "job-1").state is JobState.RUNNING
    local.cancel("job-1", "job-1")
    assert ended(local).state is JobState.CANCELLED
    local.cancel("job-1", "job-1")


def test_a_job_that_will_not_end_is_killed_however_often_it_is_asked(tmp_path: Path) -> None:
    """With what it has started, which will not end either."""
    words = ["sh", "-c", "trap '' TERM; sleep 600 & echo $!; wait; sleep 600"]
    (tmp_path / "job.json").write_text(json.dumps({"words": words}))
    code = (
        "import sys; from pathlib import Path; from launcher.jobs import wrapper\n"
        "wrapper.GRACE_SECONDS = 1.0\n"
        "wrapper.run(Path(sys.argv[1]))"
    )
    with subprocess.Popen(
        [PYTHON, "-c", code, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    ) as job:
        assert job.stdout
        below = psutil.Process(int(job.stdout.readline()))

        def has_ended() -> bool:
            if job.poll() is None:
                os.kill(job.pid, signal.SIGTERM)
            return not running([below])

        wait_until(has_ended)
    assert json.loads((tmp_path / "result.json").read_text()) == {"code": -signal.SIGKILL}


def test_a_local_job_is_cancelled_before_it_begins(local: LocalRunner) -> None:
    local.cancel("job-1", "job-1")
    local.launch(python("print('never')"))
    assert ended(local).state is JobState.CANCELLED
    assert "never" not in local.log("job-1")


def test_a_local_job_goes_on_without_its_wrapper(local: LocalRunner, tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    code = "import os, sys, time\nprint('on', flush=True)\n"
    code += "while not os.path.exists(sys.argv[1]): time.sleep(0.1)"
    local.launch(spec(PYTHON, "-c", code, str(stop)))
    wait_until(lambda: "on" in local.log("job-1"))
    os.kill(int((tmp_path / "job-1" / "pid").read_text()), signal.SIGKILL)
    assert local.state("job-1", "job-1").state is JobState.RUNNING
    stop.touch()
    status = ended(local)
    assert status.state is JobState.FAILED
    assert "ended without a result" in status.error


def test_a_local_job_that_did_not_start(tmp_path: Path) -> None:
    now = [1000.0]
    local = LocalRunner(tmp_path, {}, clock=lambda: now[0])
    with pytest.raises(UnknownJobError, match="there is no local job job-1"):
        local.state("job-1", "job-1")
    (tmp_path / "job-1").mkdir()
    (tmp_path / "job-1" / "job.json").write_text('{"words": ["x"], "started": 1000.0}')
    assert local.state("job-1", "job-1").state is JobState.WAITING
    now[0] += 200
    assert local.state("job-1", "job-1").error == "its process did not start"


def test_secrets_are_kept_from_local_jobs(
    local: LocalRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DFPIPE_TASK_TOKEN", "a-secret-of-the-services")
    local.launch(python("import os; print(dict(os.environ))"))
    ended(local)
    assert "a-secret" not in local.log("job-1")


def test_dfpipe_is_the_one_of_this_installation() -> None:
    words = words_of(spec("dfpipe", "run", parameters={"until": "x"}))
    assert words == [PYTHON, "-m", "dfpipe", "run", "--until=x"]


# Dataflow


@pytest.fixture
def fake() -> Iterator[FakeDataflow]:
    with serving(FakeDataflow()) as service:
        yield service


@pytest.fixture
def api(fake: FakeDataflow) -> DataflowApi:
    return DataflowApi(
        DataflowSettings(
            project=PROJECT,
            region=REGION,
            endpoint=fake.url,
            service_account="worker@p.example",
            network="net",
            subnetwork="sub",
            machine_type="n1-standard-2",
            max_workers=10,
            temp_location="gs://b/temp",
            staging_location="gs://b/staging",
        )
    )


ENVIRONMENT = {
    "additionalUserLabels": {
        "launcher-run": "run",
        "launcher-step": "step",
        "launcher-attempt": "1",
    },
    "machineType": "n1-standard-2",
    "maxWorkers": 10,
    "network": "net",
    "serviceAccountEmail": "worker@p.example",
    "subnetwork": "sub",
    "tempLocation": "gs://b/temp",
}


def test_a_flex_template_is_launched(api: DataflowApi, fake: FakeDataflow) -> None:
    runner = FlexTemplateRunner(api)
    given = spec(kind="flex-template", template="gs://b/spec.json", parameters={"days": "4"})
    assert runner.find(given) is None
    status = runner.launch(given)
    assert status.state is JobState.WAITING
    assert runner.launch(given).job_id == status.job_id
    request = fake.named("job-1").request
    assert request["environment"] == ENVIRONMENT | {"stagingLocation": "gs://b/staging"}
    assert request["containerSpecGcsPath"] == "gs://b/spec.json"
    assert request["parameters"] == {"days": "4"}
    found = runner.find(given)
    assert found is not None
    assert found.job_id == status.job_id
    states = [runner.state("job-1", status.job_id).state for _ in range(4)]
    assert states == [JobState.WAITING, JobState.RUNNING, JobState.SUCCEEDED, JobState.SUCCEEDED]


def test_a_classic_template_is_launched(api: DataflowApi, fake: FakeDataflow) -> None:
    given = spec(kind="classic-template", template="gs://b/templates/x", parameters={"days": "4"})
    ClassicTemplateRunner(api).launch(given)
    request = fake.named("job-1").request
    assert request["gcsPath"] == "gs://b/templates/x"
    assert request["environment"] == ENVIRONMENT
    assert request["parameters"] == {"days": "4"}


def test_a_foreign_job_of_the_name_is_not_found(api: DataflowApi, fake: FakeDataflow) -> None:
    fake.add("job-1", {"launcher-run": "another"}, {}, "RUNNING")
    assert FlexTemplateRunner(api).find(spec()) is None


def test_a_job_is_cancelled(api: DataflowApi, fake: FakeDataflow) -> None:
    runner = FlexTemplateRunner(api)
    fake.script = lambda labels: ["RUNNING"]
    job_id = runner.launch(spec(template="gs://b/spec.json")).job_id
    runner.cancel("job-1", job_id)
    assert runner.state("job-1", job_id).state is JobState.RUNNING  # CANCELLING
    assert runner.state("job-1", job_id).state is JobState.CANCELLED
    runner.cancel("job-1", job_id)


def test_what_dataflow_answers(api: DataflowApi, fake: FakeDataflow) -> None:
    runner = FlexTemplateRunner(api)
    with pytest.raises(UnknownJobError, match="could not be found"):
        runner.state("x", "2026-01-07_12_00_00-1")
    with pytest.raises(LaunchRefusedError, match="Dataflow refuses: .*Not-A-Name is no name"):
        runner.launch(spec(name="Not-A-Name", template="gs://b/spec.json"))
    fake.faults = Faults(busy=1.0)
    with pytest.raises(UnavailableError, match="Dataflow cannot answer now"):
        runner.state("x", "2026-01-07_12_00_00-1")


def test_dataflow_that_cannot_be_reached() -> None:
    api = DataflowApi(DataflowSettings(project="p", endpoint="http://127.0.0.1:9"))
    with pytest.raises(UnavailableError, match="Dataflow cannot"):
        api.state("x")


def test_options_of_a_submission() -> None:
    settings = DataflowSettings(project="p", region="r", endpoint="http://localhost:1")
    words = options_of(spec(kind="dataflow", parameters={"days": "2", "region": "own"}), settings)
    assert "--runner=DataflowRunner" in words
    assert "--job_name=job-1" in words
    assert "--until=2026-01-07T10:00:00Z" in words
    assert {"--days=2", "--region=own", "--no_auth", "--labels=launcher-run=run"} <= set(words)
    assert not any(word.endswith("=") for word in words)


def test_a_submission_that_fails(api: DataflowApi, local: LocalRunner) -> None:
    runner = DataflowRunner(api, local)
    given = spec(kind="dataflow", parameters={"sink": "nowhere"})
    status = runner.launch(given)
    assert (status.job_id, status.state) == ("job-1", JobState.WAITING)
    wait_until(lambda: runner.state("job-1", "job-1").state.is_over, 120)
    found = runner.state("job-1", "job-1")
    assert found.state is JobState.FAILED
    assert "exit code 1: error: " in found.error
    assert runner.log("job-1")


def test_a_submission_becomes_a_job(
    api: DataflowApi, local: LocalRunner, fake: FakeDataflow
) -> None:
    runner = DataflowRunner(api, local)
    given = spec(kind="dataflow")
    with pytest.raises(UnknownJobError):
        runner.state("job-1", "job-1")
    job = fake.add("job-1", dict(given.labels), {}, "RUNNING", "DONE")
    found = runner.state("job-1", "job-1")
    assert (found.job_id, found.state) == (job.id, JobState.RUNNING)
    assert runner.find(given) == found
    assert runner.state("job-1", job.id).state is JobState.SUCCEEDED
    runner.cancel("job-1", job.id)


# What the launcher does itself


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
        ({"least_posts": "many"}, "least_posts is 'many': give a whole number"),
        ({"least": "1"}, "least is no parameter of a check: give least_posts or most_posts"),
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
    with pytest.raises(LaunchRefusedError, match="has no known form"):
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
    refused = pytest.raises(UnavailableError, match="the webhook has answered 500")
    with serving_http(lambda request: 500) as hook, refused:
        NoteRunner(results, hook.url).launch(spec(kind="note"))
    with pytest.raises(UnavailableError, match="the webhook: "):
        poster("http://127.0.0.1:9/secret")("x", "{}")


def test_no_results_are_made(tmp_path: Path) -> None:
    with pytest.raises(DfpipeError):
        warehouse.connect(f"duckdb:///{tmp_path}/absent.duckdb").query("latest_runs")
