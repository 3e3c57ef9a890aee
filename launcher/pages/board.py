"""The chains as the pages show them, made from what is stored of runs and jobs."""

import threading
from collections import OrderedDict
from collections.abc import Sequence

from launcher.chains.records import RUNNING, SKIPPED, WAITING, JobRecord, Records, RunRecord, Step
from launcher.views.chains import ChainView, JobView

MOST_KEPT = 200  # runs
RunKey = tuple[str, int, str]


class Board:
    """Reads the records of runs; those that are over are kept, as they change no more."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._lock = threading.Lock()
        self._kept: OrderedDict[RunKey, ChainView] = OrderedDict()

    def newest(self, limit: int) -> Sequence[ChainView]:
        """The runs that were made last, newest first."""
        return [self._view(run) for run in self._records.runs(limit)]

    def find(self, run_id: str) -> ChainView | None:
        """A run by its id."""
        run = self._records.run(run_id)
        return self._view(run) if run else None

    def _view(self, run: RunRecord) -> ChainView:
        key = (run.id, run.attempt, run.state)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        jobs = self._records.jobs(run.id)
        view = chain_view(run, jobs)
        if run.is_over and all(job.is_over for job in jobs):
            with self._lock:
                self._kept[key] = view
                while len(self._kept) > MOST_KEPT:
                    self._kept.popitem(last=False)
        return view


def chain_view(run: RunRecord, jobs: Sequence[JobRecord]) -> ChainView:
    """A run with a job for each of its steps, in the order of the file."""
    found = {job.step: job for job in jobs}
    return ChainView(
        id=run.id,
        chain=run.chain,
        slot=run.slot,
        state=run.state,
        attempt=run.attempt,
        is_cancelled=run.is_cancelled,
        created=run.created,
        started=run.started,
        ended=run.ended,
        goes_on=run.state in (WAITING, RUNNING),
        error=run.error,
        jobs=tuple(_job_view(step, found.get(step.name), run) for step in run.steps),
    )


def _job_view(step: Step, job: JobRecord | None, run: RunRecord) -> JobView:
    if job is None:
        state = SKIPPED if run.is_over else WAITING
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
