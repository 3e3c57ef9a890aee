"""What starting, running, finalizing and aborting stages does to the store and the queues."""

from workflow.engine.engine import Engine, current
from workflow.engine.local import LocalRunner
from workflow.engine.reaper import reap

__all__ = ["Engine", "LocalRunner", "current", "reap"]
