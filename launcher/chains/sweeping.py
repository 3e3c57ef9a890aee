"""Removing what chains have left that ended long ago: jobs' folders, workflows, and records."""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from dfpipe.datastore import run_in_transaction
from launcher.chains.context import Context
from launcher.chains.records import ExecutionRecord
from launcher.jobs.local import remove_old
from workflow.engine.engine import Engine

MOST_EXECUTIONS = 500  # of one call


def sweep(context: Context) -> dict[str, int]:
    """Remove what is older than the setting, the oldest first; returns how much.

    Nothing that is open is touched. If a call is killed or leaves some, the next one continues.
    """
    until = context.now() - context.settings.keep
    folders = remove_old(
        context.settings.jobs_folder, until.timestamp(), lambda name: _is_open(context, name)
    )
    executions = 0
    for execution in islice(_old(context, until), MOST_EXECUTIONS):
        executions += remove(context, execution, until)
    return {"executions": executions, "folders": folders}


def _is_open(context: Context, name: str) -> bool:
    job = context.records.known_as(name)
    return job is not None and not job.is_over


def _old(context: Context, until: datetime) -> Iterator[ExecutionRecord]:
    return (
        execution for execution in context.records.made_before(until) if _is_old(execution, until)
    )


def _is_old(execution: ExecutionRecord, until: datetime) -> bool:
    return execution.is_over and execution.ended is not None and execution.ended < until


def remove(context: Context, execution: ExecutionRecord, until: datetime) -> bool:
    """Remove an execution, its record last, so that a call that is killed is made up for."""
    engine = Engine(context.service)
    for attempt in range(1, execution.attempt + 1):
        engine.cleanup_root(execution.workflow_of(attempt))

    def change() -> bool:
        now = context.records.execution(execution.id)
        if now is None or not _is_old(now, until):
            return False  # a person has retried it meanwhile
        context.records.delete(now)
        return True

    return run_in_transaction(context.service.client, change)
