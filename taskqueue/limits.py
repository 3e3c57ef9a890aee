"""The limits of tasks, queues and calls, under their old names."""

from datetime import timedelta

MAX_QUEUE_NAME_LENGTH = 100
MAX_TASK_NAME_LENGTH = 500
MAX_PULL_TASK_SIZE_BYTES = 2**20
MAX_PUSH_TASK_SIZE_BYTES = 100 * 2**10
MAX_TASK_SIZE_BYTES = MAX_PUSH_TASK_SIZE_BYTES
MAX_URL_LENGTH = 2083
MAX_TAG_LENGTH = 500  # bytes of UTF-8

MAX_TASKS_PER_ADD = 100
MAX_TASKS_PER_TRANSACTION = 5
MAX_TRANSACTIONAL_REQUEST_SIZE_BYTES = 2**20

MAX_TASKS_PER_LEASE = 1000
MAX_LEASE_SECONDS = 7 * 24 * 3600
MAX_LEASE_PAYLOAD_BYTES = 32 * 2**20

MICROSECOND = timedelta(microseconds=1)
MAX_ETA = timedelta(days=30)
MAX_DISPATCH_DEADLINE = timedelta(hours=24)
MIN_DISPATCH_DEADLINE = timedelta(seconds=15)

# How long a name stays reserved after its task is gone.
TOMBSTONE = timedelta(days=9)
