"""Looking after what is open, where a task was lost: with a queue that was purged, say."""

from launcher.chains.context import Context
from launcher.chains.records import RUNNING
from launcher.chains.runs import start_task
from workflow.engine.engine import Engine
from workflow.engine.reaper import reap as reap_workflows


def reap(context: Context) -> dict[str, int]:
    """Add what every open run may lack; harmless where nothing was lost. Returns how much."""
    workflows = reap_workflows(Engine(context.service))
    started = looks = 0
    for run in context.records.open_runs():
        if run.state != RUNNING:
            continue
        context.add(start_task(context, run))
        started += 1
        for job in context.records.jobs(run.id):
            # Also those that are over: their step may not know it yet.
            if job.pipeline_id:
                context.add(context.look_task(job.pipeline_id))
                looks += 1
    return {"runs": started, "jobs": looks, **workflows}
