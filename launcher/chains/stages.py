"""A chain as a workflow: a generator, and an asynchronous stage for each of its steps."""

import hashlib
import logging
from typing import Any

from launcher.chains.context import POLL, current
from launcher.chains.driving import drive, prepare
from launcher.chains.executions import Executions
from launcher.chains.records import SUCCEEDED, ExecutionRecord, JobRecord, has_become
from workflow import Pipeline, PipelineExistsError

FIRST_POLL = 1.0  # seconds; they double up to the setting
MOST_DOUBLINGS = 30  # are longer than any setting; the power would overflow at the 1,024th poll
LOOKS = 8  # that follow an event: seconds double from 2
_PATIENT = {"max_attempts": 30, "backoff_seconds": 1, "backoff_factor": 1.3}
_logger = logging.getLogger(__name__)


class ChainStage(Pipeline):
    """The root stage of a workflow: an execution of a chain."""

    def run(self, execution_id: str, attempt: int) -> object:
        """Yield the steps, each with the results of the steps that it needs, and then the end."""
        execution = current().records.execution(execution_id)
        assert execution is not None
        results: dict[str, object] = {}
        for step in execution.steps:
            needed = [results[name] for name in step.needs]
            stage = StepStage(execution_id, step.name, *needed)
            results[step.name] = yield stage.with_params(**_PATIENT)
        yield EndStage(execution_id, attempt, *results.values()).with_params(**_PATIENT)

    def finalized(self) -> None:
        """End the execution when its workflow was aborted by hand."""
        if self.was_aborted:
            Executions(current()).finish(self.args[0], self.args[1], was_aborted=True)
        super().finalized()


class EndStage(Pipeline):
    """The end of an execution: every job is over."""

    def run(self, execution_id: str, attempt: int, *results: object) -> str:
        """Store how it ended, and start the next execution."""
        return Executions(current()).finish(execution_id, attempt)


class StepStage(Pipeline):
    """A step: tasks launch its job and watch it until it has ended."""

    async_ = True

    def run(self, execution_id: str, name: str, *results: Any) -> None:
        """Make the job's record and the first task that watches it."""
        context = current()
        execution = context.records.execution(execution_id)
        assert execution is not None
        assert self.pipeline_id is not None
        prepare(context, execution_id, name, self.pipeline_id, _unmet(execution, list(results)))
        self._add(POLL, 0, "", 0.0)

    def callback(  # type: ignore[override]  # the fields of its own tasks
        self, what: str = "", number: str = "0", key: str = ""
    ) -> None:
        """Drive the job; end the stage, or add the next task."""
        context = current()
        job = drive(context, f"{self.args[0]}/{self.args[1]}")
        if job is None or job.pipeline_id != self.pipeline_id:
            execution = context.records.execution(self.args[0])
            if execution is not None and execution.pipeline_id == self.root_pipeline_id:
                self.run(*self.args)  # its process ended before it had recorded the job
            return  # else removed, or of a later attempt of the execution
        if job.is_over:
            self.complete(_result(job))
        elif what == POLL:
            doubled = FIRST_POLL * 2.0 ** min(int(number), MOST_DOUBLINGS)
            seconds = min(doubled, context.settings.poll.total_seconds())
            self._add(POLL, int(number) + 1, key, seconds)
        elif key and int(number) < LOOKS:
            # An event can be ahead of the state that the service reports.
            self._add(what, int(number) + 1, key, 2.0 ** (int(number) + 1))

    def try_cancel(self) -> bool:
        """Cancel the execution when its workflow is aborted by hand."""
        context = current()
        execution = context.records.execution(self.args[0])
        if execution is not None and not execution.is_over and not execution.is_cancelled:
            Executions(context).cancel(self.args[0])
        return True

    def _add(self, what: str, number: int, key: str, seconds: float) -> None:
        """Add the next task, once, however often this one runs."""
        assert self.pipeline_id is not None
        digest = hashlib.sha256(f"{self.pipeline_id} {key}".encode()).hexdigest()[:32]
        params = {"what": what, "number": number, "key": key}
        name = f"{what}-{digest}-{number}"
        context = current()
        context.add(context.look_task(self.pipeline_id, seconds, params=params, name=name))


def start_workflow(execution: ExecutionRecord) -> None:
    """Start the workflow of an execution, unless it was started before."""
    try:
        stage = ChainStage(execution.id, execution.attempt).with_params(
            **_PATIENT, target=current().target
        )
        stage.start(idempotence_key=execution.pipeline_id, queue_name=current().settings.queue)
    except PipelineExistsError:
        _logger.debug("the workflow was started before: %s", execution.pipeline_id)


def _result(job: JobRecord) -> dict[str, str]:
    return {"step": job.step, "state": job.state}


def _unmet(execution: ExecutionRecord, results: list[dict[str, str]]) -> str:
    """Why a step cannot start after these results of what it needs; empty if it can."""
    for result in results:
        is_ignored = (
            execution.step(result["step"]).on_failure == "ignore" and result["state"] != "skipped"
        )
        if result["state"] != SUCCEEDED and not is_ignored:
            return f"not started: step {result['step']} {has_become(result['state'])}"
    return ""
