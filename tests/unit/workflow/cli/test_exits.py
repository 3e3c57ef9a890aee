"""Stages that call sys.exit(), as programs do, on both stores."""

import pytest
from flask import Flask

import workflow
from service.auth import AuthSettings, Guard
from tests.support.workflow_running import Queues
from workflow.engine.tasks import handle
from workflow.errors import StageExitError
from workflow.web.handlers import create_blueprint


class Program(workflow.Pipeline):
    """Calls what was made as a program."""

    def run(self) -> None:
        raise SystemExit(3)


class EndsAsProgram(workflow.Pipeline):
    def run(self) -> None:
        pass

    def finalized(self) -> None:
        raise SystemExit("out of cheese")


class ExitsWhenCalled(workflow.Pipeline):
    async_ = True

    def run(self) -> None:
        pass

    def callback(self) -> None:
        raise SystemExit(1)


def words_of(stage: workflow.Pipeline, **others: str) -> dict[str, str]:
    """What a task for a root says."""
    name = str(stage.pipeline_id)
    return {"pipeline_id": name, "root": name, **others}


def test_a_stage_that_exits_has_failed_and_its_process_goes_on(queues: Queues) -> None:
    stage = Program()
    stage.start()
    queues.drain()
    assert queues.about(stage)["status"] == "aborted"
    assert queues.about(stage)["currentAttempt"] == 3
    assert queues.about(stage)["lastRetryMessage"] == "SystemExit: 3"


def test_an_exit_that_is_left_to_the_queue(queues: Queues) -> None:
    failing = Program()
    failing.task_retry = True
    failing.start()
    words = words_of(failing, attempt="0")
    with pytest.raises(StageExitError, match=r"called sys.exit\(3\)"):
        handle(queues.engine, "run", words)
    assert queues.about(failing)["currentAttempt"] == 1


def test_an_end_that_exits_is_tried_again(queues: Queues) -> None:
    stage = EndsAsProgram()
    stage.start()
    handle(queues.engine, "run", words_of(stage, attempt="0"))
    handle(queues.engine, "finalized", words_of(stage))
    assert not queues.now(stage).has_finalized
    assert queues.about(stage)["lastRetryMessage"] == (
        "finalized() failed, attempt 1 of 3: SystemExit: out of cheese"
    )


def test_a_callback_that_exits_is_answered(queues: Queues) -> None:
    app = Flask("workflow")
    Guard(AuthSettings(token="a-token-of-the-tests")).install(app)
    app.register_blueprint(create_blueprint())
    stage = ExitsWhenCalled()
    stage.start()
    answer = app.test_client().post(
        f"/_ah/pipeline/callback?pipeline_id={stage.pipeline_id}",
        headers={"Authorization": "Bearer a-token-of-the-tests"},
    )
    assert answer.status_code == 500
