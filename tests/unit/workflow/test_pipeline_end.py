"""How a stage ends: retry, abort, clean-up, the mail about it; and test mode."""

from collections.abc import Iterator
from typing import Any

import pytest

import workflow
from tests.support.workflow_running import Queues
from workflow import common
from workflow.mail import Mail


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


# retry, abort, cleanup


def test_retry(queues: Queues) -> None:
    stage = started(Cancels())
    queues.drain()
    assert queues.now(stage).retry("the other side is down")
    shown = queues.about(stage)
    assert (shown["status"], shown["currentAttempt"]) == ("retry", 2)
    assert shown["lastRetryMessage"] == "the other side is down"
    queues.drain()
    assert queues.now(stage).current_attempt == 2


def test_retry_of_a_stage_that_does_not_run(queues: Queues) -> None:
    stage = started(Cancels())
    assert stage.retry() is False
    queues.drain()
    first, second = queues.now(stage), queues.now(stage)
    assert first.retry()
    assert second.retry() is False  # it speaks of an attempt that is over


def test_retry_that_cannot_be(queues: Queues) -> None:
    stage = started(Waits())
    queues.drain()
    assert stage.retry() is False
    with pytest.raises(workflow.UnexpectedPipelineError, match="raise Retry instead"):
        started(Nothing()).retry()


def test_retry_after_the_last_attempt(queues: Queues) -> None:
    stage = started(Cancels().with_params(max_attempts=1))
    queues.drain()
    assert queues.now(stage).retry("again") is False
    queues.drain()
    assert queues.about(stage)["abortMessage"] == "Aborting after 1 attempts: again"


@pytest.mark.parametrize("kind", [Nothing, Cancels], ids=["sync", "async"])
def test_abort(queues: Queues, kind: Any) -> None:
    stage = started(kind())
    assert stage.abort("enough") is True
    assert queues.now(stage).abort("again") is False
    queues.drain()
    found = queues.now(stage)
    assert found.was_aborted
    assert not found.has_finalized
    assert queues.about(stage)["abortMessage"] == "enough"
    assert found.abort("again") is False


def test_abort_of_an_asynchronous_root_that_cannot_be_cancelled(queues: Queues) -> None:
    stage = started(Waits())
    queues.drain()
    assert stage.abort("enough") is False
    queues.drain()
    assert queues.about(stage)["status"] == "run"


def test_fill_and_complete_after_an_abort(queues: Queues) -> None:
    stage = started(Cancels())
    queues.drain()
    stage.abort("enough")
    queues.drain()
    stage.complete(5)
    queues.now(stage).fill("one", 1)
    queues.drain()
    found = queues.now(stage)
    assert found.was_aborted
    assert not found.outputs.default.filled


class Parent(workflow.Pipeline):
    def run(self) -> Iterator[Any]:
        yield common.Return("x" * 200_000)
        yield common.Delay(seconds=1)


def test_cleanup(queues: Queues) -> None:
    stage, other = started(Parent()), started(Waits())
    queues.drain()
    queues.now(stage).set_status("done")
    children = [name for name in queues.tree(stage)["pipelines"] if name != stage.pipeline_id]
    workflow.Pipeline.from_id(children[0]).cleanup()  # ignored
    queues.drain()
    assert Parent.from_id(stage.pipeline_id) is not None
    queues.now(stage).cleanup()
    queues.drain()
    kinds = ["Pipeline", "Slot", "Barrier", "Status", "Part", "Plan", "Waiting"]
    left = {e["root"] for kind in kinds for e in queues.stored(f"Workflow{kind}")}
    assert left == {other.pipeline_id}
    assert Parent.from_id(stage.pipeline_id) is None


# Mails


class Mailed(workflow.Pipeline):
    mails: list[tuple[str, ...]] = []

    def run(self, aborts: bool = False) -> None:
        if aborts:
            raise workflow.Abort("so")

    @staticmethod
    def _send_mail(*given: str) -> None:
        Mailed.mails.append(given)


@pytest.fixture
def mails() -> list[tuple[str, ...]]:
    Mailed.mails.clear()
    return Mailed.mails


