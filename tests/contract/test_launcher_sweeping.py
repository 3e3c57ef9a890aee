"""What chains have left is removed when it is old, on both stores, however the sweep is killed."""

import fcntl
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.cloud.datastore.query import PropertyFilter

from launcher.chains import sweeping
from launcher.chains.records import JobRecord
from launcher.chains.sweeping import sweep
from tests.support.fake_dataflow import FakeDataflow, serving
from tests.support.launching import Launcher, step, unbind
from tests.support.workflow_faults import KilledError
from workflow.engine import model
from workflow.engine.engine import current

DAY = 24 * 3600


@pytest.fixture
def fake() -> Iterator[FakeDataflow]:
    with serving(FakeDataflow()) as service:
        yield service


@pytest.fixture
def launcher(client: Any, fake: FakeDataflow, tmp_path: Path) -> Iterator[Launcher]:
    yield Launcher(client, fake, tmp_path)
    unbind()


def left(launcher: Launcher, name: str, written: datetime) -> Path:
    """The folder of a local job that has written last at a time."""
    folder = Path(launcher.settings.jobs_folder) / name
    folder.mkdir(parents=True)
    for each in ("job.json", "log", "alive"):
        (folder / each).touch()
        os.utime(folder / each, (written.timestamp(), written.timestamp()))
    return folder


def swept(launcher: Launcher) -> dict[str, int]:
    """Sweep until a sweep is not killed; returns what that one has removed."""
    while True:
        try:
            return sweep(launcher.context)
        except KilledError:
            continue


@pytest.mark.parametrize("kill_rate", [0.0, 0.15])
def test_old_executions_are_removed_and_no_others(launcher: Launcher, kill_rate: float) -> None:
    old = launcher.run(step("one"), step("two", "one"))
    begun = launcher.clock()
    launcher.clock.move(20 * DAY)
    newer = launcher.run(step("one"))
    assert old.ended
    open_execution = replace(
        newer, id="chain-open", state="running", created=old.created, ended=None
    )
    launcher.records.put_execution(open_execution)
    open_job = JobRecord(
        id="chain-open/one", execution="chain-open", step="one", kind="local", name="of-an-open-job"
    )
    launcher.records.put_job(replace(open_job, state="running"))
    gone = left(launcher, f"{old.id}-one-1", begun)
    half = left(launcher, ".removed-half", begun)
    recent = left(launcher, f"{newer.id}-one-1", launcher.clock())
    of_open = left(launcher, "of-an-open-job", begun)
    alive = left(launcher, "alive-without-a-record", begun)
    launcher.clock.move(15 * DAY)
    with (alive / "alive").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        launcher.kill_rate = kill_rate
        removed = swept(launcher)
        launcher.kill_rate = 0.0
    if not kill_rate:
        assert removed == {"executions": 1, "folders": 1}
    assert sweep(launcher.context)["executions"] == 0
    launcher.deliveries.run()
    assert launcher.records.execution(old.id) is None
    assert launcher.records.jobs(old.id) == []
    assert current().record(old.pipeline_id) is None
    assert workflow_kinds(launcher, old.pipeline_id) == []
    assert launcher.now(newer) == newer
    assert launcher.now(open_execution) == open_execution
    assert current().record(newer.pipeline_id) is not None
    assert [each.exists() for each in (gone, half, recent, of_open)] == [False, False, True, True]


def workflow_kinds(launcher: Launcher, root: str) -> list[str]:
    """The kinds of which something is left of a workflow."""
    client = launcher.context.service.client
    found = []
    for kind in model.KINDS:
        query = client.query(kind=kind)
        query.add_filter(filter=PropertyFilter("root", "=", root))
        found += [kind for _ in query.fetch(limit=1)]
    return found


def test_a_living_job_is_kept(launcher: Launcher) -> None:
    folder = left(launcher, "alive", launcher.clock())
    launcher.clock.move(99 * DAY)
    with (folder / "alive").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert sweep(launcher.context) == {"executions": 0, "folders": 0}
        assert folder.exists()
    assert sweep(launcher.context) == {"executions": 0, "folders": 1}
    assert not folder.exists()


def test_a_folder_that_is_not_of_a_job_is_kept(launcher: Launcher) -> None:
    """The folder of jobs may have others: a person has named it."""
    folder = left(launcher, "photos", launcher.clock())
    (folder / "job.json").unlink()
    launcher.clock.move(99 * DAY)
    assert sweep(launcher.context) == {"executions": 0, "folders": 0}
    assert folder.exists()


def test_a_run_that_is_retried_meanwhile_is_kept(launcher: Launcher, fake: FakeDataflow) -> None:
    fake.script = lambda labels: ["FAILED"]
    failed = launcher.run(step("one"))
    launcher.clock.move(31 * DAY)
    again = launcher.executions.retry(failed.id)
    until = launcher.clock() - timedelta(days=30)
    assert not sweeping.remove(launcher.context, failed, until)
    assert launcher.now(failed) == again
    fake.script = lambda labels: ["DONE"]
    launcher.deliveries.run()
    assert launcher.now(failed).state == "succeeded"


def test_much_is_removed_in_several_calls(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        launcher.run(step("one"))
        launcher.clock.move(60)
    launcher.clock.move(31 * DAY)
    monkeypatch.setattr(sweeping, "MOST_EXECUTIONS", 2)
    assert [sweep(launcher.context)["executions"] for _ in range(3)] == [2, 1, 0]


def test_a_slot_of_long_ago_may_be_executed_again(launcher: Launcher, fake: FakeDataflow) -> None:
    old = launcher.run(step("one"))
    launcher.clock.move(31 * DAY)
    sweep(launcher.context)
    launcher.deliveries.run()
    fake.jobs.clear()
    again = launcher.start(step("one"), slot=old.slot)
    launcher.deliveries.run()
    assert launcher.now(again).state == "succeeded"
    assert len(fake.jobs) == 1
