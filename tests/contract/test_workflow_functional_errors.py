"""The ends of whole workflows: finalized, failures, retries, aborts; and settings of stages."""

from collections.abc import Iterator
from typing import Any

import pytest

import workflow
from tests.support.workflow_running import Queues
from workflow import common

SEEN: list[Any] = []


@pytest.fixture(autouse=True)
def seen() -> list[Any]:
    SEEN.clear()
    return SEEN


class Notes(workflow.Pipeline):
    """Notes its end."""

    def finalized(self) -> None:
        outputs = {slot.name: slot.value for slot in self.outputs if slot.filled}
        SEEN.append((type(self).__name__, self.was_aborted, outputs))


class Gives(Notes):
    output_names = ["own"]

    def run(self, value: Any) -> Any:
        self.fill("own", "own")
        return value


class GivesLater(Gives):
    async_ = True

    def run(self, value: Any) -> None:
        self.fill("own", "own")
        self.complete(value)


class Parent(Notes):
    output_names = ["own"]

    def run(self) -> Iterator[Any]:
        yield GivesLater(1)
        yield Gives(2)


class EndsAtSecond(workflow.Pipeline):
    def run(self) -> int:
        return 1

    def finalized(self) -> None:
        SEEN.append(self.outputs.default.value)
        if len(SEEN) == 1:
            raise RuntimeError("no mail server")


# finalized


def test_finalized_is_called_once_with_all_outputs(flow: Any) -> None:
    flow.run(Parent())
    assert sorted(SEEN, key=str) == [
        ("Gives", False, {"default": 2, "own": "own"}),
        ("GivesLater", False, {"default": 1, "own": "own"}),
        ("Parent", False, {"default": 2, "own": "own"}),
    ]


def test_finalized_that_raises(flow: Any) -> None:
    if flow.is_test:
        flow.abort(EndsAtSecond(), "RuntimeError: no mail server")
        assert SEEN == [1]
    else:
        flow.run(EndsAtSecond())
        assert SEEN == [1, 1]


class AbortsAfter(Notes):
    """Its first child is done, its last one waits for ever."""

    def run(self) -> Iterator[Any]:
        first = yield Gives(1)
        with workflow.After(first):
            yield Aborts("sync")
        with workflow.After((yield Waits())):
            yield Gives(2)


class Waits(Notes):
    async_ = True

    def run(self) -> None:
        pass

    def run_test(self) -> None:
        self.complete()

    def try_cancel(self) -> bool:
        SEEN.append("try_cancel")
        return True


class Aborts(Notes):
    def run(self, kind: str) -> Any:
        raise workflow.Abort(f"{kind} says no")


class AbortsLater(Aborts):
    async_ = True


class AbortsYielding(Aborts):
    def run(self, kind: str) -> Iterator[Any]:
        yield Gives(1)
        raise workflow.Abort(f"{kind} says no")


def test_finalized_after_an_abort(flow: Any) -> None:
    flow.abort(AbortsAfter(), "sync says no")
    if flow.is_test:
        # What was raised goes on to the caller, and nothing else is called.
        assert SEEN == [("Gives", False, {"default": 1, "own": "own"})]
        return
    assert ("AbortsAfter", True, {}) in SEEN
    assert ("Aborts", True, {}) in SEEN
    assert ("Gives", False, {"default": 1, "own": "own"}) in SEEN
    assert ("Gives", True, {}) in SEEN
    assert ("Waits", True, {}) in SEEN


# What a stage raises


ABORTS = [Aborts, AbortsLater, AbortsYielding]
KINDS = ["sync", "async", "generator"]


@pytest.mark.parametrize(("found", "kind"), list(zip(ABORTS, KINDS, strict=True)), ids=KINDS)
def test_abort(flow: Any, found: Any, kind: str) -> None:
    stage = flow.abort(found(kind), f"{kind} says no")
    if not flow.is_test:
        assert stage.was_aborted
        assert not stage.has_finalized
        assert flow.about(stage)["abortMessage"] == f"{kind} says no"
        assert [entry[1] for entry in SEEN] == [True]


class Retries(workflow.Pipeline):
    def note(self) -> None:
        SEEN.append(self.current_attempt)
        if self.current_attempt < 3:
            raise workflow.Retry(f"attempt {self.current_attempt}")

    def run(self) -> Any:
        self.note()
        return "done"


class RetriesLater(Retries):
    async_ = True

    def run(self) -> None:
        self.note()
        self.complete("done")


class RetriesYielding(Retries):
    def run(self) -> Iterator[Any]:
        yield common.Return("done")
        self.note()


RETRIES = [Retries, RetriesLater, RetriesYielding]


@pytest.mark.parametrize("found", RETRIES, ids=KINDS)
def test_retry(flow: Any, found: Any) -> None:
    if flow.is_test:
        flow.abort(found(), "Retry: attempt 1")
        return
    stage = flow.run(found())
    assert SEEN == [1, 2, 3]
    assert stage.current_attempt == 3
    assert stage.outputs.default.value == "done"
    assert flow.about(stage)["lastRetryMessage"] == "attempt 2"
    # 15 seconds before the second attempt, 30 before the third.
    began = flow.stored("WorkflowPipeline")
    root = next(entity for entity in began if entity.key.name == stage.pipeline_id)
    assert root["next_retry"] - root["created"] == 45_000_000


