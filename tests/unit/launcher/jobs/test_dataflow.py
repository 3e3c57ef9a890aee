"""Jobs on Dataflow: what is launched, which jobs are ours, and what the service's answers mean."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.jobs import (
    CancelRefusedError,
    JobState,
    LaunchRefusedError,
    UnavailableError,
    UnknownJobError,
)
from launcher.jobs.dataflow import DataflowRunner, options_of
from launcher.jobs.dataflow_api import DataflowApi
from launcher.jobs.local import LocalRunner
from launcher.jobs.templates import ClassicTemplateRunner, FlexTemplateRunner
from launcher.settings import DataflowSettings
from tests.support.fake_dataflow import PROJECT, REGION, FakeDataflow, Faults, serving
from tests.support.jobs import spec
from tests.support.processes import wait_until


@pytest.fixture
def local(tmp_path: Path) -> LocalRunner:
    return LocalRunner(tmp_path, {})


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
    states = [runner.state("job-1", status.job_id).state for _ in range(3)]
    assert states == [JobState.RUNNING, JobState.SUCCEEDED, JobState.SUCCEEDED]


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
    assert api.by_name("job-1") is None


def test_the_newest_of_ours_is_found_among_those_of_its_name(
    api: DataflowApi, fake: FakeDataflow
) -> None:
    """The list says nothing of labels: each job of the name has to be asked for."""
    given = spec(name="run-step-1")
    labels = dict(given.labels)
    fake.add(given.name, labels, {}, "FAILED")
    ours = fake.add(given.name, labels, {}, "RUNNING")
    fake.add(given.name, {}, {}, "DONE")
    for found in (api.find(given), api.by_name(given.name)):
        assert found is not None
        assert (found.job_id, found.state) == (ours.id, JobState.RUNNING)


def test_a_launch_that_was_carried_out_but_answered_503(
    api: DataflowApi, fake: FakeDataflow
) -> None:
    runner = FlexTemplateRunner(api)
    given = spec(template="gs://b/spec.json")
    fake.faults = Faults(lost=1.0)
    with pytest.raises(UnavailableError):
        runner.launch(given)
    fake.faults = Faults()
    found = runner.find(given)
    assert found is not None
    assert (found.job_id, len(fake.jobs)) == (fake.named("job-1").id, 1)


def test_a_job_that_is_listed_but_not_known_yet_is_not_missing(
    api: DataflowApi, fake: FakeDataflow
) -> None:
    given = spec()
    fake.add(given.name, dict(given.labels), {}, "RUNNING").not_found = 1
    with pytest.raises(UnavailableError, match="Dataflow lists 2026-.*could not be found"):
        api.find(given)
    assert api.find(given) is not None


def test_a_job_is_cancelled(api: DataflowApi, fake: FakeDataflow) -> None:
    runner = FlexTemplateRunner(api)
    fake.script = lambda labels: ["RUNNING"]
    job_id = runner.launch(spec(template="gs://b/spec.json")).job_id
    runner.cancel("job-1", job_id)
    assert runner.state("job-1", job_id).state is JobState.RUNNING  # CANCELLING
    assert runner.state("job-1", job_id).state is JobState.CANCELLED
    runner.cancel("job-1", job_id)


def test_a_cancel_that_is_refused(api: DataflowApi, fake: FakeDataflow) -> None:
    runner = FlexTemplateRunner(api)
    job = fake.add("job-1", {}, {}, "RUNNING")
    fake.refuses_cancel = True
    with pytest.raises(CancelRefusedError, match="Dataflow refuses: .*no permission to cancel"):
        runner.cancel("job-1", job.id)
    job.states = ["DONE"]
    runner.cancel("job-1", job.id)  # it has ended: there is nothing to refuse


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
    given = spec(kind="dataflow", name="run-step-1")
    with pytest.raises(UnknownJobError):
        runner.state("run-step-1", "run-step-1")
    job = fake.add("run-step-1", dict(given.labels), {}, "RUNNING", "RUNNING", "RUNNING", "DONE")
    found = runner.state("run-step-1", "run-step-1")
    assert (found.job_id, found.state) == (job.id, JobState.RUNNING)
    assert runner.find(given) == found
    assert runner.state("run-step-1", job.id).state is JobState.SUCCEEDED
    runner.cancel("run-step-1", job.id)


def test_a_submission_that_was_killed_before_its_process_was_there(
    api: DataflowApi, local: LocalRunner, tmp_path: Path
) -> None:
    (tmp_path / "job-1").mkdir()
    (tmp_path / "job-1" / "job.json").write_text('{"argv": [], "started": 1000.0}')
    assert DataflowRunner(api, local).find(spec(kind="dataflow")) is None
