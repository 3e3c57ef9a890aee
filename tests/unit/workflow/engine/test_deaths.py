"""Stages that end their process, on both stores; tests/acceptance has them with real processes."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import workflow
from tests.support.workflow_faults import KilledError, Process
from tests.support.workflow_running import Queues
from workflow import common
from workflow.engine import actions, deaths
from workflow.engine.deaths import BusyError, Gate, is_alive, this_process
from workflow.engine.tasks import handle

SEEN: list[Any] = []


@pytest.fixture(autouse=True)
def process(monkeypatch: pytest.MonkeyPatch) -> Process:
    SEEN.clear()
    found = Process()
    found.install(monkeypatch)
    SEEN.append(found)
    return found


class Kills(workflow.Pipeline):
    """Kills its process at the first so many calls."""

    def run(self, times: int) -> str:
        SEEN.append(self.current_attempt)
        if len(SEEN) <= times + 1:
            SEEN[0].die()
        return "survived"


class KillsLater(Kills):
    async_ = True

    def run(self, times: int) -> None:
        super().run(times)
        self.complete("survived")


class KillsYielding(Kills):
    def run(self, times: int) -> Iterator[Any]:
        yield common.Return("survived")
        super().run(times)


KINDS = [Kills, KillsLater, KillsYielding]


def drain(queues: Queues) -> int:
    """Run a workflow to its end; returns how many processes have died."""
    dead = 0
    while True:
        try:
            queues.drain()
        except KilledError:
            dead += 1
            assert dead < 20, "a stage that kills its process is never given up"
            queues.clock.move(700)  # the lease ends
        else:
            return dead


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("most", "expected"), [(1, 2), (2, 2), (3, 3), (5, 5)])
def test_a_stage_that_kills_every_process(
    queues: Queues, kind: Any, most: int, expected: int
) -> None:
    stage = kind(99).with_params(max_attempts=most)
    stage.start()
    assert drain(queues) == expected
    about = queues.about(stage)
    assert about["status"] == "aborted"
    assert about["abortMessage"] == f"Aborting after {most} attempts: {workflow_died()}"
    assert about["currentAttempt"] == about["maxAttempts"]
    assert about["endTimeMs"]


def workflow_died() -> str:
    return "its process ended while no other stage ran in it: killed, or out of memory"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("times", "attempt"), [(1, 1), (2, 3)])
def test_a_stage_that_survives(queues: Queues, kind: Any, times: int, attempt: int) -> None:
    """One death may have been another stage's fault; two are its own, and both count."""
    stage = kind(times)
    stage.start()
    assert drain(queues) == times
    assert queues.now(stage).outputs.default.value == "survived"
    assert queues.about(stage)["currentAttempt"] == attempt


class Neighbour(workflow.Pipeline):
    """Its process is ended by others, as often as there are other stages."""

    def run(self) -> int:
        SEEN.append("neighbour")
        if SEEN.count("neighbour") % 2:
            SEEN[0].die()
        return self.current_attempt


class Called(workflow.Pipeline):
    """Its process is ended once by another stage, while it runs."""

    async_ = True

    def run(self) -> None:
        SEEN.append("run")
        if SEEN.count("run") == 1:
            SEEN[0].die()


def test_a_death_after_run_has_returned_is_not_charged(queues: Queues) -> None:
    stage = Called().with_params(max_attempts=1)
    stage.start()
    assert drain(queues) == 1
    SEEN[0].number += 1  # another stage ends the process, before the queue has the answer
    root = str(stage.pipeline_id)
    task = {"pipeline_id": root, "root": root, "attempt": "0"}
    handle(queues.engine, "run", task)
    assert SEEN[1:] == ["run"] * 3
    queues.now(stage).complete("called")
    assert drain(queues) == 0
    assert queues.about(stage)["status"] == "done"


class Yields(workflow.Pipeline):
    """Ends its process if it is called again."""

    def run(self) -> Iterator[Any]:
        SEEN.append("run")
        yield Called()
        if SEEN.count("run") > 1:
            SEEN[0].die()

    def finalized(self) -> None:
        SEEN.append("finalized")


def test_a_generator_that_has_yielded_does_not_run_again(queues: Queues) -> None:
    """Or its process could die then, which would start it anew, with other children."""
    stage = Yields()
    stage.start()
    queues.runner.step()
    root = str(stage.pipeline_id)
    for _ in range(3):
        handle(queues.engine, "run", {"pipeline_id": root, "root": root, "attempt": "0"})
    assert SEEN.count("run") == 1
    assert queues.about(stage)["status"] == "run"
    assert queues.about(stage)["currentAttempt"] == 1


def test_a_stage_that_others_take_along_is_not_charged(queues: Queues) -> None:
    stages = [Neighbour().with_params(max_attempts=2) for _ in range(4)]
    for stage in stages:
        stage.start()
        drain(queues)
    assert [queues.now(stage).outputs.default.value for stage in stages] == [1] * 4
    assert queues.engine.record(str(stages[0].pipeline_id)).deaths == 0


