"""Tasks and queues as they are stored, leased and swept."""

from taskqueue.storage.leasing import Outcome, Verdict
from taskqueue.storage.record import Request, StoredTask
from taskqueue.storage.store import QueueCounts, TaskStore

__all__ = ["Outcome", "QueueCounts", "Request", "StoredTask", "TaskStore", "Verdict"]
