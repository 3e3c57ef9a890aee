"""The exceptions of the old task queue API, under their old names."""


class Error(Exception):
    """The root of all exceptions of this package."""

    exit_status = 1


class UsageError(Error):
    """The package or its command is used wrongly: not bound to a store, a bad option."""

    exit_status = 2


class ConfigError(Error):
    """queue.yaml is wrong: the message names file, line, field and what is allowed."""

    exit_status = 2


class UnknownQueueError(Error):
    """The queue is not defined in queue.yaml."""


class UnknownTaskError(Error):
    """The queue does not have the task and did not have it recently."""


class TransientError(Error):
    """The store is unavailable; the same call may succeed later."""


class InternalError(Error):
    """The store failed with an unexpected error."""


class InvalidTaskError(Error):
    """The task's arguments contradict each other or are not allowed."""


class InvalidTaskNameError(InvalidTaskError):
    """The task's name has characters that are not allowed, or may not be given here."""


class TaskTooLargeError(InvalidTaskError):
    """The task is larger than the limit."""


class TaskAlreadyExistsError(InvalidTaskError):
    """The queue holds a task of that name; the other tasks of the batch were added."""


class TombstonedTaskError(InvalidTaskError):
    """The queue recently held a task of that name; the other tasks of the batch were added."""


class InvalidUrlError(InvalidTaskError):
    """The URL is not relative, or is too long."""


class InvalidEtaError(InvalidTaskError):
    """The task's time is too far in the future."""


class BadTaskStateError(Error):
    """The Task object was added, or deleted, before."""


class InvalidQueueError(Error):
    """The queue's definition is wrong."""


class InvalidQueueNameError(InvalidQueueError):
    """The queue's name has characters that are not allowed."""


class PermissionDeniedError(Error):
    """The caller may not do that."""


class DuplicateTaskNameError(Error):
    """One call names the same task twice."""


class TooManyTasksError(Error):
    """One call, or one transaction, adds more tasks than allowed."""


class DatastoreError(Error):
    """The store refused."""


class BadTransactionStateError(Error):
    """A transactional add outside a transaction."""


class InvalidTaskRetryOptionsError(Error):
    """The retry options are negative or contradict each other."""


class InvalidLeaseTimeError(Error):
    """The lease is negative or longer than a week."""


class InvalidMaxTasksError(Error):
    """The number of tasks to lease is less than 1 or more than 1,000."""


class InvalidDeadlineError(Error):
    """The deadline is not in the future."""


class InvalidQueueModeError(Error):
    """The operation needs a pull queue and this is a push queue, or the reverse."""


class TransactionalRequestTooLargeError(TaskTooLargeError):
    """The tasks of one transaction are together larger than the limit."""


class TaskLeaseExpiredError(Error):
    """The lease has ended, or another worker has leased the task since."""


class QueuePausedError(Error):
    """The queue is paused."""


class InvalidTagError(Error):
    """The tag is too long."""


class InvalidDispatchDeadlineError(Error):
    """The dispatch deadline is outside of its range."""


# The older name of it, which old code still has.
BadTransactionState = BadTransactionStateError
