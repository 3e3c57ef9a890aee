"""A chain as a workflow: a generator, and an asynchronous stage for each of its steps."""

import hashlib
import logging
from typing import Any

from launcher.chains.context import POLL, current
from launcher.chains.driving import drive, prepare
from launcher.chains.records import SUCCEEDED, JobRecord, RunRecord, has_become
from launcher.chains.runs import Runs
from workflow import Pipeline, PipelineExistsError

FIRST_POLL = 1.0  # seconds; they double up to the setting
LOOKS = 8  # that follow an event: seconds double from 2
_PATIENT = {"max_attempts": 30, "backoff_seconds": 1, "backoff_factor": 1.3}
_logger = logging.getLogger(__name__)


class ChainStage(Pipeline):
    """A run of a chain."""

    def run(self, run_id: str, attempt: int) -> Any:
        """Yield the steps, each with the results of those that it needs, and then the end."""
        run = current().records.run(run_id)
        assert run is not None
        results: dict[str, Any] = {}
        for step in run.steps:
            needed = [results[name] for name in step.needs]
            stage = StepStage(run_id, step.name, *needed)
            results[step.name] = yield stage.with_params(**_PATIENT)
        yield EndStage(run_id, attempt, *results.values()).with_params(**_PATIENT)

    def finalized(self) -> None:
        """Where the workflow was aborted by hand, its run is over."""
        if self.was_aborted:
            Runs(current()).finish(self.args[0], self.args[1], was_aborted=True)
        super().finalized()


class EndStage(Pipeline):
    """The end of a run: every job is over."""

    def run(self, run_id: str, attempt: int, *results: Any) -> str:
        """Write how it ended, and let the next run begin."""
        return Runs(current()).finish(run_id, attempt)


class StepStage(Pipeline):
    """A step: its job is launched, and looked after by tasks until it is over."""

    async_ = True

    def run(self, run_id: str, name: str, *results: Any) -> None:
        """Make the job's record and the first of the tasks that look after it."""
        context = current()
        run = context.records.run(run_id)
        assert run is not None
        assert self.pipeline_id is not None
        prepare(context, run_id, name, self.pipeline_id, _unmet(run, list(results)))
        self._add(POLL, 0, "", 0.0)

    def callback(  # type: ignore[override]  # the words of its own tasks alone
        self, what: str = "", number: str = "0", key: str = ""
    ) -> None:
        """Drive the job on; end the stage, or come back later."""
        context = current()
        job = drive(context, f"{self.args[0]}/{self.args[1]}")
        if job is None or job.pipeline_id != self.pipeline_id:
            return  # gone, or that of a later attempt of the run
        if job.is_over:
            self.complete(_result(job))
        elif what == POLL:
            seconds = min(FIRST_POLL * 2.0 ** int(number), context.settings.poll.total_seconds())
            self._add(POLL, int(number) + 1, key, seconds)
        elif key and int(number) < LOOKS:
            # An event may be ahead of what the job's service tells.
            self._add(what, int(number) + 1, key, 2.0 ** (int(number) + 1))

    def try_cancel(self) -> bool:
        """Let the job be cancelled, where the workflow is aborted by hand."""
        context = current()
        run = context.records.run(self.args[0])
        if run is not None and not run.is_over and not run.is_cancelled:
            Runs(context).cancel(self.args[0])
        return True

    def _add(self, what: str, number: int, key: str, seconds: float) -> None:
        """Add the task that comes next, once however often this one runs."""
        assert self.pipeline_id is not None
        digest = hashlib.sha256(f"{self.pipeline_id} {key}".encode()).hexdigest()[:32]
        words = {"what": what, "number": number, "key": key}
        name = f"{what}-{digest}-{number}"
        context = current()
        context.add(context.look_task(self.pipeline_id, seconds, params=words, name=name))


def start_workflow(run: RunRecord) -> None:
    """Start the workflow of a run, unless it was started before."""
    try:
        stage = ChainStage(run.id, run.attempt).with_params(**_PATIENT, target=current().target)
        stage.start(idempotence_key=run.pipeline_id, queue_name=current().settings.queue)
    except PipelineExistsError:
        _logger.debug("the workflow was started before: %s", run.pipeline_id)


def _result(job: JobRecord) -> dict[str, str]:
    return {"step": job.step, "state": job.state}


def _unmet(run: RunRecord, results: list[dict[str, str]]) -> str:
    """Why a step with these results of what it needs is not to start; empty where it is."""
    for result in results:
        is_ignored = (
            run.step(result["step"]).on_failure == "ignore" and result["state"] != "skipped"
        )
        if result["state"] != SUCCEEDED and not is_ignored:
            return f"not started: step {result['step']} {has_become(result['state'])}"
    return ""
