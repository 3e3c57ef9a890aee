"""Push and pull queues on Datastore, with the names of App Engine's task queue API."""

from typing import TYPE_CHECKING

from service.on_demand import on_demand

__all__ = [
    "DEFAULT_APP_VERSION",
    "MAX_DISPATCH_DEADLINE",
    "MAX_ETA",
    "MAX_LEASE_PAYLOAD_BYTES",
    "MAX_LEASE_SECONDS",
    "MAX_PULL_TASK_SIZE_BYTES",
    "MAX_PUSH_TASK_SIZE_BYTES",
    "MAX_QUEUE_NAME_LENGTH",
    "MAX_TAG_LENGTH",
    "MAX_TASKS_PER_ADD",
    "MAX_TASKS_PER_LEASE",
    "MAX_TASKS_PER_TRANSACTION",
    "MAX_TASK_NAME_LENGTH",
    "MAX_TASK_SIZE_BYTES",
    "MAX_TRANSACTIONAL_REQUEST_SIZE_BYTES",
    "MAX_URL_LENGTH",
    "MIN_DISPATCH_DEADLINE",
    "BadTaskStateError",
    "BadTransactionState",
    "BadTransactionStateError",
    "ConfigError",
    "DatastoreError",
    "DuplicateTaskNameError",
    "Error",
    "InternalError",
    "InvalidDeadlineError",
    "InvalidDispatchDeadlineError",
    "InvalidEtaError",
    "InvalidLeaseTimeError",
    "InvalidMaxTasksError",
    "InvalidQueueError",
    "InvalidQueueModeError",
    "InvalidQueueNameError",
    "InvalidTagError",
    "InvalidTaskError",
    "InvalidTaskNameError",
    "InvalidTaskRetryOptionsError",
    "InvalidUrlError",
    "PermissionDeniedError",
    "Queue",
    "QueueConfig",
    "QueueDefinition",
    "QueuePausedError",
    "QueueStatistics",
    "Task",
    "TaskAlreadyExistsError",
    "TaskLeaseExpiredError",
    "TaskQueueService",
    "TaskRetryOptions",
    "TaskTooLargeError",
    "TombstonedTaskError",
    "TooManyTasksError",
    "TransactionalRequestTooLargeError",
    "TransientError",
    "UnknownQueueError",
    "UnknownTaskError",
    "UsageError",
    "add",
    "bind",
    "configure",
    "create_rpc",
    "parse_config",
    "read_config",
]

# Where the names are, the light modules first.
_MODULES = (
    "errors limits arguments retry config calls binding task queue service queue_yaml".split()
)

if TYPE_CHECKING:
    from taskqueue.arguments import DEFAULT_APP_VERSION
    from taskqueue.binding import bind, configure
    from taskqueue.calls import create_rpc
    from taskqueue.config import QueueConfig, QueueDefinition
    from taskqueue.errors import (
        BadTaskStateError,
        BadTransactionState,
        BadTransactionStateError,
        ConfigError,
        DatastoreError,
        DuplicateTaskNameError,
        Error,
        InternalError,
        InvalidDeadlineError,
        InvalidDispatchDeadlineError,
        InvalidEtaError,
        InvalidLeaseTimeError,
        InvalidMaxTasksError,
        InvalidQueueError,
        InvalidQueueModeError,
        InvalidQueueNameError,
        InvalidTagError,
        InvalidTaskError,
        InvalidTaskNameError,
        InvalidTaskRetryOptionsError,
        InvalidUrlError,
        PermissionDeniedError,
        QueuePausedError,
        TaskAlreadyExistsError,
        TaskLeaseExpiredError,
        TaskTooLargeError,
        TombstonedTaskError,
        TooManyTasksError,
        TransactionalRequestTooLargeError,
        TransientError,
        UnknownQueueError,
        UnknownTaskError,
        UsageError,
    )
    from taskqueue.limits import (
        MAX_DISPATCH_DEADLINE,
        MAX_ETA,
        MAX_LEASE_PAYLOAD_BYTES,
        MAX_LEASE_SECONDS,
        MAX_PULL_TASK_SIZE_BYTES,
        MAX_PUSH_TASK_SIZE_BYTES,
        MAX_QUEUE_NAME_LENGTH,
        MAX_TAG_LENGTH,
        MAX_TASK_NAME_LENGTH,
        MAX_TASK_SIZE_BYTES,
        MAX_TASKS_PER_ADD,
        MAX_TASKS_PER_LEASE,
        MAX_TASKS_PER_TRANSACTION,
        MAX_TRANSACTIONAL_REQUEST_SIZE_BYTES,
        MAX_URL_LENGTH,
        MIN_DISPATCH_DEADLINE,
    )
    from taskqueue.queue import Queue, QueueStatistics, add
    from taskqueue.queue_yaml import parse_config, read_config
    from taskqueue.retry import TaskRetryOptions
    from taskqueue.service import TaskQueueService
    from taskqueue.task import Task
else:
    __getattr__ = on_demand(__name__, __all__, _MODULES)
