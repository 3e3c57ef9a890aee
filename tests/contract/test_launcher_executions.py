"""Executions on both stores: overlap, failures, retries, limits, cancelling, lost tasks."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from launcher.chains import events, stages
from launcher.chains.chains import Step
from launcher.chains.driving import MOST_TRIES, NOT_KNOWN, drive
from launcher.chains.executions import RefusedError, UnknownExecutionError
from launcher.chains.reaping import reap
from launcher.jobs import JobSpec, JobState, JobStatus, LaunchRefusedError, UnavailableError
from launcher.pages.board import execution_view
from taskqueue.storage.record import from_usec
from tests.support.fake_dataflow import FakeDataflow, Faults, log_event, serving, status_event
from tests.support.launching import Launcher, ScriptedRunner, step, unbind
from tests.support.workflow_faults import KilledError

DONE = JobStatus(job_id="7", state=JobState.SUCCEEDED, outputs={"posts": 12})


@pytest.fixture
def fake() -> Iterator[FakeDataflow]:
    with serving(FakeDataflow()) as service:
        yield service


@pytest.fixture
def launcher(client: Any, fake: FakeDataflow, tmp_path: Path) -> Iterator[Launcher]:
    yield Launcher(client, fake, tmp_path)
    unbind()


def ends(**states: str) -> Any:
    """A script in which the jobs of some steps end otherwise than well."""

    def script(labels: dict[str, str]) -> list[str]:
        return ["PENDING", "RUNNING", states.get(labels["launcher-step"], "DONE")]

    return script


def test_a_chain_runs_to_its_end(launcher: Launcher) -> None:
    execution = launcher.run(
        step("one"), step("left", "one"), step("right", "one"), step("last", "left")
    )
    assert execution.state == "succeeded"
    assert execution.started is not None
    assert execution.ended is not None
    assert set(launcher.states(execution).values()) == {"succeeded"}
    job = launcher.jobs(execution)["last"]
    assert job.name == f"{execution.id}-last-1"
    assert "/dataflow/jobs/fake-region/" in job.log_link
    assert launcher.records.place("chain") == ("", ())


def test_what_is_launched(launcher: Launcher, fake: FakeDataflow) -> None:
    parameters = {"until": "{slot}", "input": "{first.job_id}", "plain": "{{}}"}
    execution = launcher.run(step("first"), step("second", "first", parameters=parameters))
    given = fake.named(f"{execution.id}-second-1").request
    first = fake.named(f"{execution.id}-first-1")
    assert given["parameters"] == {
        "until": "2026-01-07T12:00:00Z",
        "input": first.id,
        "plain": "{}",
    }
    assert given["containerSpecGcsPath"] == "gs://fake/spec.json"
    labels = given["environment"]["additionalUserLabels"]
    assert labels == {
        "launcher-run": execution.id,
        "launcher-step": "second",
        "launcher-attempt": "1",
    }


def test_a_second_start_gives_the_same_execution(launcher: Launcher, fake: FakeDataflow) -> None:
    first = launcher.start(step("one"))
    assert launcher.start(step("one")) == first
    launcher.deliveries.run()
    assert launcher.start(step("one"), slot=first.slot).state == "succeeded"
    launcher.deliveries.run()
    assert len(fake.jobs) == 1


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "DRAINED", "UPDATED"])
def test_only_success_lets_the_next_step_start(
    launcher: Launcher, fake: FakeDataflow, state: str
) -> None:
    fake.script = ends(one=state)
    execution = launcher.run(step("one"), step("two", "one"))
    assert execution.state == "failed"
    became = "has failed" if state == "FAILED" else f"was {state.lower()}"
    assert execution.error.startswith(f"step one {became}: Dataflow reports {state}")
    assert launcher.states(execution) == {"one": state.lower(), "two": "skipped"}
    assert fake.names() == [f"{execution.id}-one-1"]


@pytest.mark.parametrize(
    ("policy", "states", "outcome"),
    [
        ("stop", {"b": "failed", "after-b": "skipped", "after-a": "skipped"}, "failed"),
        ("skip", {"b": "failed", "after-b": "skipped", "after-a": "succeeded"}, "failed"),
        ("ignore", {"b": "failed", "after-b": "succeeded", "after-a": "succeeded"}, "succeeded"),
    ],
)
def test_what_a_failure_means_for_the_rest(
    launcher: Launcher, fake: FakeDataflow, policy: str, states: dict[str, str], outcome: str
) -> None:
    def script(labels: dict[str, str]) -> list[str]:
        if labels["launcher-step"] == "b":
            return ["RUNNING", "FAILED"]
        return ["RUNNING"] * 8 + ["DONE"]

    fake.script = script
    steps = (step("a"), step("b", on_failure=policy), step("after-b", "b"), step("after-a", "a"))
    execution = launcher.run(*steps)
    assert launcher.states(execution) == {"a": "succeeded", **states}
    assert execution.state == outcome


def test_a_failure_may_cancel_what_is_running(launcher: Launcher, fake: FakeDataflow) -> None:
    def script(labels: dict[str, str]) -> list[str]:
        return ["RUNNING", "FAILED"] if labels["launcher-step"] == "b" else ["RUNNING"]

    fake.script = script
    execution = launcher.run(step("a"), step("b", on_failure="cancel"), step("c", "a"))
    assert launcher.states(execution) == {"a": "cancelled", "b": "failed", "c": "skipped"}
    assert execution.state == "failed"


def test_retries_wait_longer_each_time(launcher: Launcher, fake: FakeDataflow) -> None:
    moments = []
    fake.launched = lambda job: moments.append(launcher.clock())
    fake.script = ends(one="FAILED")
    execution = launcher.run(step("one", retries=2, backoff=1000.0))
    assert fake.names() == [f"{execution.id}-one-{attempt}" for attempt in (1, 2, 3)]
    first, second = moments[1] - moments[0], moments[2] - moments[1]
    assert timedelta(seconds=1000) <= first < timedelta(seconds=1500)
    assert timedelta(seconds=2000) <= second < timedelta(seconds=2500)
    assert execution.state == "failed"


def test_a_job_that_never_ends_is_cancelled_at_its_limit(
    launcher: Launcher, fake: FakeDataflow
) -> None:
    fake.script = lambda labels: ["RUNNING"]
    execution = launcher.run(step("one", time_limit=3600.0), step("two", "one"))
    job = launcher.jobs(execution)["one"]
    assert (job.state, job.error) == ("failed", "it took longer than its 3600 s")
    assert fake.named(job.name).state == "CANCELLED"
    assert job.started is not None
    assert job.ended is not None
    assert timedelta(hours=1) <= job.ended - job.started < timedelta(hours=1.1)


def test_a_job_that_is_never_known_fails(launcher: Launcher, fake: FakeDataflow) -> None:
    fake.faults = Faults(not_found=10**9)
    fake.rng.seed(1)
    started = launcher.clock()
    execution = launcher.run(step("one"))
    job = launcher.jobs(execution)["one"]
    assert job.state == "failed"
    assert "could not be found" in job.error
    assert launcher.clock() - started >= NOT_KNOWN


def test_a_refused_launch_fails_with_the_reason(launcher: Launcher) -> None:
    execution = launcher.run(step("one", parameters={"x": "{two.job_id}"}))
    assert launcher.jobs(execution)["one"].error == "there is no value for {two.job_id}"
    assert execution.state == "failed"


def test_an_event_that_comes_twice_is_one(launcher: Launcher, fake: FakeDataflow) -> None:
    execution = launcher.start(step("one"))
    fake.script = lambda labels: ["RUNNING"]
    while not fake.jobs:
        launcher.deliveries.run(1)
    (job,) = fake.jobs.values()
    job.states = ["DONE"]
    for make in (log_event, status_event):
        for _ in range(2):
            assert events.take(launcher.context, events.read_event(*make(job)))
    looks = [
        task.name
        for task in launcher.context.service.store.tasks("default", 100)
        if task.name.startswith("event-")
    ]
    assert len(looks) == 2  # of the four events two came twice
    launcher.deliveries.run()
    assert launcher.now(execution).state == "succeeded"


def test_events_of_others_are_passed_over(launcher: Launcher, fake: FakeDataflow) -> None:
    execution = launcher.start(step("one"))
    foreign = fake.add("somebody-elses", {}, {}, "DONE")
    assert not events.take(launcher.context, events.read_event(*log_event(foreign)))
    launcher.deliveries.run()
    ours = launcher.jobs(execution)["one"]
    twin = fake.add(ours.name, {}, {}, "FAILED")
    assert not events.take(launcher.context, events.read_event(*status_event(twin)))
    assert launcher.now(execution).state == "succeeded"


def test_a_slot_waits_for_the_one_before(launcher: Launcher, fake: FakeDataflow) -> None:
    first = launcher.start(step("one"))
    launcher.clock.move(1)
    second = launcher.start(step("one"))
    launcher.clock.move(1)
    third = launcher.start(step("one"))
    assert (second.state, third.state) == ("waiting", "waiting")
    launcher.deliveries.run()
    executions = [launcher.now(execution) for execution in (first, second, third)]
    assert [execution.state for execution in executions] == ["succeeded"] * 3
    ended = [execution.ended for execution in executions]
    assert ended == sorted(ended, key=str)
    assert fake.names() == [f"{execution.id}-one-1" for execution in executions]


def test_a_waiting_execution_can_be_cancelled(launcher: Launcher, fake: FakeDataflow) -> None:
    first = launcher.start(step("one"))
    launcher.clock.move(1)
    second = launcher.start(step("one"))
    assert launcher.executions.cancel(second.id).state == "cancelled"
    launcher.deliveries.run()
    assert launcher.now(first).state == "succeeded"
    assert len(fake.jobs) == 1


@pytest.mark.parametrize(
    ("overlap", "states"),
    [
        ("skip", ["succeeded", "skipped", "skipped"]),
        ("cancel", ["cancelled", "skipped", "succeeded"]),
    ],
)
def test_a_slot_may_be_skipped_or_cancel_the_one_before(
    client: Any, fake: FakeDataflow, tmp_path: Path, overlap: Any, states: list[str]
) -> None:
    launcher = Launcher(client, fake, tmp_path, overlap=overlap)
    fake.script = lambda labels: ["RUNNING"] * 9 + ["DONE"]
    first = launcher.start(step("one"))
    while not fake.jobs:
        launcher.deliveries.run(1)
    launcher.clock.move(1)
    second = launcher.start(step("one"))
    launcher.clock.move(1)
    third = launcher.start(step("one"))
    launcher.deliveries.run()
    assert [launcher.now(execution).state for execution in (first, second, third)] == states
    unbind()


def test_cancelling_a_run(launcher: Launcher, fake: FakeDataflow) -> None:
    fake.script = lambda labels: ["RUNNING"]
    execution = launcher.start(step("one"), step("two", "one"))
    while not fake.jobs:
        launcher.deliveries.run(1)
    assert launcher.executions.cancel(execution.id).is_cancelled
    launcher.deliveries.run()
    assert launcher.now(execution).state == "cancelled"
    assert launcher.states(execution) == {"one": "cancelled", "two": "skipped"}
    assert launcher.jobs(execution)["two"].error == "not started: step one was cancelled"
    assert fake.named(f"{execution.id}-one-1").state == "CANCELLED"
    with pytest.raises(RefusedError, match="has ended: it is cancelled"):
        launcher.executions.cancel(execution.id)


def test_a_cancel_that_is_refused_shows_until_it_is_allowed(
    launcher: Launcher, fake: FakeDataflow
) -> None:
    fake.script = lambda labels: ["RUNNING"]
    execution = launcher.start(step("one", time_limit=60.0))
    while not fake.jobs:
        launcher.deliveries.run(1)
    fake.refuses_cancel = True
    launcher.executions.cancel(execution.id)
    launcher.deliveries.run(12)
    job = launcher.jobs(execution)["one"]
    assert job.state == "running"
    assert job.warning.startswith("cannot be cancelled: Dataflow refuses: ")
    assert execution_view(launcher.now(execution), [job]).jobs[0].error == job.warning
    fake.refuses_cancel = False
    launcher.deliveries.run()
    assert (launcher.now(execution).state, launcher.jobs(execution)["one"].warning) == (
        "cancelled",
        "",
    )


@pytest.mark.parametrize("error", [LaunchRefusedError("403"), UnavailableError("503")])
def test_a_job_that_cannot_be_watched_says_so(
    client: Any, fake: FakeDataflow, tmp_path: Path, error: Exception
) -> None:
    class Unwatched(ScriptedRunner):
        answers: list[Any] = [error, JobStatus(job_id="7", state=JobState.RUNNING), DONE]

        def state(self, name: str, job_id: str) -> JobStatus:
            found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if isinstance(found, Exception):
                raise found
            assert isinstance(found, JobStatus)
            return found

    runner = Unwatched(JobStatus(job_id="7", state=JobState.RUNNING))
    launcher = Launcher(client, fake, tmp_path, runners={"check": runner})
    execution = launcher.start(Step(name="check", kind="check"))
    job_id = f"{execution.id}/check"
    while not launcher.records.job(job_id) or not launcher.jobs(execution)["check"].warning:
        launcher.deliveries.run(1)
    job = launcher.jobs(execution)["check"]
    assert (job.state, job.warning) == ("running", f"cannot be watched: {error}")
    drive(launcher.context, job_id)
    assert launcher.jobs(execution)["check"].warning == ""
    launcher.deliveries.run()
    assert launcher.now(execution).state == "succeeded"
    unbind()


MANY = 12  # more than a transaction may add tasks


@pytest.mark.parametrize("by", ["hand", "slot"])
def test_cancelling_a_run_of_many_jobs(
    client: Any, fake: FakeDataflow, tmp_path: Path, by: str
) -> None:
    launcher = Launcher(client, fake, tmp_path, overlap="cancel")
    fake.script = lambda labels: ["RUNNING"]
    execution = launcher.start(*(step(f"s{number}") for number in range(MANY)))
    while len(fake.jobs) < MANY:
        launcher.deliveries.run(1)
    fake.script = ends()
    launcher.clock.move(1)
    if by == "hand":
        launcher.executions.cancel(execution.id)
    else:
        launcher.start(step("next"))
    launcher.deliveries.run()
    assert launcher.now(execution).state == "cancelled"
    assert set(launcher.states(execution).values()) == {"cancelled"}
    unbind()


def test_a_failure_may_cancel_many_jobs(launcher: Launcher, fake: FakeDataflow) -> None:
    def script(labels: dict[str, str]) -> list[str]:
        return ["RUNNING", "FAILED"] if labels["launcher-step"] == "bad" else ["RUNNING"]

    fake.script = script
    many = [step(f"s{number}") for number in range(MANY)]
    execution = launcher.run(step("bad", on_failure="cancel"), *many)
    assert execution.state == "failed"
    assert launcher.states(execution) == {"bad": "failed"} | {s.name: "cancelled" for s in many}


def test_retrying_a_run_keeps_what_has_succeeded(launcher: Launcher, fake: FakeDataflow) -> None:
    fake.script = ends(two="FAILED")
    execution = launcher.run(step("one"), step("two", "one", retries=1), step("three", "two"))
    assert execution.state == "failed"
    fake.script = ends()
    again = launcher.executions.retry(execution.id)
    assert (again.state, again.attempt) == ("running", 2)
    launcher.deliveries.run()
    assert launcher.now(execution).state == "succeeded"
    names = [name.removeprefix(f"{execution.id}-") for name in fake.names()]
    assert names == ["one-1", "two-1", "two-2", "two-3", "three-1"]
    with pytest.raises(RefusedError, match="nothing to retry"):
        launcher.executions.retry(execution.id)


def test_what_cannot_be_done_is_refused(launcher: Launcher) -> None:
    execution = launcher.start(step("one"))
    with pytest.raises(RefusedError, match="is running: cancel it first, or wait"):
        launcher.executions.retry(execution.id)
    with pytest.raises(UnknownExecutionError, match="there is no execution 'nobody'"):
        launcher.executions.cancel("nobody")


def test_lost_tasks_are_found_missing(launcher: Launcher, fake: FakeDataflow) -> None:
    execution = launcher.start(step("one"), step("two", "one"))
    store = launcher.context.service.store

    def lose() -> None:
        names = [task.name for task in store.tasks("default", 100)]
        store.delete("default", names, launcher.context.service.now())

    lose()
    assert reap(launcher.context)["executions"] == 1
    while not fake.jobs:
        launcher.deliveries.run(1)
    lose()
    for _ in range(40):
        if launcher.now(execution).is_over:
            break
        reap(launcher.context)
        launcher.deliveries.run()
        launcher.clock.move(600)
    assert launcher.now(execution).state == "succeeded"
    assert len(fake.jobs) == 2


@pytest.mark.parametrize("attempt", [1, 2])
def test_a_step_that_was_killed_as_it_began_is_found_missing(
    launcher: Launcher, fake: FakeDataflow, monkeypatch: pytest.MonkeyPatch, attempt: int
) -> None:
    """It has no record of its job yet, or that of an earlier attempt, and no task any more."""
    fake.script = ends(one="FAILED")
    execution = launcher.run(step("one")) if attempt == 2 else launcher.start(step("one"))
    fake.script = ends()
    if attempt == 2:
        launcher.executions.retry(execution.id)

    def die(*args: object) -> None:
        monkeypatch.undo()
        raise KilledError

    monkeypatch.setattr(stages, "prepare", die)
    while not launcher.deliveries.kills:
        launcher.deliveries.run(1)
    store = launcher.context.service.store
    store.purge("default", launcher.context.service.now())
    reap(launcher.context)
    launcher.deliveries.run()
    assert launcher.now(execution).state == "succeeded"
    assert launcher.jobs(execution)["one"].attempt == attempt


def test_a_job_of_many_hours_is_still_polled(launcher: Launcher, fake: FakeDataflow) -> None:
    """The doubling of the waits would overflow at the 1,024th poll."""
    fake.script = lambda labels: ["RUNNING"]
    execution = launcher.start(step("one"))
    while not fake.jobs:
        launcher.deliveries.run(1)
    stage = launcher.deliveries.engine.stage(launcher.jobs(execution)["one"].pipeline_id)
    assert isinstance(stage, stages.StepStage)
    before = launcher.clock()
    stage.callback(what="poll", number="5000")
    tasks = launcher.context.service.store.tasks("default", 100)
    (following,) = [task for task in tasks if task.name.endswith("-5001")]
    assert from_usec(following.due) - before == launcher.settings.poll


def test_a_workflow_that_is_aborted_ends_its_execution(
    launcher: Launcher, fake: FakeDataflow
) -> None:
    fake.script = lambda labels: ["RUNNING"]
    execution = launcher.start(step("one"))
    while not fake.jobs:
        launcher.deliveries.run(1)
    assert launcher.deliveries.engine.abort_root(execution.pipeline_id, "by hand")
    launcher.deliveries.run()
    assert launcher.now(execution).state == "cancelled"
    assert fake.named(f"{execution.id}-one-1").state == "CANCELLED"


def test_what_the_launcher_does_itself_is_not_tried_for_ever(
    client: Any, fake: FakeDataflow, tmp_path: Path
) -> None:
    busy = [UnavailableError("the warehouse is busy")] * MOST_TRIES
    check = ScriptedRunner(*busy)
    launcher = Launcher(client, fake, tmp_path, runners={"check": check})
    execution = launcher.run(Step(name="check", kind="check"))
    assert launcher.jobs(execution)["check"].error == "the warehouse is busy"
    assert len(check.specs) == MOST_TRIES
    check.launches = [UnavailableError("busy"), DONE]
    launcher.executions.retry(execution.id)
    launcher.deliveries.run()
    assert launcher.now(execution).state == "succeeded"
    assert launcher.jobs(execution)["check"].outputs["posts"] == 12
    unbind()


def test_a_launch_that_goes_on_is_nobody_elses(
    client: Any, fake: FakeDataflow, tmp_path: Path
) -> None:
    class Slow(ScriptedRunner):
        calls = 0

        def launch(self, spec: JobSpec) -> JobStatus:
            self.calls += 1
            if self.calls == 1:
                # Meanwhile another process comes by.
                drive(launcher.context, f"{spec.labels['launcher-run']}/check")
            return super().launch(spec)

    slow = Slow(DONE)
    launcher = Launcher(client, fake, tmp_path, runners={"check": slow})
    execution = launcher.run(Step(name="check", kind="check"))
    assert execution.state == "succeeded"
    assert slow.calls == 1
    unbind()


class Late(ScriptedRunner):
    """A launch during which its process sleeps, and another process comes by."""

    def __init__(self, meanwhile: Callable[[], None], *launches: Any) -> None:
        super().__init__(*launches)
        self.meanwhile: Callable[[], None] | None = meanwhile
        self.cancelled: list[str] = []

    def launch(self, spec: JobSpec) -> JobStatus:
        if meanwhile := self.meanwhile:
            self.meanwhile = None
            meanwhile()
        return super().launch(spec)

    def state(self, name: str, job_id: str) -> JobStatus:
        return JobStatus(job_id=job_id, state=JobState.RUNNING)

    def cancel(self, name: str, job_id: str) -> None:
        self.cancelled.append(job_id)


RUNS = JobStatus(job_id="7", state=JobState.RUNNING)


def test_a_launch_that_comes_after_the_cancel_is_cancelled(
    client: Any, fake: FakeDataflow, tmp_path: Path
) -> None:
    """Or its job would run with nobody watching it."""

    def meanwhile() -> None:
        launcher.clock.move(3600)
        launcher.executions.cancel(execution.id)
        assert drive(launcher.context, f"{execution.id}/check").state == "cancelled"

    late = Late(meanwhile, RUNS)
    launcher = Launcher(client, fake, tmp_path, runners={"check": late})
    execution = launcher.start(Step(name="check", kind="check"))
    launcher.deliveries.run()
    assert launcher.now(execution).state == "cancelled"
    assert late.cancelled == ["7"]
    unbind()


def test_a_claim_ends_although_the_clock_was_set_back(
    client: Any, fake: FakeDataflow, tmp_path: Path
) -> None:
    def meanwhile() -> None:
        launcher.clock.step_back(7 * 24 * 3600)
        raise KilledError

    late = Late(meanwhile, DONE)
    launcher = Launcher(client, fake, tmp_path, runners={"check": late})
    execution = launcher.start(Step(name="check", kind="check"))
    while late.meanwhile:
        launcher.deliveries.run(1)
    job = drive(launcher.context, f"{execution.id}/check")
    assert job is not None
    assert job.state == "succeeded"
    unbind()
