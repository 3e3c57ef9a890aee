"""The executions as the pages show them, made from the records of executions and jobs."""

import threading
from collections import OrderedDict
from collections.abc import Sequence

from launcher.chains.chains import Step
from launcher.chains.records import RUNNING, SKIPPED, WAITING, ExecutionRecord, JobRecord, Records
from launcher.views.executions import ExecutionView, JobView

MOST_KEPT = 200  # executions
RunKey = tuple[str, int, str]


class Board:
    """Reads the records of executions, and caches those that have ended."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._lock = threading.Lock()
        self._kept: OrderedDict[RunKey, ExecutionView] = OrderedDict()

    def newest(self, limit: int) -> Sequence[ExecutionView]:
        """At most so many executions, newest first."""
        return [self._view(execution) for execution in self._records.executions(limit)]

    def find(self, execution_id: str) -> ExecutionView | None:
        """The execution of that id; None if there is none."""
        execution = self._records.execution(execution_id)
        return self._view(execution) if execution else None

    def _view(self, execution: ExecutionRecord) -> ExecutionView:
        key = (execution.id, execution.attempt, execution.state)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        jobs = self._records.jobs(execution.id)
        view = execution_view(execution, jobs)
        if execution.is_over and all(job.is_over for job in jobs):
            with self._lock:
                self._kept[key] = view
                while len(self._kept) > MOST_KEPT:
                    self._kept.popitem(last=False)
        return view


def execution_view(execution: ExecutionRecord, jobs: Sequence[JobRecord]) -> ExecutionView:
    """An execution with a job for each of its steps, in the order of the file."""
    found = {job.step: job for job in jobs}
    return ExecutionView(
        id=execution.id,
        chain=execution.chain,
        slot=execution.slot,
        state=execution.state,
        attempt=execution.attempt,
        is_cancelled=execution.is_cancelled,
        created=execution.created,
        started=execution.started,
        ended=execution.ended,
        may_change=execution.state in (WAITING, RUNNING),
        error=execution.error,
        jobs=tuple(_job_view(step, found.get(step.name), execution) for step in execution.steps),
    )


def _job_view(step: Step, job: JobRecord | None, execution: ExecutionRecord) -> JobView:
    if job is None:
        state = SKIPPED if execution.is_over else WAITING
        return JobView(name=step.name, kind=step.kind, state=state, needs=step.needs)
    return JobView(
        name=step.name,
        kind=step.kind,
        state=job.state,
        needs=step.needs,
        attempt=job.attempt,
        started=job.started,
        ended=job.ended,
        error=job.warning or job.error,
        job_name=job.name,
        job_id=job.job_id,
        log_link=job.log_link,
    )
