"""Driving one job on: launching it once, asking how it stands, and deciding what follows.

`drive` may be called at any time, twice, by two processes at once, and may be killed anywhere. What
it decides upon it reads in a transaction. Before a job is launched the launch is claimed for a
while, so that nobody else does it; who comes after a claim that was not kept looks first whether
the job is there.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Literal, TypeVar

from dfpipe.datastore import run_in_transaction
from launcher.chains import slots
from launcher.chains.context import Context
from launcher.chains.places import filled
from launcher.chains.records import (
    LONGEST_ERROR,
    SKIPPED,
    SUCCEEDED,
    JobRecord,
    RunRecord,
    Step,
    has_become,
)
from launcher.chains.runs import look_task
from launcher.jobs import (
    CancelRefusedError,
    JobSpec,
    JobState,
    JobStatus,
    LaunchRefusedError,
    Runner,
    UnavailableError,
    UnknownJobError,
)

NOT_KNOWN = timedelta(minutes=10)  # how long a job that was launched may not be known
MOST_BACKOFF = 86_400.0  # seconds
MOST_TRIES = 20  # of what the launcher does itself
OWN_KINDS = ("check", "note")

Result = TypeVar("Result")

Action = Literal["none", "launch", "find", "watch"]
_logger = logging.getLogger(__name__)


def prepare(context: Context, run_id: str, name: str, pipeline_id: str, unmet: str) -> None:
    """Make the record of a step's job, or take up the one of an earlier attempt of the run.

    `unmet` says why the step is not to start; empty where it is.
    """
    records = context.records

    def change() -> None:
        run = records.run(run_id)
        job = records.job(f"{run_id}/{name}")
        if run is None or (job is not None and job.pipeline_id == pipeline_id):
            return
        if job is None:
            now = context.now()
            kind = run.step(name).kind
            job = JobRecord(id=f"{run_id}/{name}", run=run_id, step=name, kind=kind, created=now)
        elif job.is_over and job.state != SUCCEEDED:
            job = _again(job)
        job = replace(job, pipeline_id=pipeline_id)
        if unmet and not job.is_over:
            job = replace(job, state=SKIPPED, error=unmet, ended=context.now())
        records.put_job(job)

    run_in_transaction(context.service.client, change)


def _again(job: JobRecord) -> JobRecord:
    """A job as its next attempt begins."""
    # One that was never to be launched has used up no attempt.
    used = 1 if job.tries else 0
    return JobRecord(
        id=job.id,
        run=job.run,
        step=job.step,
        kind=job.kind,
        created=job.created,
        attempt=job.attempt + used,
        base=job.attempt + used - 1,
        pipeline_id=job.pipeline_id,
    )


def drive(context: Context, job_id: str) -> JobRecord | None:
    """Drive a job on as far as it goes now; returns it as it stands then.

    Raises nothing for a runner that cannot answer: somebody is to call again.
    """
    action = _Driver(context, job_id).step()
    if action != "none":
        level = logging.DEBUG if action == "watch" else logging.INFO
        _logger.log(level, "job looked at", extra={"job": job_id, "action": action})
    return context.records.job(job_id)


class _Driver:
    def __init__(self, context: Context, job_id: str) -> None:
        self._context = context
        self._records = context.records
        self._id = job_id

    def step(self) -> Action:
        action, run, job = self._transact(self._decide)
        if run is None or job is None or action == "none":
            return "none"
        runner = self._context.runners[job.kind]
        try:
            if action == "watch":
                self._watch(runner, run, job)
            else:
                self._launch(runner, run, job, action)
        except UnavailableError as error:
            self._put_off(job, error)
        return action

    # Deciding, in a transaction

    def _decide(self) -> tuple[Action, RunRecord | None, JobRecord | None]:
        job = self._records.job(self._id)
        run = self._records.run(job.run) if job else None
        if job is None or run is None or job.is_over:
            return "none", run, job
        now = self._context.now()
        if job.job_id:
            return "watch", run, self._watched(run, job)
        if job.tries and job.claimed_until is not None and job.claimed_until > now:
            return "none", run, job
        if not job.tries:
            if run.is_cancelled or run.is_stopped:
                self._end_unlaunched(run, job)
                return "none", run, job
            if job.not_before is not None and job.not_before > now:
                return "none", run, job
        return self._claim(run, job)

    def _watched(self, run: RunRecord, job: JobRecord) -> JobRecord:
        """Mark a job that has had its time."""
        now = self._context.now()
        if job.deadline is None or job.deadline > now or job.is_late:
            return job
        late = replace(job, is_late=True)
        self._records.put_job(late)
        return late

    def _claim(self, run: RunRecord, job: JobRecord) -> tuple[Action, RunRecord, JobRecord]:
        claimed = replace(
            job,
            tries=job.tries + 1,
            claimed_until=self._context.now() + self._context.settings.claim,
            name=job.name or f"{run.id}-{job.step}-{job.attempt}",
        )
        self._records.put_job(claimed)
        return "find" if job.tries else "launch", run, claimed

    def _end_unlaunched(self, run: RunRecord, job: JobRecord) -> None:
        state = JobState.CANCELLED.value if run.is_cancelled else SKIPPED
        error = job.error or "not started: " + (run.error or "the run was cancelled")
        ended = replace(job, state=state, error=error, ended=self._context.now())
        self._records.put_job(ended)

    # Launching

    def _launch(self, runner: Runner, run: RunRecord, job: JobRecord, action: Action) -> None:
        spec = None
        try:
            spec = spec_of(self._context, run, job)
            status = runner.find(spec) if action == "find" else None
            if status is None and (run.is_cancelled or run.is_stopped):
                self._transact(lambda: self._end_unlaunched(run, job))
                return
            status = status or runner.launch(spec)
        except LaunchRefusedError as error:
            status = JobStatus(job_id="", state=JobState.FAILED, error=str(error))
        except UnavailableError as error:
            if job.kind not in OWN_KINDS or job.tries < MOST_TRIES:
                raise
            status = JobStatus(job_id="", state=JobState.FAILED, error=str(error))
        link = runner.log_link(spec, status.job_id) if spec and status.job_id else ""
        self._launched(job, status, link)

    def _launched(self, seen: JobRecord, status: JobStatus, link: str) -> None:
        limit = self._step_of(seen).limit

        def change() -> None:
            job = self._records.job(self._id)
            if job is None or job.is_over or job.attempt != seen.attempt or job.job_id:
                return
            now = self._context.now()
            job = replace(
                job,
                job_id=status.job_id,
                started=now,
                log_link=link,
                warning="",
                deadline=now + timedelta(seconds=limit) if limit else None,
                state=JobState.WAITING.value if status.state.is_over else status.state.value,
            )
            if status.state.is_over:
                self._ended(job, status)
            else:
                self._records.put_job(job)

        self._transact(change)

    def _put_off(self, job: JobRecord, error: UnavailableError) -> None:
        """Give up the claim: who comes next tries again."""
        _logger.warning("%s cannot be reached: %s", self._id, error)

        def change() -> None:
            now = self._records.job(self._id)
            if now is not None and not now.job_id and now.tries == job.tries:
                self._records.put_job(replace(now, claimed_until=None, warning=str(error)))

        self._transact(change)

    # Watching

    def _watch(self, runner: Runner, run: RunRecord, job: JobRecord) -> None:
        warning = ""
        try:
            status = runner.state(job.name, job.job_id)
            if not status.state.is_over and (run.is_cancelled or job.is_late):
                warning = _cancel(runner, job)
                status = runner.state(job.name, job.job_id)
        except (LaunchRefusedError, UnavailableError) as error:
            self._seen(job, None, f"cannot be watched: {error}")
            return
        except UnknownJobError as error:
            now = self._context.now()
            if job.started is None or now - job.started < NOT_KNOWN:
                return
            status = JobStatus(job_id=job.job_id, state=JobState.FAILED, error=str(error))
        self._seen(job, status, warning)

    def _seen(self, seen: JobRecord, status: JobStatus | None, warning: str) -> None:
        """Store what is new: how the job stands, if that is known, and what to warn of."""
        warning = warning[:LONGEST_ERROR]
        if warning:
            _logger.warning("%s %s", self._id, warning)

        def change() -> None:
            job = self._records.job(self._id)
            if job is None or job.is_over or (job.attempt, job.name) != (seen.attempt, seen.name):
                return
            if status is not None and status.state.is_over:
                self._ended(job, status)
                return
            now = replace(job, warning=warning)
            if status is not None:
                now = replace(now, state=status.state.value, job_id=status.job_id or job.job_id)
            if now != job:
                self._records.put_job(now)

        known = JobStatus(job_id=seen.job_id, state=JobState(seen.state))
        if (status or known) != known or warning != seen.warning:
            self._transact(change)

    # The end of an attempt, in a transaction

    def _ended(self, job: JobRecord, status: JobStatus) -> None:
        run = self._records.run(job.run)
        assert run is not None
        step = run.step(job.step)
        state, error = status.state, status.error
        if job.is_late and state is not JobState.SUCCEEDED:
            state, error = JobState.FAILED, f"it took longer than its {step.limit:g} s"
        is_free = not (run.is_cancelled or run.is_stopped)
        used = job.attempt - job.base
        if state is JobState.FAILED and used <= step.retries and is_free:
            self._records.put_job(self._next_attempt(job, step, used, error))
            return
        ended = replace(
            job,
            state=state.value,
            error=error,
            warning="",
            ended=self._context.now(),
            outputs={**status.outputs, "job_id": status.job_id or job.job_id, "name": job.name},
        )
        self._records.put_job(ended)
        if state is not JobState.SUCCEEDED:
            self._failed(run, step, ended)

    def _next_attempt(self, job: JobRecord, step: Step, used: int, error: str) -> JobRecord:
        seconds = min(step.backoff * 2.0 ** (used - 1), MOST_BACKOFF)
        self._context.add(self._context.look_task(job.pipeline_id, seconds), in_transaction=True)
        again = replace(_again(job), base=job.base, pipeline_id=job.pipeline_id, error=error)
        return replace(again, not_before=self._context.now() + timedelta(seconds=seconds))

    def _failed(self, run: RunRecord, step: Step, job: JobRecord) -> None:
        """Let the rest of the run know what the failure means for it."""
        if step.on_failure in ("ignore", "skip") or run.is_stopped:
            return
        error = f"step {step.name} {has_become(job.state)}" + (
            f": {job.error}" if job.error else ""
        )
        cancels = step.on_failure == "cancel"
        self._records.put_run(
            replace(run, is_stopped=True, is_cancelled=run.is_cancelled or cancels, error=error)
        )
        if cancels:
            self._context.add(look_task(self._context, run.id), in_transaction=True)

    def _step_of(self, job: JobRecord) -> Step:
        run = self._records.run(job.run)
        assert run is not None
        return run.step(job.step)

    def _transact(self, step: Callable[[], Result]) -> Result:
        return run_in_transaction(self._context.service.client, step)


def _cancel(runner: Runner, job: JobRecord) -> str:
    """Ask that a job ends; returns why that was refused, or nothing."""
    try:
        runner.cancel(job.name, job.job_id)
    except CancelRefusedError as error:
        return f"cannot be cancelled: {error}"
    return ""


def spec_of(context: Context, run: RunRecord, job: JobRecord) -> JobSpec:
    """What is to be launched for a job. Raises LaunchRefusedError for a place without a value."""
    step = run.step(job.step)
    values = _values(context, run)
    try:
        return JobSpec(
            name=job.name,
            kind=step.kind,
            slot=run.slot,
            template=filled(step.template, values),
            command=tuple(filled(word, values) for word in step.command),
            parameters={name: filled(text, values) for name, text in step.parameters.items()},
            labels={
                "launcher-run": run.id,
                "launcher-step": step.name,
                "launcher-attempt": str(job.attempt),
            },
        )
    except KeyError as error:
        raise LaunchRefusedError(f"there is no value for {{{error.args[0]}}}") from error


def _values(context: Context, run: RunRecord) -> dict[str, str]:
    settings = context.settings
    values = {
        "slot": slots.written(run.slot),
        "run": run.id,
        "chain": run.chain,
        "store": settings.store,
        "warehouse": settings.warehouse,
        "project": settings.dataflow.project,
        "region": settings.dataflow.region,
    }
    for job in context.records.jobs(run.id):
        values |= {f"{job.step}.{name}": str(value) for name, value in job.outputs.items()}
    return values
