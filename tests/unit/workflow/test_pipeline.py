"""The methods of Pipeline, on both stores."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

import taskqueue
import workflow
from dfpipe.datastore import run_in_transaction
from tests.support.workflow_running import Queues
from workflow import common, registry


class Nothing(workflow.Pipeline):
    output_names = ["one", "two"]

    def run(self, *args: Any, **kwargs: Any) -> None:
        pass


class Waits(Nothing):
    async_ = True


class Cancels(Waits):
    def try_cancel(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def bound(queues: Queues) -> Queues:
    return queues


def started(stage: Any, **kwargs: Any) -> Any:
    stage.start(**kwargs)
    return stage


def tasks(queues: Queues, queue: str = "default") -> list[Any]:
    return queues.engine.service.store.tasks(queue, 100)


# What a class and an object are


def test_class_path() -> None:
    class Inner(Nothing):
        pass

    here = "tests.unit.workflow.test_pipeline"
    assert workflow.Pipeline.class_path == "workflow.pipeline.Pipeline"
    assert Nothing.class_path == f"{here}.Nothing"
    assert Inner().class_path == f"{here}.test_class_path.<locals>.Inner"
    assert registry.find(Nothing.class_path) is Nothing
    assert Nothing.class_path in workflow.get_pipeline_names()


def test_before_it_starts() -> None:
    stage = Nothing(1, two=2)
    assert (stage.pipeline_id, stage.root_pipeline_id) == (None, None)
    assert (stage.args, stage.kwargs) == ([1], {"two": 2})
    flags = [stage.is_root, stage.was_aborted, stage.has_finalized, stage.test_mode]
    assert flags == [False] * 4
    assert stage.current_attempt == 1
    assert (stage.queue_name, stage.base_path) == ("default", "/_ah/pipeline")
    assert (stage.backoff_seconds, stage.backoff_factor, stage.max_attempts) == (15, 2, 3)
    assert (stage.target, stage.task_retry) == (None, False)
    assert repr(stage).endswith("Nothing(1, two=2)#None")


@pytest.mark.parametrize(
    "call",
    [
        lambda s: s.fill("one", 1),
        lambda s: s.complete(),
        lambda s: s.retry(),
        lambda s: s.abort(),
        lambda s: s.set_status("so"),
        lambda s: s.send_result_email(),
        lambda s: s.get_callback_url(),
        lambda s: s.get_callback_task(),
    ],
    ids=["fill", "complete", "retry", "abort", "status", "mail", "url", "task"],
)
def test_what_comes_after_the_start(call: Any) -> None:
    with pytest.raises(workflow.UnexpectedPipelineError, match="comes after the stage has started"):
        call(Waits())


def test_the_old_name_of_async() -> None:
    found = type("Old", (Nothing,), {"async": True})
    assert found.is_async()
    assert not Nothing.is_async()


# start


def test_start(queues: Queues) -> None:
    stage = started(Nothing(1, two={"a": [2]}))
    assert len(stage.pipeline_id) == 32
    assert stage.is_root
    assert stage.root_pipeline_id == stage.pipeline_id
    assert sorted(slot.key for slot in stage.outputs) == [
        f"{stage.pipeline_id}/{name}" for name in ["default", "one", "two"]
    ]
    (task,) = tasks(queues)
    assert task.request.url == "/_ah/pipeline/run"
    assert dict(parse_qsl(task.payload.decode())) == {
        "pipeline_id": stage.pipeline_id,
        "root": stage.pipeline_id,
        "attempt": "0",
    }
    shown = queues.about(stage)
    assert shown["status"] == "waiting"
    assert shown["args"] == [{"type": "value", "value": 1}]
    assert shown["kwargs"] == {"two": {"type": "value", "value": {"a": [2]}}}


def test_start_with_a_key() -> None:
    assert started(Nothing(), idempotence_key="my key").pipeline_id == "my key"


def test_start_with_a_key_that_was_used(queues: Queues) -> None:
    started(Nothing(), idempotence_key="key")
    with pytest.raises(workflow.PipelineExistsError, match="'key' was started before"):
        started(Waits(), idempotence_key="key")
    assert len(tasks(queues)) == 1
    assert type(workflow.Pipeline.from_id("key")) is Nothing


def test_start_with_a_key_that_is_no_text() -> None:
    garbage = b"\xfb\xcaOu\t72\xa2x\xb3"
    name = started(Nothing(), idempotence_key=garbage).pipeline_id
    assert name == hashlib.sha1(garbage).hexdigest()
    with pytest.raises(workflow.PipelineExistsError):
        started(Nothing(), idempotence_key=garbage)
    # Bytes that are text are that text.
    assert started(Nothing(), idempotence_key="ä".encode()).pipeline_id == "ä"


def test_start_with_a_key_that_is_too_long() -> None:
    with pytest.raises(workflow.PipelineSetupError, match="longer than 500 bytes"):
        started(Nothing(), idempotence_key="x" * 501)


def test_start_twice() -> None:
    stage = started(Nothing())
    with pytest.raises(workflow.PipelineSetupError, match="was started before: make a new one"):
        stage.start()


def test_start_on_another_queue_and_path(queues: Queues) -> None:
    stage = started(Nothing(), queue_name="other", base_path="/here")
    assert (stage.queue_name, stage.base_path) == ("other", "/here")
    (task,) = tasks(queues, "other")
    assert task.request.url == "/here/run"
    found = queues.now(stage)
    assert (found.queue_name, found.base_path) == ("other", "/here")


def test_start_later(queues: Queues) -> None:
    now = queues.engine.service.now()
    started(Nothing(), countdown=30)
    assert [task.eta - now for task in tasks(queues)] == [30_000_000]


@pytest.mark.parametrize("zone", [UTC, None], ids=["aware", "naive"])
def test_start_at_a_time(queues: Queues, zone: Any) -> None:
    when = (queues.clock.time + timedelta(days=1)).replace(tzinfo=zone)
    started(Nothing(), eta=when)
    assert [task.eta for task in tasks(queues)] == [
        int(when.replace(tzinfo=UTC).timestamp()) * 1_000_000
    ]


def test_start_later_and_at_a_time(queues: Queues) -> None:
    with pytest.raises(workflow.PipelineSetupError, match="a countdown or an eta, not both"):
        started(Nothing(), countdown=1, eta=datetime.now(UTC))
    assert tasks(queues) == []


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"idempotence_key": 5}, "the idempotence key is 5: give a text"),
        ({"eta": "noon"}, "the eta is 'noon': give a datetime"),
        ({"countdown": float("inf")}, "infinity"),
    ],
    ids=["key", "eta", "countdown"],
)
def test_start_with_what_is_no_text_or_time(queues: Queues, kwargs: Any, message: str) -> None:
    with pytest.raises(workflow.PipelineSetupError, match=message):
        started(Nothing(), **kwargs)
    assert tasks(queues) == []


def test_start_that_gives_the_task_back(queues: Queues) -> None:
    stage = common.Return(5)
    task = stage.start(return_task=True, countdown=10)
    assert tasks(queues) == []
    assert task.name is None
    assert not task.was_enqueued
    assert urlsplit(task.url).path == "/_ah/pipeline/run"
    run_in_transaction(queues.client, lambda: task.add(transactional=True))
    assert len(tasks(queues)) == 1
    queues.drain()
    queues.check_done(stage)


def test_start_in_a_transaction_that_fails(queues: Queues) -> None:
    """It is independent of the transaction, as it was."""
    stage = Nothing()

    def step() -> None:
        stage.start()
        raise RuntimeError("no")

    with pytest.raises(RuntimeError), queues.client.transaction():
        step()
    assert len(tasks(queues)) == 1


@pytest.mark.parametrize(
    ("make", "kwargs", "message"),
    [
        (lambda: Nothing({1}), {}, r"Error starting .*Nothing\(\{1\}\)#None: \{1\} of type set"),
        (Nothing, {"queue_name": "unknown"}, "Error starting .*unknown"),
        (lambda: Nothing(float("nan")), {}, "Error starting .*not JSON compliant"),
        (lambda: Nothing(Waits().outputs), {}, "Error starting .*was not yielded before"),
        (lambda: Nothing().with_params(max_attempts=0), {}, "max_attempts is 0: give a whole"),
        (lambda: Nothing().with_params(max_attempts="3"), {}, "max_attempts is '3': give a whole"),
        (lambda: Nothing().with_params(backoff_seconds=-1), {}, "backoff_seconds is -1: give a"),
        (lambda: Nothing().with_params(backoff_factor=None), {}, "backoff_factor is None: give"),
    ],
    ids=["arguments", "queue", "nan", "future", "none", "text", "negative", "nothing"],
)
def test_start_that_fails(queues: Queues, make: Any, kwargs: Any, message: str) -> None:
    with pytest.raises(workflow.PipelineSetupError, match=message):
        make().start(**kwargs)
    assert queues.stored("WorkflowPipeline") == []


def test_start_without_queues() -> None:
    workflow.bind(None)
    taskqueue.bind(None)
    with pytest.raises(taskqueue.UsageError):
        Nothing().start()


def test_the_outputs_of_a_root_are_those_that_it_declares() -> None:
    stage = started(common.Return(1))
    with pytest.raises(workflow.SlotNotDeclaredError, match="no output 'other'"):
        _ = stage.outputs.other


def test_settings_of_a_root(queues: Queues) -> None:
    stage = started(Nothing().with_params(max_attempts=9, backoff_seconds=1.5, target="worker"))
    found = queues.now(stage)
    assert (found.max_attempts, found.backoff_seconds, found.target) == (9, 1.5, "worker")
    assert [task.request.target for task in tasks(queues)] == ["worker"]


def test_settings_that_are_wrong() -> None:
    with pytest.raises(TypeError, match="takes backoff_seconds, .* not 'attempts'"):
        Nothing().with_params(attempts=9)
    with pytest.raises(workflow.UnexpectedPipelineError, match="comes before a stage starts"):
        started(Nothing()).with_params(max_attempts=9)


# from_id


def test_from_id(queues: Queues) -> None:
    stage = started(Nothing("ä", two=None))
    for found in [Nothing.from_id(stage.pipeline_id), Waits.from_id(stage.pipeline_id)]:
        assert type(found) is Nothing
        assert (found.args, found.kwargs) == (["ä"], {"two": None})
        assert found.pipeline_id == found.root_pipeline_id == stage.pipeline_id
        assert [s.key for s in found.outputs] == [s.key for s in stage.outputs]


@pytest.mark.parametrize(
    "name", ["unknown", "", "__x__", "x" * 2000], ids=["unknown", "empty", "reserved", "long"]
)
def test_from_id_of_nobody(name: str) -> None:
    assert Nothing.from_id(name) is None


def test_from_id_with_outputs() -> None:
    stage = started(Waits())
    stage.fill("one", [1])
    found = Waits.from_id(stage.pipeline_id)
    assert found.outputs.one.value == [1]
    assert not found.outputs.two.filled
    assert not Waits.from_id(stage.pipeline_id, resolve_outputs=False).outputs.one.filled


def test_from_id_of_a_class_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = started(Nothing())
    monkeypatch.setattr(registry, "_classes", {})
    found = Waits.from_id(stage.pipeline_id)
    # Its module, imported before, does not register it again: the calling class is left.
    assert type(found) is Waits
    assert found.pipeline_id == stage.pipeline_id


# fill, complete


def test_fill_by_name_and_slot(queues: Queues) -> None:
    stage = started(Waits())
    stage.fill("one", {"a": 1})
    stage.fill(stage.outputs.two, (1, 2))
    assert (stage.outputs.one.value, stage.outputs.two.value) == ({"a": 1}, [1, 2])
    found = queues.now(stage)
    assert (found.outputs.one.value, found.outputs.two.value) == ({"a": 1}, [1, 2])
    assert found.outputs.one.filler == stage.pipeline_id
    assert found.outputs.one.fill_datetime == queues.clock.time


def test_fill_again(queues: Queues) -> None:
    stage = started(Waits())
    stage.fill("one", 1)
    stage.fill("one", 2)
    assert queues.now(stage).outputs.one.value == 2


def test_fill_with_something_large(queues: Queues) -> None:
    stage = started(Waits())
    text = "ä" * 1_000_000
    stage.fill("one", text)
    assert queues.now(stage).outputs.one.value == text
    assert queues.count("WorkflowPart") == 7  # each letter is six in JSON
    stage.cleanup()
    queues.drain()
    assert queues.count("WorkflowPart") == 0


def test_fill_what_is_not_there() -> None:
    stage, other = started(Waits()), started(Waits())
    with pytest.raises(workflow.SlotNotDeclaredError, match="no output 'three'"):
        stage.fill("three", 1)
    with pytest.raises(workflow.SlotNotDeclaredError, match="a stage fills its own outputs"):
        stage.fill(other.outputs.one, 1)
    with pytest.raises(TypeError, match="cannot be written as JSON"):
        stage.fill("one", object())


def test_complete(queues: Queues) -> None:
    stage = started(Waits())
    queues.drain()
    for name in ["one", "two"]:
        stage.fill(name, name)
    stage.complete(5)
    stage.complete(6)
    queues.drain()
    queues.check_done(stage)
    found = queues.now(stage)
    assert found.outputs.default.value == 5
    assert found.has_finalized


def test_complete_before_all_outputs_are_filled(queues: Queues) -> None:
    stage = started(Waits())
    queues.drain()
    stage.complete(5)
    queues.drain()
    assert not queues.now(stage).has_finalized
    stage.fill("one", 1)
    stage.fill("two", 2)
    queues.drain()
    queues.check_done(stage)


def test_complete_of_a_stage_that_is_not_asynchronous() -> None:
    with pytest.raises(workflow.UnexpectedPipelineError, match="is for asynchronous stages"):
        started(Nothing()).complete()


# Callbacks


def test_callback_url() -> None:
    stage = started(Waits(), idempotence_key="a b", base_path="/here")
    assert stage.get_callback_url() == "/here/callback?pipeline_id=a+b"
    url = stage.get_callback_url(two="ä&", one=1)
    assert url == "/here/callback?one=1&pipeline_id=a+b&two=%C3%A4%26"


def test_callback_task(queues: Queues) -> None:
    stage = started(Waits().with_params(target="worker"))
    task = stage.get_callback_task(
        params={"choice": "red"}, name="my-task", countdown=5, url="/other", method="GET"
    )
    assert (task.name, task.method, task.url) == ("my-task", "POST", "/_ah/pipeline/callback")
    assert task.extract_params() == {"choice": "red", "pipeline_id": stage.pipeline_id}
    assert task.target == "worker"
    assert stage.get_callback_task(target="elsewhere").target == "elsewhere"


def test_a_stage_without_callback() -> None:
    with pytest.raises(NotImplementedError, match=r"Waits has no callback\(\)"):
        started(Waits()).callback()


# As in the original


@pytest.mark.parametrize(
    "given", [object(), None, 1, ["default"]], ids=["object", "None", "1", "list"]
)
def test_an_output_that_is_no_name(given: Any) -> None:
    with pytest.raises(workflow.UnexpectedPipelineError, match="give the name of an output"):
        common.Return(1).fill(given, 1)


@pytest.mark.parametrize("method", ["get_callback_url", "get_callback_task"])
def test_callbacks_are_for_asynchronous_stages(queues: Queues, method: str) -> None:
    stage = common.Return(1)
    stage.start()
    with pytest.raises(workflow.UnexpectedPipelineError, match="is for asynchronous stages"):
        getattr(stage, method)()


class InTestMode(workflow.Pipeline):
    """Does in test mode what its argument says."""

    def run(self, what: str) -> Iterator[Any]:
        if what == "with_params":
            stage = common.Return(5).with_params(max_attempts="rubbish", unknown=1)
            assert stage.max_attempts == 3
            yield stage
        elif what == "arguments":
            yield common.Return({1, 2})
        elif what == "return":
            yield ReturnsSet()
        else:
            with workflow.InOrder(), workflow.InOrder():
                yield common.Return(5)


class ReturnsSet(workflow.Pipeline):
    def run(self) -> set[int]:
        return {1}


@pytest.mark.parametrize("what", ["with_params", "in order"])
def test_what_test_mode_passes_over(what: str) -> None:
    stage = InTestMode(what)
    stage.start_test()
    assert stage.outputs.default.value == 5
    # Outside of test mode it is refused.
    with pytest.raises(TypeError, match="with_params"):
        common.Return(5).with_params(unknown=1)


@pytest.mark.parametrize("what", ["arguments", "return"])
def test_values_that_json_does_not_have_in_test_mode(what: str) -> None:
    with pytest.raises(TypeError, match=r"Bad (child arguments|return value)\."):
        InTestMode(what).start_test()
