"""The analysis is submitted to a fake Dataflow by the Beam SDK, in a process of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dfpipe.datastore import connect
from dfpipe.engines import staging
from launcher.chains.chains import Step
from launcher.settings import DataflowSettings
from service.times import rfc3339
from tests.support.fake_dataflow import PROJECT, REGION, FakeDataflow, serving
from tests.support.launching import Launcher, unbind
from tests.support.processes import wait_until

LONG = 240.0


@pytest.fixture
def fake() -> Iterator[FakeDataflow]:
    with serving(FakeDataflow()) as service:
        yield service
    unbind()


def test_a_submitted_job_is_watched_to_its_end(fake: FakeDataflow, tmp_path: Path) -> None:
    for name in ("temp", "staging"):
        (tmp_path / name).mkdir()
    url = f"sqlite:///{tmp_path}/store.db"
    client = connect(url)
    launcher = Launcher(
        client,
        fake,
        tmp_path,
        store=url,
        warehouse=f"duckdb:///{tmp_path}/results.duckdb",
        dataflow=DataflowSettings(
            project=PROJECT,
            region=REGION,
            # The SDK takes no other spelling of a local address.
            endpoint=fake.url.replace("127.0.0.1", "localhost"),
            temp_location=str(tmp_path / "temp"),
            staging_location=str(tmp_path / "staging"),
        ),
    )
    execution = launcher.start(Step(name="analyse", kind="dataflow", parameters={"days": "2"}))
    # A process that submits takes real time, of which the tests' clock knows nothing.
    while not launcher.jobs(execution) or not launcher.jobs(execution)["analyse"].job_id:
        launcher.deliveries.run(1)
    wait_until(lambda: bool(fake.jobs), LONG)
    launcher.deliveries.run()
    job = launcher.jobs(execution)["analyse"]
    assert (job.state, job.job_id) == ("succeeded", fake.named(job.name).id)
    assert job.name == f"{execution.id}-analyse-1"
    assert fake.named(job.name).labels == {
        "launcher-run": execution.id,
        "launcher-step": "analyse",
        "launcher-attempt": "1",
    }
    words = (tmp_path / "jobs" / job.name / "job.json").read_text()
    assert f"--until={rfc3339(execution.slot)}" in words
    assert "--days=2" in words
    assert (tmp_path / "staging" / f"{staging.ROOT}.tar.gz").exists()
    client.close()
