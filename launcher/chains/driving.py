"""Driving one job: launching it once, asking for its state, and deciding what follows.

`drive` may be called at any time, twice, by two processes at once, and may be killed anywhere. It
reads what it decides upon in a transaction. Before a launch it records a claim, so that no other
process launches the job. A process that finds an expired claim first looks whether the job exists.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Literal, TypeVar

from dfpipe.datastore import run_in_transaction
from launcher.chains.chains import Step
from launcher.chains.context import Context
from launcher.chains.executions import look_task
from launcher.chains.places import filled
from launcher.chains.records import (
    LONGEST_ERROR,
    SKIPPED,
    SUCCEEDED,
    ExecutionRecord,
    JobRecord,
    has_become,
)
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
from service.times import rfc3339

NOT_KNOWN = timedelta(minutes=10)  # how long the service may not know a job that was launched
MOST_BACKOFF = 86_400.0  # seconds
MOST_TRIES = 20  # of the steps that the launcher does itself
OWN_KINDS = ("check", "note")

Result = TypeVar("Result")

Action = Literal["none", "launch", "find", "watch"]
_logger = logging.getLogger(__name__)


def prepare(context: Context, execution_id: str, name: str, pipeline_id: str, unmet: str) -> None:
    """Make the record of a step's job, or take up the one of an earlier attempt of the execution.

    `unmet` says why the step cannot start; it is empty if the step can start.
    """
    records = context.records

    def change() -> None:
        execution = records.execution(execution_id)
        job = records.job(f"{execution_id}/{name}")
        if execution is None or (job is not None and job.pipeline_id == pipeline_id):
            return
        if job is None:
            now = context.now()
            kind = execution.step(name).kind
            job = JobRecord(
                id=f"{execution_id}/{name}",
                execution=execution_id,
                step=name,
                kind=kind,
                created=now,
            )
        elif job.is_over and job.state != SUCCEEDED:
            job = _again(job)
        job = replace(job, pipeline_id=pipeline_id)
        if unmet and not job.is_over:
            job = replace(job, state=SKIPPED, error=unmet, ended=context.now())
        records.put_job(job)

    run_in_transaction(context.service.client, change)


def _again(job: JobRecord) -> JobRecord:
    """A job as its next attempt begins."""
    # A job that was skipped has not used an attempt.
    used = 1 if job.tries else 0
    return JobRecord(
        id=job.id,
        execution=job.execution,
        step=job.step,
        kind=job.kind,
        created=job.created,
        attempt=job.attempt + used,
        base=job.attempt + used - 1,
        pipeline_id=job.pipeline_id,
    )


def drive(context: Context, job_id: str) -> JobRecord | None:
    """Drive a job as far as possible now; returns its record afterwards.

    Raises nothing if the runner cannot answer: a later call tries again.
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
        action, execution, job = self._transact(self._decide)
        if execution is None or job is None or action == "none":
            return "none"
        runner = self._context.runners[job.kind]
        try:
            if action == "watch":
                self._watch(runner, execution, job)
            else:
                self._launch(runner, execution, job, action)
        except UnavailableError as error:
            self._put_off(job, error)
        return action

    # Deciding, in a transaction

    def _decide(self) -> tuple[Action, ExecutionRecord | None, JobRecord | None]:
        job = self._records.job(self._id)
        execution = self._records.execution(job.execution) if job else None
        if job is None or execution is None or job.is_over:
            return "none", execution, job
        now = self._context.now()
        if job.job_id:
            return "watch", execution, self._watched(execution, job)
        if job.tries and self._is_claimed(job):
            return "none", execution, job
        if not job.tries:
            if execution.is_cancelled or execution.is_stopped:
                self._end_unlaunched(execution, job)
                return "none", execution, job
            if job.not_before is not None and job.not_before > now:
                return "none", execution, job
        return self._claim(execution, job)

    def _is_claimed(self, job: JobRecord) -> bool:
        if job.claimed_until is None:
            return False
        # A claim that lasts longer is from before the clock was set back.
        return timedelta() < job.claimed_until - self._context.now() <= self._context.settings.claim

    def _watched(self, execution: ExecutionRecord, job: JobRecord) -> JobRecord:
        """Mark a job that has exceeded its time limit."""
        now = self._context.now()
        if job.deadline is None or job.deadline > now or job.is_late:
            return job
        late = replace(job, is_late=True)
        self._records.put_job(late)
        return late

    def _claim(
        self, execution: ExecutionRecord, job: JobRecord
    ) -> tuple[Action, ExecutionRecord, JobRecord]:
        claimed = replace(
            job,
            tries=job.tries + 1,
            claimed_until=self._context.now() + self._context.settings.claim,
            name=job.name or f"{execution.id}-{job.step}-{job.attempt}",
        )
        self._records.put_job(claimed)
        return "find" if job.tries else "launch", execution, claimed

    def _end_unlaunched(self, execution: ExecutionRecord, job: JobRecord) -> None:
        state = JobState.CANCELLED.value if execution.is_cancelled else SKIPPED
        error = job.error or "not started: " + (execution.error or "the execution was cancelled")
        ended = replace(job, state=state, error=error, ended=self._context.now())
        self._records.put_job(ended)

    # Launching

    def _launch(
        self, runner: Runner, execution: ExecutionRecord, job: JobRecord, action: Action
    ) -> None:
        spec = None
        try:
            spec = spec_of(self._context, execution, job)
            status = runner.find(spec) if action == "find" else None
            if status is None and (execution.is_cancelled or execution.is_stopped):
                self._transact(lambda: self._end_missing(execution, job))
                return
            status = status or runner.launch(spec)
        except LaunchRefusedError as error:
            status = JobStatus(job_id="", state=JobState.FAILED, error=str(error))
        except UnavailableError as error:
            if job.kind not in OWN_KINDS or job.tries < MOST_TRIES:
                raise
            status = JobStatus(job_id="", state=JobState.FAILED, error=str(error))
        link = runner.log_link(spec, status.job_id) if spec and status.job_id else ""
        if not self._launched(job, status, link) and not status.state.is_over:
            # The claim expired during the launch, as on a laptop that slept.
            _logger.warning("%s was launched too late: its job is cancelled", self._id)
            _cancel(runner, replace(job, job_id=status.job_id))

    def _end_missing(self, execution: ExecutionRecord, seen: JobRecord) -> None:
        job = self._records.job(self._id)
        if job is not None and (job.tries, job.job_id) == (seen.tries, "") and not job.is_over:
            self._end_unlaunched(execution, job)

    def _launched(self, seen: JobRecord, status: JobStatus, link: str) -> bool:
        """Store the launch; returns whether the job is still wanted."""
        limit = self._step_of(seen).time_limit

        def change() -> bool:
            job = self._records.job(self._id)
            if job is None or job.attempt != seen.attempt or (job.is_over and not job.job_id):
                return False
            if job.is_over or job.job_id:
                return True  # another process has stored it
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
            return True

        return self._transact(change)

    def _put_off(self, job: JobRecord, error: UnavailableError) -> None:
        """Give up the claim, so that the next call tries again."""
        _logger.warning("%s cannot be reached: %s", self._id, error)

        def change() -> None:
            now = self._records.job(self._id)
            if now is not None and not now.job_id and now.tries == job.tries:
                self._records.put_job(replace(now, claimed_until=None, warning=str(error)))

        self._transact(change)

    # Watching

    def _watch(self, runner: Runner, execution: ExecutionRecord, job: JobRecord) -> None:
        warning = ""
        try:
            status = runner.state(job.name, job.job_id)
            if not status.state.is_over and (execution.is_cancelled or job.is_late):
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
        """Store what is new: the state of the job, if it is known, and a warning."""
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
        execution = self._records.execution(job.execution)
        assert execution is not None
        step = execution.step(job.step)
        state, error = status.state, status.error
        if job.is_late and state is not JobState.SUCCEEDED:
            state, error = JobState.FAILED, f"it took longer than its {step.time_limit:g} s"
        is_free = not (execution.is_cancelled or execution.is_stopped)
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
            self._failed(execution, step, ended)

    def _next_attempt(self, job: JobRecord, step: Step, used: int, error: str) -> JobRecord:
        seconds = min(step.backoff * 2.0 ** (used - 1), MOST_BACKOFF)
        self._context.add(self._context.look_task(job.pipeline_id, seconds), in_transaction=True)
        again = replace(_again(job), base=job.base, pipeline_id=job.pipeline_id, error=error)
        return replace(again, not_before=self._context.now() + timedelta(seconds=seconds))

    def _failed(self, execution: ExecutionRecord, step: Step, job: JobRecord) -> None:
        """Stop or cancel the rest of the execution, if the step says so."""
        if step.on_failure in ("ignore", "skip") or execution.is_stopped:
            return
        error = f"step {step.name} {has_become(job.state)}" + (
            f": {job.error}" if job.error else ""
        )
        cancels = step.on_failure == "cancel"
        self._records.put_execution(
            replace(
                execution,
                is_stopped=True,
                is_cancelled=execution.is_cancelled or cancels,
                error=error,
            )
        )
        if cancels:
            self._context.add(look_task(self._context, execution.id), in_transaction=True)

    def _step_of(self, job: JobRecord) -> Step:
        execution = self._records.execution(job.execution)
        assert execution is not None
        return execution.step(job.step)

    def _transact(self, step: Callable[[], Result]) -> Result:
        return run_in_transaction(self._context.service.client, step)


