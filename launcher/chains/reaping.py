"""Repairing open executions whose tasks were lost, for example because a queue was purged."""

from launcher.chains.context import Context
from launcher.chains.executions import start_task
from launcher.chains.records import RUNNING
from workflow.engine.engine import Engine
from workflow.engine.reaper import reap as reap_workflows


def reap(context: Context) -> dict[str, int]:
    """Add the tasks that open executions may have lost; returns how many. More do no harm."""
    workflows = reap_workflows(Engine(context.service))
    started = looks = 0
    for execution in context.records.open_executions():
        if execution.state != RUNNING:
            continue
        context.add(start_task(context, execution))
        started += 1
        for job in context.records.jobs(execution.id):
            # Ended jobs too: their step may not know it yet.
            if job.pipeline_id:
                context.add(context.look_task(job.pipeline_id))
                looks += 1
    return {"executions": started, "jobs": looks, **workflows}