@pytest.mark.parametrize("aborts", [False, True], ids=["successful", "aborted"])
def test_the_mail_about_the_end(queues: Queues, mails: Any, aborts: bool) -> None:
    queues.engine.mail = Mail(app_id="my-app", base_url="https://site.example")
    stage = started(Mailed(aborts))
    queues.drain()
    ((sender, subject, body, html),) = mails
    how = "aborted" if aborts else "successful"
    name = f"{Mailed.class_path}#{stage.pipeline_id}"
    assert sender == "my-app@my-app.appspotmail.com"
    assert subject == f'Pipeline {how}: App "my-app", {name}'
    assert f"https://site.example/_ah/pipeline/status?root={stage.pipeline_id}" in body
    assert f"root={stage.pipeline_id}" in html


def test_a_method_or_a_function_sends_mails(queues: Queues, mails: Any) -> None:
    class ByMethod(Mailed):
        def _send_mail(self, sender: str, subject: str, body: str, html: str = "") -> None:
            mails.append((self.pipeline_id, sender, subject))

    def send(sender: str, *given: str) -> None:
        mails.append(("function", sender, given[0]))

    class ByFunction(Mailed):
        _send_mail = send

    queues.engine.mail = Mail(sender="us@example.com")
    for kind in (ByMethod, ByFunction):
        queues.run(kind())
    (first, *_, one), (_, sender, two) = mails
    assert len(first) == 32
    assert sender == "us@example.com"
    assert all(subject.startswith("Pipeline successful") for subject in (one, two))


def test_a_mail_that_cannot_be_sent(queues: Queues, caplog: pytest.LogCaptureFixture) -> None:
    class Fails(Mailed):
        @staticmethod
        def _send_mail(*given: str) -> None:
            raise OSError("no server")

    queues.run(Fails())
    assert "could not be sent" in caplog.text


def test_only_the_root_sends_a_mail(queues: Queues, mails: Any) -> None:
    class Root(workflow.Pipeline):
        def run(self) -> Iterator[Any]:
            yield Mailed()

    queues.run(Root())
    assert mails == []


def test_the_sender_of_a_mail(queues: Queues, mails: Any) -> None:
    queues.run(Mailed()).send_result_email("me@example.com")
    assert mails[-1][0] == "me@example.com"


# Test mode


def test_test_mode(queues: Queues) -> None:
    class Shows(workflow.Pipeline):
        def run(self) -> list[Any]:
            self.set_status("half done")
            return [self.test_mode, self.is_root, self.current_attempt, self.base_path]

    stage = Shows()
    stage.start_test(idempotence_key="key", base_path="/base", queue_name="ignored")
    assert stage.outputs.default.value == [True, True, 1, "/base"]
    assert stage.pipeline_id == "key"
    stage.cleanup()
    stage.send_result_email()
    assert stage.with_params(max_attempts=5).max_attempts == 3
    assert queues.stored("WorkflowPipeline") == []
    with pytest.raises(workflow.UnexpectedPipelineError, match="was started before"):
        stage.start_test()


def test_retry_and_abort_in_test_mode() -> None:
    class Retries(Waits):
        def run(self, *args: Any, **kwargs: Any) -> None:
            getattr(self, args[0])("why")

    for name, error in [("retry", workflow.Retry), ("abort", workflow.Abort)]:
        with pytest.raises(error, match="why"):
            Retries(name).start_test()


# Old names


def test_the_old_names_are_there() -> None:
    names = (
        "Error PipelineSetupError PipelineExistsError PipelineRuntimeError SlotNotFilledError "
        "SlotNotDeclaredError UnexpectedPipelineError PipelineStatusError Slot Pipeline Retry "
        "PipelineFuture After InOrder Abort get_status_tree get_pipeline_names get_root_list "
        "create_handlers_map set_enforce_auth"
    ).split()
    assert set(names) <= set(workflow.__all__)
    assert all(hasattr(workflow, name) for name in workflow.__all__)


def test_the_handlers_as_an_application() -> None:
    ((pattern, app),) = workflow.create_handlers_map("")
    assert pattern == "/_ah/pipeline(/.*)?"
    assert app.test_client().post("/_ah/pipeline/run").status_code == 403
    assert app.test_client().get("/_ah/pipeline/rpc/list").status_code == 403