def _cancel(runner: Runner, job: JobRecord) -> str:
    """Ask that a job ends; returns why that was refused, or nothing."""
    try:
        runner.cancel(job.name, job.job_id)
    except CancelRefusedError as error:
        return f"cannot be cancelled: {error}"
    return ""


def spec_of(context: Context, execution: ExecutionRecord, job: JobRecord) -> JobSpec:
    """The spec to launch for a job. Raises LaunchRefusedError for a placeholder without a value."""
    step = execution.step(job.step)
    values = _values(context, execution)
    try:
        return JobSpec(
            name=job.name,
            kind=step.kind,
            slot=execution.slot,
            template=filled(step.template, values),
            command=tuple(filled(word, values) for word in step.command),
            parameters={name: filled(text, values) for name, text in step.parameters.items()},
            labels={
                "launcher-run": execution.id,
                "launcher-step": step.name,
                "launcher-attempt": str(job.attempt),
            },
        )
    except KeyError as error:
        raise LaunchRefusedError(f"there is no value for {{{error.args[0]}}}") from error


def _values(context: Context, execution: ExecutionRecord) -> dict[str, str]:
    settings = context.settings
    values = {
        "slot": rfc3339(execution.slot),
        "execution": execution.id,
        "run": execution.id,
        "chain": execution.chain,
        "store": settings.store,
        "warehouse": settings.warehouse,
        "project": settings.dataflow.project,
        "region": settings.dataflow.region,
    }
    for job in context.records.jobs(execution.id):
        values |= {f"{job.step}.{name}": str(value) for name, value in job.outputs.items()}
    return values
