"""Repairing open executions whose tasks were lost, for example because a queue was purged."""

from collections.abc import Iterator

from launcher.chains.context import Context
from launcher.chains.executions import start_task
from launcher.chains.records import RUNNING, ExecutionRecord
from workflow.engine.engine import Engine
from workflow.engine.reaper import reap as reap_workflows
from workflow.records import RUN


def reap(context: Context) -> dict[str, int]:
    """Add the tasks that open executions may have lost; returns how many. More do no harm."""
    engine = Engine(context.service)
    workflows = reap_workflows(engine)
    started = looks = 0
    for execution in context.records.open_executions():
        if execution.state != RUNNING:
            continue
        context.add(start_task(context, execution))
        started += 1
        for pipeline_id in _running_steps(engine, execution):
            context.add(context.look_task(pipeline_id))
            looks += 1
    return {"executions": started, "jobs": looks, **workflows}


def _running_steps(engine: Engine, execution: ExecutionRecord) -> Iterator[str]:
    """The stages of steps whose job may have ended, or may not even be recorded yet."""
    root = engine.record(execution.pipeline_id)
    for name in root.child_ids() if root else ():
        record = engine.record(name)
        if record is not None and record.status == RUN and not record.is_over:
            yield name
