"""Random chains launch what should run, once, and nothing else, however the launcher is killed."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfpipe.datastore import connect
from launcher.chains import events
from launcher.chains.chains import Step
from tests.support.fake_dataflow import (
    GOOD,
    FakeDataflow,
    Faults,
    Job,
    log_event,
    serving,
    status_event,
)
from tests.support.launching import Launcher, step, unbind

BAD = ("FAILED", "CANCELLED", "DRAINED", "UPDATED")
# What the attempts of each step's job end as; the last holds for all that follow.
Ends = dict[str, list[str]]


@pytest.fixture(autouse=True)
def unbound() -> Iterator[None]:
    yield
    unbind()


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeDataflow]:
    with serving(FakeDataflow()) as service:
        yield service


@st.composite
def chains(draw: st.DrawFn, policies: tuple[str, ...], most: int = 9) -> tuple[list[Step], Ends]:
    """Steps that need earlier ones, and what becomes of their jobs."""
    steps: list[Step] = []
    ends: Ends = {}
    for number in range(draw(st.integers(1, most))):
        earlier = [each.name for each in steps]
        needs = draw(st.lists(st.sampled_from(earlier), max_size=3, unique=True)) if earlier else []
        name = f"s{number}"
        steps.append(
            step(
                name,
                *needs,
                retries=draw(st.integers(0, 2)),
                on_failure=draw(st.sampled_from(policies)),
            )
        )
        end = st.sampled_from(("DONE", "DONE", "DONE", *BAD))
        ends[name] = draw(st.lists(end, min_size=1, max_size=3))
    return steps, ends


def end_of(ends: Ends, name: str, attempt: int) -> str:
    return ends[name][min(attempt, len(ends[name])) - 1]


def expected(steps: list[Step], ends: Ends) -> tuple[set[tuple[str, int]], dict[str, str]]:
    """The launches, and the states of the steps, where a failure stops none but those behind it."""
    launches: set[tuple[str, int]] = set()
    states: dict[str, str] = {}
    policies = {each.name: each.on_failure for each in steps}
    for each in steps:
        passing = [
            states[n] == "succeeded" or (states[n] != "skipped" and policies[n] == "ignore")
            for n in each.needs
        ]
        if not all(passing):
            states[each.name] = "skipped"
            continue
        attempt = 1
        launches.add((each.name, attempt))
        while end_of(ends, each.name, attempt) == "FAILED" and attempt <= each.retries:
            attempt += 1
            launches.add((each.name, attempt))
        end = end_of(ends, each.name, attempt)
        states[each.name] = "succeeded" if end == "DONE" else end.lower()
    return launches, states


class Drive:
    """One chain, driven while events come twice, late and in any order."""

    def __init__(
        self, client: Any, fake: FakeDataflow, folder: Path, ends: Ends, seed: int, kill_rate: float
    ) -> None:
        self.rng = random.Random(seed)
        self.launches: list[tuple[str, int]] = []
        self.violations: list[str] = []
        fake.jobs.clear()
        fake.rng = random.Random(seed)
        fake.faults = Faults(busy=0.1, lost=0.15, not_found=3, restless=0.3)
        fake.script = lambda labels: [*self._middle(labels), self._end(labels, ends)]
        fake.launched = self._launched
        self.fake = fake
        self.foreign = fake.add("chain-of-others-1", {"launcher-run": "theirs"}, {}, "RUNNING")
        self.launcher = Launcher(client, fake, folder, seed=seed, again=0.2)
        self.kill_rate = kill_rate

    def _middle(self, labels: dict[str, str]) -> tuple[str, ...]:
        return GOOD[: self.rng.randint(1, 3)]

    def _end(self, labels: dict[str, str], ends: Ends) -> str:
        return end_of(ends, labels["launcher-step"], int(labels["launcher-attempt"]))

    def _launched(self, job: Job) -> None:
        self.launches.append((job.labels["launcher-step"], int(job.labels["launcher-attempt"])))
        execution = self.launcher.records.executions()[0]
        if execution.is_stopped or execution.is_over:
            self.violations.append(job.name)

    def run(self, *steps: Step) -> Any:
        launcher = self.launcher
        started = launcher.start(*steps)
        launcher.kill_rate = self.kill_rate
        for _ in range(200):
            launcher.deliveries.run(5)
            launcher.kill_rate = 0.0
            self._send_events()
            if launcher.now(started).is_over:
                break
            launcher.kill_rate = self.kill_rate
        launcher.kill_rate = 0.0
        launcher.deliveries.run()
        assert self.foreign.state == "RUNNING"  # nobody has ended it
        assert self.violations == []
        assert len(self.launches) == len(set(self.launches))
        return launcher.now(started)

    def _send_events(self) -> None:
        jobs = list(self.fake.jobs.values())
        for job in self.rng.sample(jobs, min(len(jobs), 3)):
            make = self.rng.choice([log_event, status_event])
            headers, body = make(job)
            for _ in range(self.rng.randint(1, 2)):
                is_ours = events.take(self.launcher.context, events.read_event(headers, body))
                assert not (is_ours and job is self.foreign)


def check_exactly(
    client: Any,
    fake: FakeDataflow,
    folder: Path,
    chain: tuple[list[Step], Ends],
    seed: int,
    kill_rate: float,
) -> None:
    steps, ends = chain
    drive = Drive(client, fake, folder, ends, seed, kill_rate)
    execution = drive.run(*steps)
    launches, states = expected(steps, ends)
    assert set(drive.launches) == launches
    assert drive.launcher.states(execution) == states
    ignored = {each.name for each in steps if each.on_failure == "ignore"}
    is_good = all(state == "succeeded" or name in ignored for name, state in states.items())
    assert execution.state == ("succeeded" if is_good else "failed")


@settings(max_examples=10)
@given(chains(("skip", "ignore")), st.integers(0, 2**32), st.sampled_from([0.0, 0.03, 0.1]))
def test_every_job_that_should_execution_is_launched_once(
    tmp_path_factory: pytest.TempPathFactory,
    fake: FakeDataflow,
    chain: tuple[list[Step], Ends],
    seed: int,
    kill_rate: float,
) -> None:
    folder = tmp_path_factory.mktemp("launcher")
    client = connect(f"sqlite:///{folder}/store.db")
    check_exactly(client, fake, folder, chain, seed, kill_rate)
    client.close()


@settings(max_examples=10)
@given(chains(("stop", "cancel")), st.integers(0, 2**32), st.sampled_from([0.0, 0.03, 0.1]))
def test_nothing_is_launched_after_a_failure(
    tmp_path_factory: pytest.TempPathFactory,
    fake: FakeDataflow,
    chain: tuple[list[Step], Ends],
    seed: int,
    kill_rate: float,
) -> None:
    steps, ends = chain
    folder = tmp_path_factory.mktemp("launcher")
    client = connect(f"sqlite:///{folder}/store.db")
    drive = Drive(client, fake, folder, ends, seed, kill_rate)
    execution = drive.run(*steps)
    states = drive.launcher.states(execution)
    launched = {name for name, _ in drive.launches}
    for each in steps:
        if each.name in launched:
            assert {states[needed] for needed in each.needs} <= {"succeeded"}
    assert set(drive.launches) <= expected(steps, ends)[0]
    assert execution.state == ("succeeded" if set(states.values()) == {"succeeded"} else "failed")
    client.close()


def wide(number: int) -> list[Step]:
    """A chain of `number` steps that opens to a wide middle and closes again, twice."""
    half = (number - 3) // 2
    left = [step(f"l{each}", "first") for each in range(half)]
    right = [step(f"r{each}", "middle") for each in range(number - 3 - half)]
    return [
        step("first"),
        *left,
        step("middle", *(each.name for each in left)),
        *right,
        step("last", *(each.name for each in right)),
    ]


@pytest.mark.parametrize("store", ["embedded", "emulator"])
def test_fifty_jobs_with_fan_out_and_fan_in(
    store: str, request: pytest.FixtureRequest, tmp_path: Path, fake: FakeDataflow
) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    client = connect(request.getfixturevalue("emulator_url") if store == "emulator" else url)
    # The emulator takes its time: a smaller one there.
    steps = wide(50 if store == "embedded" else 11)
    ends = {each.name: ["DONE"] for each in steps}
    check_exactly(client, fake, tmp_path, (steps, ends), 11, 0.02 if store == "embedded" else 0.01)
    client.close()
