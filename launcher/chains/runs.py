"""Starting, ending, cancelling and retrying runs of chains: each a transaction of its own."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from dfpipe.datastore import run_in_transaction
from dfpipe.errors import UsageError
from launcher.chains import slots
from launcher.chains.chains import Chain
from launcher.chains.context import LOOK_URL, START_URL, Context
from launcher.chains.records import (
    CANCELLED,
    FAILED,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    WAITING,
    JobRecord,
    RunRecord,
)
from taskqueue import Task

Result = TypeVar("Result")


class RefusedError(UsageError):
    """What was asked for cannot be done to that run as it stands; the message says why."""


class UnknownRunError(UsageError):
    """There is no run of that id."""


class Runs:
    """The runs of one launcher."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._records = context.records

    def start(self, chain: Chain, slot: datetime) -> RunRecord:
        """The run of a chain for a slot: a new one, or the one that was started before."""
        name = slots.run_id(chain.name, slot)
        found = self._records.run(name)
        if found is not None:
            return found

        def step() -> RunRecord:
            found = self._records.run(name)
            if found is not None:
                return found
            now = self._context.now()
            made = RunRecord(
                id=name, chain=chain.name, slot=slot, state=WAITING, created=now, steps=chain.steps
            )
            return self._admit(made)

        return self._transact(step)

    def retry(self, run_id: str) -> RunRecord:
        """Run again what has not succeeded of a run that is over. Raises RefusedError."""

        def step() -> RunRecord:
            run = self._known(run_id)
            if not run.is_over:
                raise RefusedError(f"the run {run_id} is {run.state}: cancel it, or wait")
            if run.state == SUCCEEDED:
                raise RefusedError(f"the run {run_id} has succeeded: there is nothing to retry")
            again = replace(
                run,
                attempt=run.attempt + 1,
                is_stopped=False,
                is_cancelled=False,
                error="",
                started=None,
                ended=None,
            )
            return self._admit(again)

        return self._transact(step)

    def cancel(self, run_id: str) -> RunRecord:
        """Launch nothing more of a run, and ask its jobs to end. Raises RefusedError."""

        def step() -> RunRecord:
            run = self._known(run_id)
            if run.is_over:
                raise RefusedError(f"the run {run_id} is over: it is {run.state}")
            if run.state == RUNNING:
                return self._cancel_running(run)
            current, waiting = self._records.place(run.chain)
            waiting = tuple(each for each in waiting if each != run_id)
            self._records.put_place(run.chain, current, waiting)
            return self._end(run, CANCELLED)

        return self._transact(step)

    def finish(self, run_id: str, attempt: int, was_aborted: bool = False) -> str:
        """Write how a run has ended, let the next one begin; returns its state."""

        def step() -> str:
            run = self._known(run_id)
            if run.is_over or run.attempt != attempt:
                return run.state
            jobs = {each.name: self._records.job(f"{run.id}/{each.name}") for each in run.steps}
            place = self._records.place(run.chain)
            following = self._records.run(place[1][0]) if place[1] else None
            if was_aborted:
                run = replace(run, is_cancelled=True, is_stopped=True)
            ended = self._end(run, _outcome(run, jobs))
            if place[0] == run.id:
                self._records.put_place(run.chain, following.id if following else "", place[1][1:])
                if following:
                    self._go(following)
            return ended.state

        return self._transact(step)

    def _admit(self, run: RunRecord) -> RunRecord:
        """Let a run begin, wait for the one that has the chain, or be skipped."""
        current, waiting = self._records.place(run.chain)
        if not current:
            self._records.put_place(run.chain, run.id, ())
            return self._go(run)
        overlap = self._context.settings.overlap
        if overlap == "skip":
            return self._end(replace(run, error=f"{current} was still running"), SKIPPED)
        passed = [self._records.run(each) for each in waiting] if overlap == "cancel" else []
        before = self._records.run(current) if overlap == "cancel" else None
        for each in passed:
            if each is not None:
                self._end(replace(each, error=f"{run.id} came"), SKIPPED)
        if before is not None and not before.is_cancelled:
            self._cancel_running(before)
        waiting = () if overlap == "cancel" else waiting
        self._records.put_place(run.chain, current, (*waiting, run.id))
        self._records.put_run(replace(run, state=WAITING))
        return replace(run, state=WAITING)

    def _go(self, run: RunRecord) -> RunRecord:
        begun = replace(run, state=RUNNING, started=self._context.now())
        self._records.put_run(begun)
        self._context.add(start_task(self._context, begun), in_transaction=True)
        return begun

    def _end(self, run: RunRecord, state: str) -> RunRecord:
        ended = replace(run, state=state, ended=self._context.now())
        self._records.put_run(ended)
        return ended

    def _cancel_running(self, run: RunRecord) -> RunRecord:
        cancelled = replace(run, is_cancelled=True, is_stopped=True)
        self._records.put_run(cancelled)
        self._context.add(look_task(self._context, run.id), in_transaction=True)
        return cancelled

    def _known(self, run_id: str) -> RunRecord:
        run = self._records.run(run_id)
        if run is None:
            raise UnknownRunError(f"there is no run {run_id[:100]!r}: GET /api/runs lists them")
        return run

    def _transact(self, step: Callable[[], Result]) -> Result:
        return run_in_transaction(self._context.service.client, step)


def start_task(context: Context, run: RunRecord) -> Task:
    """The task that starts the workflow of a run."""
    params = {"run": run.id, "attempt": run.attempt}
    return Task(url=START_URL, params=params, target=context.target)


def look_task(context: Context, run_id: str) -> Task:
    """The task of `look_at`: one, however many jobs, as a transaction may add only a few."""
    return Task(url=LOOK_URL, params={"run": run_id}, target=context.target)


def look_at(context: Context, run_id: str) -> None:
    """Let the steps of a run look at their jobs that are not over."""
    for job in context.records.jobs(run_id):
        if not job.is_over and job.pipeline_id:
            context.add(context.look_task(job.pipeline_id))


def _outcome(run: RunRecord, jobs: dict[str, JobRecord | None]) -> str:
    if run.error:
        return FAILED
    if run.is_cancelled:
        return CANCELLED
    for name, job in jobs.items():
        is_ignored = run.step(name).on_failure == "ignore"
        if not is_ignored and (job is None or job.state != SUCCEEDED):
            return FAILED
    return SUCCEEDED
