"""The dispatcher: step by step with a clock that stands still, and at work with a real handler."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from google.api_core.exceptions import ServiceUnavailable
from prometheus_client import generate_latest

import taskqueue
from dfpipe.datastore import connect
from service.clock import utc_now
from taskqueue import Queue, Task, TaskQueueService, TaskRetryOptions
from taskqueue.push.dispatcher import Dispatcher, DispatchSettings, Flight
from taskqueue.push.members import BEAT, VALID
from taskqueue.push.metrics import DispatchMetrics, QueueCollector
from taskqueue.push.sending import Answer, Sender
from tests.support.http_handler import Handler, Request, serving
from tests.support.taskqueues import Clock, make_service

YAML = """
queue:
- {name: default, rate: 10/s, bucket_size: 4, max_concurrent_requests: 6}
- {name: fast, rate: 500/s, bucket_size: 500, max_concurrent_requests: 3, target: worker}
- {name: still, rate: 0}
- {name: pull, mode: pull}
"""


class Steps:
    """A dispatcher whose requests are answered by the test."""

    def __init__(self, service: TaskQueueService, clock: Clock, **settings: Any) -> None:
        self.clock = clock
        self.flights: list[Flight] = []
        self.dispatcher = Dispatcher(
            service, unused, DispatchSettings(**settings), ticks=clock.ticks
        )

    def step(self) -> list[Flight]:
        """The flights that one step starts."""
        started: list[Flight] = []
        self.seconds = self.dispatcher.step(started.append)
        self.flights += started
        return started

    def answer(self, flight: Flight, status: int | None = 200) -> None:
        flight.answer = Answer(status)
        self.dispatcher._answered.append(flight)


def unused(task: Any, target: Any) -> Answer:
    raise AssertionError("the test answers itself")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(tmp_path: Path, clock: Clock) -> Iterator[TaskQueueService]:
    service = make_service(connect(f"sqlite:///{tmp_path}/q.db"), clock, YAML)
    taskqueue.bind(service)
    yield service
    taskqueue.bind(None)


@pytest.fixture
def steps(service: TaskQueueService, clock: Clock) -> Steps:
    return Steps(service, clock)


def add(service: TaskQueueService, number: int = 1, queue: str = "default", **kwargs: Any) -> None:
    Queue(queue, service=service).add([Task(url="/w", **kwargs) for _ in range(number)])


def test_the_bucket_then_the_rate(service: TaskQueueService, steps: Steps) -> None:
    add(service, 20)
    assert len(steps.step()) == 4
    assert steps.seconds == pytest.approx(0.1)
    for flight in steps.flights:
        steps.answer(flight)
    steps.clock.move(0.2)
    assert len(steps.step()) == 2
    assert service.store.counts("default", service.now()).tasks == 16


def test_no_more_requests_at_a_time_than_allowed(service: TaskQueueService, steps: Steps) -> None:
    add(service, 10, "fast")
    first = steps.step()
    assert [flight.queue_target for flight in first] == ["worker"] * 3
    steps.clock.move(1)
    assert steps.step() == []
    steps.answer(first[0])
    assert len(steps.step()) == 1


def test_no_more_requests_than_threads(service: TaskQueueService, clock: Clock) -> None:
    add(service, 3)
    add(service, 3, "fast")
    steps = Steps(service, clock, threads=4)
    assert len(steps.step()) == 4


def test_it_sleeps_until_the_next_task(service: TaskQueueService, steps: Steps) -> None:
    add(service, countdown=0.2)
    assert steps.step() == []
    assert steps.seconds == pytest.approx(0.2)
    steps.clock.move(0.2)
    assert len(steps.step()) == 1


def test_it_looks_for_the_tasks_of_others(service: TaskQueueService, steps: Steps) -> None:
    assert steps.step() == []
    assert steps.seconds == pytest.approx(0.5)


def test_a_queue_without_rate_or_paused_sends_nothing(
    service: TaskQueueService, steps: Steps
) -> None:
    add(service, 2, "still")
    add(service, 2)
    service.set_paused("default", True)
    assert steps.step() == []
    service.set_paused("default", False)
    steps.clock.move(1)
    assert len(steps.step()) == 2


def test_a_failure_is_tried_again_when_the_backoff_ends(
    service: TaskQueueService, steps: Steps
) -> None:
    add(service, retry_options=TaskRetryOptions(min_backoff_seconds=0.3))
    (flight,) = steps.step()
    for seconds, retries in ((0.3, 2), (0.6, 3), (1.2, 4)):
        steps.answer(flight, 500)
        assert steps.step() == []
        assert steps.seconds <= seconds
        steps.clock.move(seconds - 0.001)
        assert steps.step() == []
        steps.clock.move(0.001)
        (flight,) = steps.step()
        assert (flight.task.retries, flight.task.executions) == (retries, retries - 1)


def test_503_slows_the_queue_and_counts_for_nothing(
    service: TaskQueueService, steps: Steps
) -> None:
    add(service, 1, retry_options=TaskRetryOptions(task_retry_limit=0))
    (flight,) = steps.step()
    steps.answer(flight, 503)
    assert steps.step() == []
    (pace,) = (lane.pace for lane in steps.dispatcher._lanes if lane.definition.name == "default")
    assert pace.rate == 5
    steps.clock.move(2)
    (flight,) = steps.step()
    assert (flight.task.retries, flight.task.executions) == (1, 0)


def test_a_task_that_is_given_up(service: TaskQueueService, steps: Steps) -> None:
    add(service, retry_options=TaskRetryOptions(task_retry_limit=0), name="lost")
    steps.answer(*steps.step(), 500)
    steps.step()
    (dead,) = service.store.dead_letters("default", 10)
    assert (dead.name, dead.status, dead.reason) == ("lost", 500, "the handler answered 500")
    service.store.revive(service.definition("default"), "lost", service.now())
    steps.clock.move(0.5)
    (flight,) = steps.step()
    assert (flight.task.name, flight.task.retries) == ("lost", 1)


def test_a_lease_is_extended_while_the_request_runs(
    service: TaskQueueService, steps: Steps
) -> None:
    add(service)
    (flight,) = steps.step()
    for _ in range(5):
        steps.clock.move(29)
        steps.step()
    assert service.leasing.claim(service.definition("default"), service.now(), 60, 10) == []
    steps.answer(flight)
    steps.step()
    assert service.store.counts("default", service.now()).tasks == 0


def test_an_answer_after_the_lease_was_lost_changes_nothing(
    service: TaskQueueService, steps: Steps
) -> None:
    add(service)
    (flight,) = steps.step()
    steps.clock.move(61)
    (other,) = service.leasing.claim(service.definition("default"), service.now(), 60, 10)
    steps.answer(flight)
    assert steps.step() == []
    assert service.store.get("default", other.name) == other
    lost = steps.dispatcher.metrics.lost.labels("default")._value.get()
    assert lost == 1
    assert steps.dispatcher._flights() == []


def test_a_task_whose_lease_was_lost_may_come_back_to_the_same_dispatcher(
    service: TaskQueueService, steps: Steps
) -> None:
    add(service)
    (first,) = steps.step()
    # The process stood still for a minute, and another took the task and died.
    steps.clock.move(61)
    assert len(service.leasing.claim(service.definition("default"), service.now(), 1, 10)) == 1
    assert steps.step() == []
    steps.clock.move(2)
    (second,) = steps.step()
    assert second.task.name == first.task.name
    for flight in (first, second):
        steps.answer(flight)
    steps.step()
    assert steps.dispatcher._flights() == []
    assert service.store.counts("default", service.now()).tasks == 0


@pytest.mark.parametrize("seconds", [1, 60, 3600])
def test_a_clock_that_steps_back_stops_nothing(
    service: TaskQueueService, steps: Steps, seconds: int
) -> None:
    add(service, 2)
    held, failing = steps.step()
    steps.clock.step_back(seconds)
    steps.answer(failing, 500)
    steps.step()
    add(service)
    steps.clock.move(1)
    assert len(steps.step()) == 2
    # The tokens, the beats and the leases go by the other clock.
    for _ in range(4):
        steps.clock.move(29)
        steps.step()
        assert steps.seconds <= 1
    assert not held.is_lost
    steps.answer(held)
    steps.step()
    names = {task.name for task in service.store.tasks("default", 10)}
    assert held.task.name not in names
    add(service, 4)
    steps.clock.move(0.5)
    assert len(steps.step()) == 4


def test_counts_are_written_after_the_clock_stepped_back(
    service: TaskQueueService, steps: Steps, clock: Clock
) -> None:
    for _ in range(2):
        add(service)
        clock.move(1)
        steps.answer(*steps.step())
        clock.step_back(3600)
        steps.step()
    other = make_service(service.client, clock, YAML)
    assert other.store.counts("default", other.now()).last_minute == 1


def test_two_dispatchers_share_rate_and_concurrency(
    service: TaskQueueService, clock: Clock
) -> None:
    add(service, 50)
    first, second = Steps(service, clock), Steps(service, clock)
    assert len(first.step()) == 4
    for _ in range(3):
        assert second.step() == []
        clock.move(BEAT / 1_000_000)
        first.step()
    clock.move(VALID / 1_000_000)
    first.step()
    second.step()
    assert len(first.flights) + len(second.flights) <= 6
    assert service.store.in_flight("default", service.now()) <= 6


def test_a_joiner_counts_what_others_have_in_flight(
    service: TaskQueueService, clock: Clock
) -> None:
    add(service, 50, "fast")
    first, second = Steps(service, clock), Steps(service, clock)
    assert len(first.step()) == 3
    second.step()
    for _ in range(4):
        clock.move(1)
        first.step()
        assert second.step() == []
    for flight in first.flights:
        first.answer(flight)
    first.step()
    clock.move(0.5)
    # Each has its half; which of them has the odd one is in the order of their names.
    second.step()
    assert second.flights
    assert len(first.flights) + len(second.flights) == 6


def test_a_store_that_is_down_for_a_while(
    service: TaskQueueService, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(service, 2)
    flights = steps.step()
    with monkeypatch.context() as patch:

        def down(*_: Any, **__: Any) -> Any:
            raise ServiceUnavailable("down")

        patch.setattr(service.leasing, "settle", down)
        for flight in flights:
            steps.answer(flight)
        steps.step()
        assert steps.seconds == 0.5
    steps.step()
    assert service.store.counts("default", service.now()).tasks == 0


def test_what_runs_too_long_at_the_end_is_given_back(
    service: TaskQueueService, clock: Clock
) -> None:
    add(service)
    steps = Steps(service, clock, grace=0)
    (flight,) = steps.step()
    steps.dispatcher._finish()
    (task,) = service.leasing.claim(service.definition("default"), service.now(), 60, 10)
    assert (task.name, task.retries) == (flight.task.name, 1)


def test_what_was_answered_at_the_last_moment_is_not_given_back(
    service: TaskQueueService, clock: Clock
) -> None:
    add(service)
    steps = Steps(service, clock, grace=0)
    steps.answer(*steps.step())
    steps.dispatcher._finish()
    assert service.store.counts("default", service.now()).tasks == 0


def test_metrics(service: TaskQueueService, steps: Steps) -> None:
    add(service, 6)
    first, second, *_ = steps.step()
    steps.answer(first)
    steps.answer(second, 500)
    steps.step()
    registry = steps.dispatcher.metrics.registry
    registry.register(QueueCollector(service))
    lines = generate_latest(registry).decode().splitlines()
    for line in (
        'taskqueue_attempts_total{queue="default",verdict="done"} 1.0',
        'taskqueue_attempts_total{queue="default",verdict="retry"} 1.0',
        'taskqueue_dispatcher_in_flight{queue="default"} 2.0',
        'taskqueue_tasks{queue="default"} 5.0',
        'taskqueue_tasks_in_flight{queue="default"} 2.0',
        'taskqueue_executed_last_minute{queue="default"} 2.0',
        'taskqueue_paused{queue="pull"} 0.0',
    ):
        assert line in lines
    assert not any(line.startswith('taskqueue_oldest_eta_seconds{queue="pull"') for line in lines)


# At work: threads, a real handler, the time of the machine.


@contextmanager
def working(
    store: str, yaml: str, handler: Handler, **settings: Any
) -> Iterator[tuple[TaskQueueService, Dispatcher]]:
    service = make_service(connect(store), utc_now, yaml)
    send = Sender({"": handler.url}, lambda url: {})
    dispatcher = Dispatcher(service, send, DispatchSettings(**settings), metrics=DispatchMetrics())
    thread = threading.Thread(target=dispatcher.run)
    thread.start()
    try:
        yield service, dispatcher
    finally:
        dispatcher.stop()
        thread.join(60)
        assert not thread.is_alive()


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/q.db"


FAST = "queue: [{name: default, rate: 500/s, bucket_size: 500, max_concurrent_requests: 20}]"


def wait_for(condition: Callable[[], bool], event: threading.Event, seconds: float = 30) -> None:
    """Wait until the condition holds; the event says that it may have changed."""
    for _ in range(int(seconds * 50)):
        if condition():
            return
        event.wait(0.02)
    raise AssertionError("it did not happen in time")


def test_a_task_added_in_the_same_process_is_sent_at_once(store: str) -> None:
    arrived = threading.Event()

    def respond(request: Request) -> int:
        arrived.set()
        return 200

    with serving(respond) as handler, working(store, FAST, handler, poll=30) as (service, _):
        for number in range(3):
            arrived.clear()
            add(service, payload=str(number))
            # Far less than the time after which it would look by itself.
            assert arrived.wait(10)
    assert [request.body for request in handler.requests] == [b"0", b"1", b"2"]


def test_a_task_of_another_process_is_found(store: str) -> None:
    arrived = threading.Event()

    def respond(request: Request) -> int:
        arrived.set()
        return 200

    with serving(respond) as handler, working(store, FAST, handler, poll=0.05):
        add(make_service(connect(store), utc_now, FAST))
        assert arrived.wait(10)


def test_the_end_waits_for_requests_that_run(store: str) -> None:
    running, go = threading.Event(), threading.Event()

    def respond(request: Request) -> int:
        running.set()
        go.wait(30)
        return 200

    with serving(respond) as handler:
        with working(store, FAST, handler) as (service, dispatcher):
            add(service)
            assert running.wait(10)
            dispatcher.stop()
            add(service)
            go.set()
        assert len(handler.requests) == 1
        # The second was added after the stop, and is left for the next dispatcher.
        assert service.store.counts("default", service.now()).tasks == 1


def test_the_handlers_limits_hold(store: str) -> None:
    yaml = "queue: [{name: default, rate: 100/s, bucket_size: 10, max_concurrent_requests: 3}]"
    done = threading.Event()

    def respond(request: Request) -> int:
        done.wait(0.02)
        return 200

    with serving(respond) as handler, working(store, yaml, handler) as (service, _):
        begin = service.now()
        add(service, 60)
        wait_for(lambda: service.store.next_due("default") is None, done)
        seconds = (service.now() - begin) / 1_000_000
    assert len(handler.requests) == 60
    assert handler.most_in_flight <= 3
    assert 10 + 100 * seconds >= 60


def test_a_sender_that_breaks_does_not_take_its_thread_along(store: str) -> None:
    calls: list[str] = []
    twice = threading.Event()

    def breaking(task: Any, target: Any) -> Answer:
        calls.append(task.name)
        if len(calls) == 1:
            raise KeyError("a fault of the program")
        twice.set()
        return Answer(200)

    service = make_service(connect(store), utc_now, FAST)
    dispatcher = Dispatcher(service, breaking, DispatchSettings(threads=1))
    thread = threading.Thread(target=dispatcher.run)
    thread.start()
    add(service)
    assert twice.wait(20)
    dispatcher.stop()
    thread.join(30)
    assert calls[0] == calls[1]
