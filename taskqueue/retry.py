"""When a failed task is retried, and when it becomes a dead letter."""

import math
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Self

from taskqueue.errors import InvalidTaskRetryOptionsError


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRetryOptions:
    """How a task is retried; None leaves it to the queue, and that to the defaults.

    Seconds; `task_age_limit` counts from the first try and is rounded up to whole seconds.
    With both limits set, the task becomes a dead letter once both are passed. In a pull queue
    only `task_retry_limit` counts: so many times the task may be leased.
    """

    min_backoff_seconds: float | None = None
    max_backoff_seconds: float | None = None
    task_age_limit: float | None = None
    max_doublings: int | None = None
    task_retry_limit: int | None = None

    def __post_init__(self) -> None:
        """Check and round.

        Raises InvalidTaskRetryOptionsError for negative numbers and for a minimum above the
        maximum, and TypeError unless all are numbers.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not isinstance(value, int | float):
                raise TypeError(f"{field.name} is {value!r}: give a number")
            if value is not None and not 0 <= value < math.inf:
                raise InvalidTaskRetryOptionsError(
                    f"{field.name} is {value!r}: give a number that is not negative"
                )
        low, high = self.min_backoff_seconds, self.max_backoff_seconds
        if low is not None and high is not None and high < low:
            raise InvalidTaskRetryOptionsError(
                f"max_backoff_seconds is {high}, less than min_backoff_seconds, which is {low}"
            )
        if self.task_age_limit is not None:
            object.__setattr__(self, "task_age_limit", math.ceil(self.task_age_limit))

    def over(self, other: Self) -> Self:
        """These options, and those of `other` where these say nothing."""
        said = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(other, **{name: v for name, v in said.items() if v is not None})


DEFAULTS = TaskRetryOptions(min_backoff_seconds=0.1, max_backoff_seconds=3600, max_doublings=16)


@lru_cache(maxsize=1024)
def effective(task: TaskRetryOptions | None, queue: TaskRetryOptions | None) -> TaskRetryOptions:
    """What holds for a task: its own options or else its queue's, completed by the defaults.

    As in the old service, a task with options of its own takes none from its queue.
    """
    chosen = task or queue
    return chosen.over(DEFAULTS) if chosen else DEFAULTS


def backoff_seconds(attempt: int, options: TaskRetryOptions) -> float:
    """The seconds to wait after the attempt of that number (1 is the first) has failed.

    min, 2 min, 4 min, ... with `max_doublings` doublings, then growing by the last doubled step
    each time, never above max. The formula is App Engine's.
    """
    low = options.min_backoff_seconds or 0.0
    high = math.inf if options.max_backoff_seconds is None else options.max_backoff_seconds
    doublings = min(attempt - 1, options.max_doublings or 0)
    steps = attempt - doublings
    return float(min(high, low * 2.0 ** min(1023, doublings) * steps))


def may_retry(attempts: int, age_seconds: float, options: TaskRetryOptions) -> bool:
    """Whether a task that failed `attempts` times, first tried `age_seconds` ago, is retried.

    `task_retry_limit` retries follow the first attempt. With both limits set, the task is retried
    until both are passed.
    """
    retries, age = options.task_retry_limit, options.task_age_limit
    if retries is None and age is None:
        return True
    is_within = retries is not None and attempts <= retries
    return is_within or (age is not None and age_seconds <= age)
