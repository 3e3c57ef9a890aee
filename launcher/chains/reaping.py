"""Looking after what is open, where a task was lost: with a queue that was purged, say."""

from launcher.chains.context import Context
from launcher.chains.executions import start_task
from launcher.chains.records import RUNNING
from workflow.engine.engine import Engine
from workflow.engine.reaper import reap as reap_workflows


def reap(context: Context) -> dict[str, int]:
    """Add what every open execution may lack; harmless where nothing was lost. Returns how much."""
    workflows = reap_workflows(Engine(context.service))
    started = looks = 0
    for execution in context.records.open_executions():
        if execution.state != RUNNING:
            continue
        context.add(start_task(context, execution))
        started += 1
        for job in context.records.jobs(execution.id):
            # Also those that are over: their step may not know it yet.
            if job.pipeline_id:
                context.add(context.look_task(job.pipeline_id))
                looks += 1
    return {"executions": started, "jobs": looks, **workflows}