class KillsAtTheEnd(workflow.Pipeline):
    def run(self) -> int:
        return 1

    def finalized(self) -> None:
        SEEN[0].die()


def test_an_end_that_kills_every_process(queues: Queues) -> None:
    stage = KillsAtTheEnd()
    stage.start()
    assert drain(queues) == 3
    about = queues.about(stage)
    assert about["status"] == "done"
    assert about["lastRetryMessage"] == f"finalized() failed, attempt 3 of 3: {workflow_died()}"
    stage.cleanup()
    queues.drain()
    assert queues.engine.record(str(stage.pipeline_id)) is None


class DiesThenKillsAtTheEnd(KillsAtTheEnd):
    def run(self) -> int:
        SEEN[0].die()
        return 1


def test_a_death_of_run_is_not_charged_to_finalized(queues: Queues) -> None:
    stage = DiesThenKillsAtTheEnd()
    stage.start()
    for _ in range(2):  # the second begins when the first is known
        with pytest.raises(KilledError):
            queues.drain()
        queues.clock.move(700)  # the lease ends
    queues.now(stage).abort("stopped by a person")
    assert drain(queues) == 3
    message = queues.about(stage)["lastRetryMessage"]
    assert message == f"finalized() failed, attempt 3 of 3: {workflow_died()}"


class Fails(workflow.Pipeline):
    def run(self) -> None:
        raise RuntimeError(str(self.current_attempt))


def test_failures_are_no_deaths(queues: Queues, process: Process) -> None:
    stage = Fails()
    stage.start()
    for _ in range(3):
        queues.runner.step()
        process.number += 1  # it ends later, between two attempts
        queues.clock.move(60)
    queues.drain()
    assert queues.about(stage)["abortMessage"] == "Aborting after 3 attempts: RuntimeError: 3"


# finalized


class ReadsItsOutput(workflow.Pipeline):
    """Reads an output that an aborted stage never has."""

    def run(self) -> None:
        raise workflow.Abort("enough")

    def finalized(self) -> None:
        SEEN.append(self.outputs.default.value)


def test_an_end_that_reads_an_output_after_an_abort(queues: Queues) -> None:
    stage = ReadsItsOutput()
    stage.start()
    queues.runner.step()
    queues.runner.step()
    about = queues.about(stage)
    assert about["status"] == "aborted"
    assert about["lastRetryMessage"].startswith("finalized() failed, attempt 1 of 3: SlotNotFilled")
    queues.drain()
    about = queues.about(stage)
    assert about["endTimeMs"]
    assert "attempt 3 of 3" in about["lastRetryMessage"]
    stage.cleanup()
    queues.drain()
    assert queues.engine.record(str(stage.pipeline_id)) is None


def test_a_workflow_whose_end_fails_can_be_cleaned_up_at_once(queues: Queues) -> None:
    stage = ReadsItsOutput().with_params(backoff_seconds=86_400)
    stage.start()
    queues.runner.step()
    queues.runner.step()
    actions.cleanup(queues.engine, str(stage.pipeline_id))
    queues.drain()
    assert queues.engine.record(str(stage.pipeline_id)) is None


# Processes


def test_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    source = "from workflow.engine.deaths import this_process; print(this_process(), flush=True); "
    words = [sys.executable, "-c", source + "import sys; sys.stdin.read()"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        name = child.stdout.readline().strip()
        assert is_alive(name)
        assert not is_alive(f"{name}9")  # another process that has the number by now
        node, *_, number, start = name.split("/")
        assert not is_alive(f"{node}/an-earlier-boot/{number}/{start}")
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not is_alive(name)  # nobody has waited for it yet
    assert not is_alive(name)
    assert is_alive(this_process())
    assert not is_alive("another-machine/1/1")


# The gate


def test_one_that_is_alone_waits_for_others() -> None:
    gate = Gate()
    order: list[str] = []
    entered = threading.Event()

    def alone() -> None:
        entered.set()
        with gate.entered(alone=True):
            order.append("alone")

    with gate.entered(), gate.entered(alone=True):  # a stage that calls another does not wait
        thread = threading.Thread(target=alone)
        thread.start()
        entered.wait()
        order.append("first")
    thread.join()
    assert order == ["first", "alone"]


@pytest.mark.parametrize("first", [False, True], ids=["with others", "alone"])
def test_one_that_cannot_enter_is_busy(first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deaths, "PATIENCE", 0.01)
    gate = Gate()
    errors: list[Exception] = []

    def other() -> None:
        try:
            with gate.entered(alone=not first):
                pass
        except BusyError as error:
            errors.append(error)

    with gate.entered(alone=first):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(errors) == 1
    with gate.entered(alone=True):
        pass  # it is free again
