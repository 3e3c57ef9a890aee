"""When a failed task is retried, and when it becomes a dead letter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskqueue import InvalidTaskRetryOptionsError, TaskRetryOptions
from taskqueue.retry import DEFAULTS, backoff_seconds, effective, may_retry


def waits(options: TaskRetryOptions, number: int) -> list[float]:
    return [backoff_seconds(attempt, effective(options, None)) for attempt in range(1, number + 1)]


def test_the_wait_doubles_and_then_grows_by_the_last_step() -> None:
    options = TaskRetryOptions(min_backoff_seconds=10, max_backoff_seconds=300, max_doublings=3)
    # The example of App Engine's documentation.
    assert waits(options, 7) == [10, 20, 40, 80, 160, 240, 300]


def test_the_defaults() -> None:
    assert waits(TaskRetryOptions(), 4) == [0.1, 0.2, 0.4, 0.8]
    assert backoff_seconds(16, DEFAULTS) == pytest.approx(0.1 * 2**15)
    assert backoff_seconds(17, DEFAULTS) == 3600
    assert backoff_seconds(10**6, DEFAULTS) == 3600


def test_no_doublings_grow_by_equal_steps() -> None:
    options = TaskRetryOptions(min_backoff_seconds=2, max_backoff_seconds=9, max_doublings=0)
    assert waits(options, 6) == [2, 4, 6, 8, 9, 9]


SECONDS = st.floats(0, 1e6)


@given(low=SECONDS, more=SECONDS, doublings=st.integers(0, 2000), attempt=st.integers(1, 5000))
def test_the_wait_never_shrinks_and_stays_within_its_bounds(
    low: float, more: float, doublings: int, attempt: int
) -> None:
    options = TaskRetryOptions(
        min_backoff_seconds=low, max_backoff_seconds=low + more, max_doublings=doublings
    )
    wait = backoff_seconds(attempt, options)
    assert low <= wait <= low + more
    assert wait <= backoff_seconds(attempt + 1, options)


def test_a_task_has_its_own_options_or_its_queues() -> None:
    queue = TaskRetryOptions(task_retry_limit=3, min_backoff_seconds=7)
    task = TaskRetryOptions(max_doublings=2)
    assert effective(None, None) == DEFAULTS
    assert effective(None, queue).task_retry_limit == 3
    assert effective(task, queue).task_retry_limit is None
    assert effective(task, queue).min_backoff_seconds == 0.1
    assert effective(task, queue).max_doublings == 2


def test_without_limits_a_task_is_never_given_up() -> None:
    assert may_retry(10**9, 1e12, TaskRetryOptions())


def test_each_limit_alone() -> None:
    by_number = TaskRetryOptions(task_retry_limit=2)
    assert [may_retry(n, 1e9, by_number) for n in (1, 2, 3)] == [True, True, False]
    assert not may_retry(1, 0, TaskRetryOptions(task_retry_limit=0))
    by_age = TaskRetryOptions(task_age_limit=60)
    assert [may_retry(10**9, age, by_age) for age in (0, 60, 60.5)] == [True, True, False]


def test_both_limits_must_be_passed() -> None:
    both = TaskRetryOptions(task_retry_limit=2, task_age_limit=60)
    assert may_retry(3, 60, both)
    assert may_retry(2, 61, both)
    assert not may_retry(3, 61, both)


def test_the_age_limit_is_rounded_up() -> None:
    assert TaskRetryOptions(task_age_limit=1.2).task_age_limit == 2


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"min_backoff_seconds": -1}, "min_backoff_seconds is -1: give a number that is not neg"),
        ({"max_backoff_seconds": -0.1}, "max_backoff_seconds is -0.1"),
        ({"task_age_limit": -1}, "task_age_limit is -1"),
        ({"max_doublings": -1}, "max_doublings is -1"),
        ({"task_retry_limit": -1}, "task_retry_limit is -1"),
        ({"min_backoff_seconds": float("nan")}, "min_backoff_seconds is nan"),
        ({"task_age_limit": float("inf")}, "task_age_limit is inf"),
        (
            {"min_backoff_seconds": 2, "max_backoff_seconds": 1},
            "max_backoff_seconds is 1, less than min_backoff_seconds, which is 2",
        ),
    ],
)
def test_wrong_options(kwargs: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidTaskRetryOptionsError, match=message):
        TaskRetryOptions(**kwargs)


def test_unknown_options() -> None:
    with pytest.raises(TypeError):
        TaskRetryOptions(retries=1)
