"""Starting, ending, cancelling and retrying executions: each a transaction of its own."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from dfpipe.datastore import run_in_transaction
from dfpipe.errors import UsageError
from launcher import slots
from launcher.chains.chains import Chain
from launcher.chains.context import LOOK_URL, START_URL, Context
from launcher.chains.records import (
    CANCELLED,
    FAILED,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    WAITING,
    ExecutionRecord,
    JobRecord,
)
from taskqueue import Task

Result = TypeVar("Result")


class RefusedError(UsageError):
    """The state of the execution does not allow the change; the message says why."""


class UnknownExecutionError(UsageError):
    """There is no execution of that id."""


class Executions:
    """Starts, cancels and continues the executions of chains."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._records = context.records

    def start(self, chain: Chain, slot: datetime) -> ExecutionRecord:
        """The execution of a chain for a slot: a new one, or the one that was started before."""
        name = slots.execution_id(chain.name, slot)
        found = self._records.execution(name)
        if found is not None:
            return found

        def step() -> ExecutionRecord:
            found = self._records.execution(name)
            if found is not None:
                return found
            now = self._context.now()
            made = ExecutionRecord(
                id=name, chain=chain.name, slot=slot, state=WAITING, created=now, steps=chain.steps
            )
            return self._admit(made)

        return self._transact(step)

    def retry(self, execution_id: str) -> ExecutionRecord:
        """Execute again the steps that did not succeed. Raises RefusedError unless it has ended."""

        def step() -> ExecutionRecord:
            execution = self._known(execution_id)
            if not execution.is_over:
                raise RefusedError(
                    f"the execution {execution_id} is {execution.state}: cancel it first, or wait"
                )
            if execution.state == SUCCEEDED:
                raise RefusedError(f"the execution {execution_id} has succeeded: nothing to retry")
            again = replace(
                execution,
                attempt=execution.attempt + 1,
                is_stopped=False,
                is_cancelled=False,
                error="",
                started=None,
                ended=None,
            )
            return self._admit(again)

        return self._transact(step)

    def cancel(self, execution_id: str) -> ExecutionRecord:
        """Launch no further jobs and cancel the running ones. Raises RefusedError."""

        def step() -> ExecutionRecord:
            execution = self._known(execution_id)
            if execution.is_over:
                raise RefusedError(
                    f"the execution {execution_id} has ended: it is {execution.state}"
                )
            if execution.state == RUNNING:
                return self._cancel_running(execution)
            current, waiting = self._records.place(execution.chain)
            waiting = tuple(each for each in waiting if each != execution_id)
            self._records.put_place(execution.chain, current, waiting)
            return self._end(execution, CANCELLED)

        return self._transact(step)

    def finish(self, execution_id: str, attempt: int, was_aborted: bool = False) -> str:
        """Store how an execution has ended and start the next one; returns its state."""

        def step() -> str:
            execution = self._known(execution_id)
            if execution.is_over or execution.attempt != attempt:
                return execution.state
            jobs = {
                each.name: self._records.job(f"{execution.id}/{each.name}")
                for each in execution.steps
            }
            place = self._records.place(execution.chain)
            following = self._records.execution(place[1][0]) if place[1] else None
            if was_aborted:
                execution = replace(execution, is_cancelled=True, is_stopped=True)
            ended = self._end(execution, _outcome(execution, jobs))
            if place[0] == execution.id:
                self._records.put_place(
                    execution.chain, following.id if following else "", place[1][1:]
                )
                if following:
                    self._go(following)
            return ended.state

        return self._transact(step)

    def _admit(self, execution: ExecutionRecord) -> ExecutionRecord:
        """Start an execution, let it wait for the current one of its chain, or skip it."""
        current, waiting = self._records.place(execution.chain)
        if not current:
            self._records.put_place(execution.chain, execution.id, ())
            return self._go(execution)
        overlap = self._context.settings.overlap
        if overlap == "skip":
            return self._end(replace(execution, error=f"{current} was still running"), SKIPPED)
        # Of several slots that came meanwhile, only the newest is worth its start.
        passed = [self._records.execution(each) for each in waiting] if overlap == "cancel" else []
        before = self._records.execution(current) if overlap == "cancel" else None
        for each in passed:
            if each is not None:
                self._end(replace(each, error=f"the slot of {execution.id} began"), SKIPPED)
        if before is not None and not before.is_cancelled:
            self._cancel_running(before)
        waiting = () if overlap == "cancel" else waiting
        self._records.put_place(execution.chain, current, (*waiting, execution.id))
        self._records.put_execution(replace(execution, state=WAITING))
        return replace(execution, state=WAITING)

    def _go(self, execution: ExecutionRecord) -> ExecutionRecord:
        begun = replace(execution, state=RUNNING, started=self._context.now())
        self._records.put_execution(begun)
        self._context.add(start_task(self._context, begun), in_transaction=True)
        return begun

    def _end(self, execution: ExecutionRecord, state: str) -> ExecutionRecord:
        ended = replace(execution, state=state, ended=self._context.now())
        self._records.put_execution(ended)
        return ended

    def _cancel_running(self, execution: ExecutionRecord) -> ExecutionRecord:
        cancelled = replace(execution, is_cancelled=True, is_stopped=True)
        self._records.put_execution(cancelled)
        self._context.add(look_task(self._context, execution.id), in_transaction=True)
        return cancelled

    def _known(self, execution_id: str) -> ExecutionRecord:
        execution = self._records.execution(execution_id)
        if execution is None:
            raise UnknownExecutionError(
                f"there is no execution {execution_id[:100]!r}: GET /api/executions lists them"
            )
        return execution

    def _transact(self, step: Callable[[], Result]) -> Result:
        return run_in_transaction(self._context.service.client, step)


def start_task(context: Context, execution: ExecutionRecord) -> Task:
    """The task that starts the workflow of an execution."""
    params = {"execution": execution.id, "attempt": execution.attempt}
    return Task(url=START_URL, params=params, target=context.target)


def look_task(context: Context, execution_id: str) -> Task:
    """The task of `look_at`: one, however many jobs, as a transaction may add only a few."""
    return Task(url=LOOK_URL, params={"execution": execution_id}, target=context.target)


def look_at(context: Context, execution_id: str) -> None:
    """Add a task for each open job of an execution that lets its step look at it."""
    for job in context.records.jobs(execution_id):
        if not job.is_over and job.pipeline_id:
            context.add(context.look_task(job.pipeline_id))


def _outcome(execution: ExecutionRecord, jobs: dict[str, JobRecord | None]) -> str:
    # An error outside of all jobs, which keep their own.
    if execution.error:
        return FAILED
    if execution.is_cancelled:
        return CANCELLED
    for name, job in jobs.items():
        is_ignored = execution.step(name).on_failure == "ignore"
        if not is_ignored and (job is None or job.state != SUCCEEDED):
            return FAILED
    return SUCCEEDED