class Mistake(workflow.Pipeline):
    def run(self, mistake: str) -> Any:
        return MISTAKES[mistake](self)


def yields_number(stage: Any) -> Iterator[Any]:
    yield common.Return(1)
    yield 5


def yields_twice(stage: Any) -> Iterator[Any]:
    child = common.Return(1)
    yield child
    yield child


def passes_set(stage: Any) -> Iterator[Any]:
    yield common.Return({1, 2})


def passes_unborn(stage: Any) -> Iterator[Any]:
    yield common.Return(common.Return(1).outputs)


def fills_others(stage: Any) -> Iterator[Any]:
    child = yield common.Return(1)
    stage.fill(child.default, 2)


def raises(stage: Any) -> Any:
    raise RuntimeError("a fault")


MISTAKES: dict[str, Any] = {
    "yields-no-stage": yields_number,
    "yields-one-twice": yields_twice,
    "passes-no-JSON": passes_set,
    "passes-a-future-of-nobody": passes_unborn,
    "fills-what-is-not-its-own": fills_others,
    "returns-no-JSON": lambda stage: {1, 2},
    "fills-no-JSON": lambda stage: stage.fill("default", float("nan")),
    "raises": raises,
    "completes": lambda stage: stage.complete(1),
    "after-no-future": lambda stage: workflow.After(5),
    "sets-too-late": lambda stage: stage.with_params(max_attempts=2),
}
MESSAGES = {
    "yields-no-stage": "which is not a stage: yield instances of Pipeline",
    "yields-one-twice": "twice: make a new instance",
    "passes-no-JSON": "Bad child arguments. TypeError: {1, 2} of type set",
    "passes-a-future-of-nobody": "belongs to a stage that was not yielded before",
    "fills-what-is-not-its-own": "a stage fills its own outputs",
    "returns-no-JSON": "Bad return value. TypeError: {1, 2} of type set",
    "fills-no-JSON": "ValueError: Out of range float values are not JSON compliant",
    "raises": "RuntimeError: a fault",
    "completes": "complete() is for asynchronous stages",
    "after-no-future": "TypeError: After takes what a yield gave",
    "sets-too-late": "with_params() comes before a stage starts or is yielded",
}


class FailsLater(workflow.Pipeline):
    async_ = True

    def run(self) -> None:
        raise RuntimeError("a fault")


def test_an_asynchronous_stage_after_its_last_attempt(flow: Any) -> None:
    """It cannot be cancelled, but there is nothing left to wait for."""
    flow.abort(FailsLater(), "RuntimeError: a fault")


@pytest.mark.parametrize("mistake", [*MISTAKES])
def test_a_mistake_is_tried_again_and_then_aborts(flow: Any, mistake: str) -> None:
    if flow.is_test and mistake == "sets-too-late":
        flow.run(common.Return(1))  # without meaning in test mode
        return
    stage = flow.abort(Mistake(mistake), MESSAGES[mistake])
    if not flow.is_test:
        shown = flow.about(stage)
        assert shown["abortMessage"].startswith("Aborting after 3 attempts: ")
        assert shown["currentAttempt"] == 3


# Settings of stages


class SetsStatus(workflow.Pipeline):
    def run(self) -> str:
        self.set_status("first", status_links={"never": "seen"})
        links = {"b": "https://b.example", "a": "https://a.example"}
        self.set_status("half done", "https://example/console", links)
        return "done"


def test_set_status(flow: Any) -> None:
    stage = flow.run(SetsStatus())
    if not flow.is_test:
        shown = flow.about(stage)
        assert shown["statusMessage"] == "half done"
        assert shown["statusConsoleUrl"] == "https://example/console"
        assert shown["statusLinks"] == {"a": "https://a.example", "b": "https://b.example"}
        assert shown["statusTimeMs"] >= shown["startTimeMs"]


class WithSettings(workflow.Pipeline):
    def run(self) -> Iterator[Any]:
        child = Settings().with_params(backoff_seconds=1, backoff_factor=3, max_attempts=9)
        child.task_retry = True
        yield child.with_params(target="worker")


class Settings(workflow.Pipeline):
    def run(self) -> Iterator[Any]:
        yield ShowsSettings()


class ShowsSettings(workflow.Pipeline):
    def run(self) -> list[Any]:
        own = [self.backoff_seconds, self.backoff_factor, self.max_attempts]
        return [*own, self.target, self.task_retry, self.queue_name, self.base_path]


def test_settings_and_who_inherits_them(flow: Any) -> None:
    start = {"queue_name": "other", "base_path": "/elsewhere"}
    given = flow.run(WithSettings(), **start).outputs.default.value
    if flow.is_test:
        assert given[:3] == [15, 2, 3]
        return
    assert given == [15, 2, 3, "worker", True, "other", "/elsewhere"]


def test_a_stage_that_is_run_with_its_own_settings(queues: Queues) -> None:
    stage = Mistake("raises").with_params(max_attempts=4, backoff_seconds=2, backoff_factor=10)
    queues.abort(stage, "Aborting after 4 attempts")
    entity = queues.stored("WorkflowPipeline")[0]
    assert entity["next_retry"] - entity["created"] == (2 + 20 + 200) * 1_000_000
