"""Random starts, cancels and retries of a chain, whatever the overlap, the kills and the clock."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfpipe.datastore import connect
from launcher.chains.executions import RefusedError
from launcher.chains.reaping import reap
from launcher.chains.records import RUNNING, Records
from launcher.settings import OVERLAPS
from tests.support.fake_dataflow import ENDED, GOOD, FakeDataflow, Faults, Job, serving
from tests.support.launching import Launcher, step, unbind
from tests.support.workflow_faults import KilledError

STEPS = (
    step("one", retries=1),
    step("two", "one", on_failure="cancel"),
    step("three", "one"),
    step("four", "two", "three"),
)
ROUNDS = 100  # of reaping, every five minutes
# What happens, and with which execution or how often.
ACTS = st.tuples(
    st.sampled_from(["start", "deliver", "deliver", "cancel", "retry", "reap", "purge"]),
    st.integers(0, 12),
)


@pytest.fixture(autouse=True)
def unbound() -> Iterator[None]:
    yield
    unbind()


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeDataflow]:
    with serving(FakeDataflow()) as service:
        yield service


class Slots:
    """The executions of one chain, one slot after another."""

    def __init__(
        self, client: Any, launcher: Launcher, fake: FakeDataflow, kill_rate: float
    ) -> None:
        self.records = Records(client)
        self.launcher = launcher
        self.fake = fake
        self.kill_rate = kill_rate
        self.slot = launcher.clock().replace(microsecond=0)
        self.ids: list[str] = []
        self.names: Counter[str] = Counter()
        self.unwanted: list[str] = []
        fake.launched = self._launched

    def _launched(self, job: Job) -> None:
        self.names[job.name] += 1
        execution = self.records.execution(job.labels["launcher-run"])
        assert execution is not None
        if execution.is_over or execution.is_cancelled:
            self.unwanted.append(job.name)

    def act(self, what: str, number: int) -> None:
        """One act, in a process that may be killed in it."""
        self.launcher.kill_rate = self.kill_rate
        with suppress(KilledError, RefusedError):
            getattr(self, what)(number)
        self.launcher.kill_rate = 0.0
        self.check()

    def start(self, number: int) -> None:
        self.slot += timedelta(hours=1)
        self.ids.append(f"chain-{self.slot:%Y%m%dt%H%M%S}")
        self.launcher.start(*STEPS, slot=self.slot)

    def deliver(self, number: int) -> None:
        self.launcher.deliveries.run(number)

    def cancel(self, number: int) -> None:
        if self.ids:
            self._known(number, self.launcher.executions.cancel)

    def retry(self, number: int) -> None:
        if self.ids:
            self._known(number, self.launcher.executions.retry)

    def _known(self, number: int, act: Any) -> None:
        name = self.ids[number % len(self.ids)]
        if self.records.execution(name) is not None:
            act(name)

    def reap(self, number: int) -> None:
        reap(self.launcher.context)

    def purge(self, number: int) -> None:
        """A person loses all tasks; cron's reaping finds them missing."""
        self.launcher.context.service.store.purge("default", self.launcher.context.service.now())

    def check(self) -> None:
        """At any time at most one execution of the chain is running."""
        records = self.records
        found = [records.execution(name) for name in self.ids]
        running = [each.id for each in found if each and each.state == RUNNING]
        assert len(running) <= 1
        assert records.place("chain")[0] == "".join(running)

    def end(self) -> None:
        """Let all end; nothing is left open, and each attempt was launched once at most."""
        records = self.records
        for _ in range(ROUNDS):
            reap(self.launcher.context)
            self.launcher.deliveries.run()
            if not records.open_executions():
                break
            self.launcher.clock.move(300)
        assert records.open_executions() == []
        found = [each for name in self.ids if (each := records.execution(name)) is not None]
        assert records.place("chain") == ("", ())
        jobs = [job for each in found for job in records.jobs(each.id)]
        assert [job.id for job in jobs if not job.is_over] == []
        assert [job.name for job in self.fake.jobs.values() if job.state not in ENDED] == []
        assert [name for name, count in self.names.items() if count > 1] == []
        assert self.unwanted == []


def _end_of(rng: random.Random, labels: dict[str, str]) -> list[str]:
    return [*GOOD[: rng.randint(1, 3)], rng.choice(["DONE", "DONE", "DONE", "FAILED"])]


@settings(max_examples=40)
@given(
    st.lists(ACTS, max_size=25),
    st.sampled_from(OVERLAPS),
    st.integers(0, 2**32),
    st.sampled_from([0.0, 0.05]),
    st.sampled_from([0.0, 0.1]),
)
def test_random_slots(
    tmp_path_factory: pytest.TempPathFactory,
    fake: FakeDataflow,
    acts: list[tuple[str, int]],
    overlap: str,
    seed: int,
    kill_rate: float,
    set_back: float,
) -> None:
    folder = tmp_path_factory.mktemp("launcher")
    client = connect(f"sqlite:///{folder}/store.db")
    rng = random.Random(seed)
    fake.jobs.clear()
    fake.rng = rng
    fake.faults = Faults(busy=0.05, lost=0.1, not_found=2, restless=0.2)
    fake.script = lambda labels: _end_of(rng, labels)
    launcher = Launcher(client, fake, folder, seed=seed, again=0.2, overlap=overlap)
    launcher.deliveries.set_back = set_back
    slots = Slots(client, launcher, fake, kill_rate)
    slots.act("start", 0)
    for what, number in acts:
        slots.act(what, number)
    launcher.deliveries.set_back = 0.0
    slots.end()
    client.close()
