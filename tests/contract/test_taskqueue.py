"""Pull queues and the adding of tasks, alike on both stores."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from google.cloud.datastore import Entity

import taskqueue
from dfpipe.datastore import run_in_transaction
from taskqueue import Queue, QueueStatistics, Task, TaskQueueService, TaskRetryOptions
from tests.support.taskqueues import START, Clock, fill, make_service, names, pull_task


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(client: Any, clock: Clock) -> Iterator[TaskQueueService]:
    service = make_service(client, clock)
    taskqueue.bind(service)
    yield service
    taskqueue.bind(None)


@pytest.fixture
def queue(service: TaskQueueService) -> Queue:
    return Queue("pull")


def test_a_task_is_added_leased_and_deleted(queue: Queue, clock: Clock) -> None:
    added = queue.add(pull_task("hello", tag="t"))
    assert added.was_enqueued
    assert added.queue_name == "pull"
    (leased,) = queue.lease_tasks(60, 10)
    assert (leased.name, leased.payload, leased.tag) == (added.name, b"hello", "t")
    assert leased.retry_count == 1
    assert leased.eta == START + timedelta(seconds=60)
    assert queue.lease_tasks(60, 10) == []
    assert queue.delete_tasks(leased) is leased
    assert leased.was_deleted
    clock.move(61)
    assert queue.lease_tasks(60, 10) == []


def test_an_empty_list_is_added_and_deleted(queue: Queue) -> None:
    assert queue.add([]) == []
    assert queue.delete_tasks([]) == []


@pytest.mark.parametrize(
    "payload",
    [b"", "", bytes(range(256)), "é 🎈", b"x" * (2**17), b"y" * (2**17 + 1), bytes(2**20)],
    ids=["empty", "no text", "bytes", "text", "largest inline", "in a part", "largest"],
)
def test_a_payload_survives(queue: Queue, payload: bytes | str) -> None:
    queue.add(pull_task(payload, name="it"))
    (leased,) = queue.lease_tasks(1, 1)
    expected = payload.encode() if isinstance(payload, str) else payload
    assert leased.payload == expected
    stored = queue.service.store
    assert stored.get("pull", "it").payload == expected
    assert [task.payload for task in stored.tasks("pull", 10)] == [expected]
    queue.delete_tasks(leased)
    assert list(queue.service.client.query(kind="TaskqueuePayload").fetch()) == []


def test_the_oldest_come_first_and_equal_times_by_name(queue: Queue, clock: Clock) -> None:
    fill(queue, "c", "a", eta=START - timedelta(seconds=1))
    fill(queue, "b", eta=START - timedelta(seconds=2))
    fill(queue, "d", countdown=10)
    assert names(queue.lease_tasks(60, 2)) == ["b", "a"]
    assert names(queue.lease_tasks(60, 2)) == ["c"]
    clock.move(10)
    assert names(queue.lease_tasks(60, 2)) == ["d"]


def test_one_queue_does_not_see_another(queue: Queue) -> None:
    fill(queue, "it")
    other = Queue("other")
    assert other.lease_tasks(60, 10) == []
    other.purge()
    fill(other, "it")
    assert names(queue.lease_tasks(60, 10)) == ["it"]


def test_a_lease_that_has_ended_can_be_had_again(queue: Queue, clock: Clock) -> None:
    fill(queue, "it")
    (first,) = queue.lease_tasks(60, 1)
    clock.move(59.999999)
    assert queue.lease_tasks(60, 1) == []
    clock.move(0.000001)
    (second,) = queue.lease_tasks(60, 1)
    assert second.retry_count == 2
    with pytest.raises(taskqueue.TaskLeaseExpiredError, match="another has the task"):
        queue.modify_task_lease(first, 60)
    queue.delete_tasks(first)
    assert first.was_deleted
    queue.delete_tasks(second)
    assert not second.was_deleted


def test_a_lease_of_no_time_leaves_the_task_to_all(queue: Queue) -> None:
    fill(queue, *(f"n{i}" for i in range(10)))
    assert len(queue.lease_tasks(0, 8)) == 8
    assert len(queue.lease_tasks(0, 100)) == 10


def test_leases_by_tag(queue: Queue) -> None:
    fill(queue, "p1", "p2", tag="parse")
    fill(queue, "r1", "r2", tag="render", eta=START - timedelta(seconds=1))
    fill(queue, "u1", "u2")
    assert names(queue.lease_tasks_by_tag(60, 1, "parse")) == ["p1"]
    assert names(queue.lease_tasks_by_tag(60, 100)) == ["r1", "r2"]
    assert names(queue.lease_tasks_by_tag(60, 100)) == ["p2"]
    assert names(queue.lease_tasks_by_tag(60, 100, "")) == ["u1", "u2"]
    assert queue.lease_tasks_by_tag(60, 100) == []


def test_tags_that_begin_alike_are_told_apart(queue: Queue) -> None:
    tags = ["a", "a/", "a/0", "1/a", "ab", "é", "\x00", "a\x00", "a" * 500]
    for at, tag in enumerate(tags):
        fill(queue, f"n{at}", tag=tag)
    for at, tag in enumerate(tags):
        assert names(queue.lease_tasks_by_tag(60, 100, tag)) == [f"n{at}"]


def test_a_lease_is_made_longer_and_given_back(queue: Queue, clock: Clock) -> None:
    fill(queue, "it")
    (task,) = queue.lease_tasks(60, 1)
    clock.move(30)
    queue.modify_task_lease(task, 60)
    assert task.eta == START + timedelta(seconds=90)
    clock.move(59)
    assert queue.lease_tasks(60, 1) == []
    queue.modify_task_lease(task, 0)
    (again,) = queue.lease_tasks(60, 1)
    assert again.retry_count == 2


def test_a_lease_that_is_over_cannot_change(queue: Queue, clock: Clock) -> None:
    fill(queue, "it")
    (task,) = queue.lease_tasks(60, 1)
    clock.move(60.000001)
    with pytest.raises(taskqueue.TaskLeaseExpiredError, match="has ended"):
        queue.modify_task_lease(task, 60)


def test_the_lease_of_a_deleted_task_cannot_change(queue: Queue) -> None:
    queue.add([pull_task(name="it"), pull_task()])
    for task in queue.lease_tasks(60, 2):
        queue.delete_tasks_by_name(task.name)
        with pytest.raises(taskqueue.TombstonedTaskError, match="was deleted"):
            queue.modify_task_lease(task, 60)
    with pytest.raises(taskqueue.UnknownTaskError, match="no task named 'never'"):
        queue.modify_task_lease(Task("x", name="never", method="PULL"), 60)


def test_a_name_cannot_be_used_again_for_nine_days(queue: Queue, clock: Clock) -> None:
    fill(queue, "it")
    with pytest.raises(taskqueue.TaskAlreadyExistsError, match="already has a task named 'it'"):
        fill(queue, "it")
    queue.delete_tasks_by_name("it")
    with pytest.raises(
        taskqueue.TombstonedTaskError, match="had a task named 'it' in the last 9 days"
    ):
        fill(queue, "it")
    clock.move(9 * 86400 - 1)
    with pytest.raises(taskqueue.TombstonedTaskError):
        fill(queue, "it")
    clock.move(1)
    fill(queue, "it")
    assert names(queue.lease_tasks(60, 10)) == ["it"]


def test_the_others_of_a_batch_are_added(queue: Queue) -> None:
    fill(queue, "taken", "gone")
    queue.delete_tasks_by_name("gone")
    tasks = [pull_task(name=name) for name in ("taken", "gone", "new")] + [pull_task()]
    with pytest.raises(taskqueue.TombstonedTaskError):
        queue.add(tasks)
    assert [task.was_enqueued for task in tasks] == [False, False, True, True]
    assert len(queue.lease_tasks(60, 10)) == 3


def test_a_queue_is_purged(queue: Queue) -> None:
    fill(queue, "it", "leased")
    queue.add([pull_task() for _ in range(3)])
    queue.add(pull_task(bytes(2**18), name="large"))
    queue.lease_tasks(60, 2)
    queue.purge()
    assert queue.fetch_statistics().tasks == 0
    assert list(queue.service.client.query(kind="TaskqueuePayload").fetch()) == []
    for name in ("it", "large"):
        with pytest.raises(taskqueue.TombstonedTaskError):
            fill(queue, name)


def test_many_are_added_leased_and_deleted(queue: Queue) -> None:
    for _ in range(11):
        queue.add([pull_task() for _ in range(100)])
    first, second = queue.lease_tasks(60, 1000), queue.lease_tasks(60, 1000)
    assert len(first), len(second) == (1000, 100)
    assert len({*names(first), *names(second)}) == 1100
    assert names(first) == sorted(str(name) for name in names(first))
    queue.delete_tasks(first)
    assert all(task.was_deleted for task in first)
    assert queue.fetch_statistics().tasks == 100


def test_a_lease_holds_no_more_than_32_mib(queue: Queue) -> None:
    for at in range(40):
        queue.add(pull_task(bytes(2**20 - at)))
    leased = queue.lease_tasks(60, 1000)
    assert sum(task.size for task in leased) <= 32 * 2**20
    assert 28 <= len(leased) <= 32
    assert len(leased) + len(queue.lease_tasks(60, 1000)) == 40


def test_a_task_is_leased_as_often_as_its_options_say(queue: Queue, clock: Clock) -> None:
    options = TaskRetryOptions(task_retry_limit=1)
    queue.add([pull_task(name="it", retry_options=options), pull_task(name="later")])
    limited = Queue("twice")
    fill(limited, "it", "other")
    assert len(queue.lease_tasks(1, 10)) == len(limited.lease_tasks(1, 10)) == 2
    clock.move(1)
    # The one that is removed does not take the place of one that can be leased.
    assert names(queue.lease_tasks(1, 1)) == ["later"]
    assert len(limited.lease_tasks(1, 10)) == 2
    clock.move(1)
    assert limited.lease_tasks(1, 10) == []
    assert limited.fetch_statistics().tasks == 0
    with pytest.raises(taskqueue.TombstonedTaskError):
        fill(limited, "it")


def test_deleting_tells_what_there_was(queue: Queue) -> None:
    fill(queue, "a", "b")
    queue.delete_tasks_by_name("a")
    found = queue.delete_tasks_by_name(["a", "b", "never"])
    assert [task.was_deleted for task in found] == [False, True, False]
    assert len(queue.delete_tasks_by_name([f"n{i}" for i in range(1001)])) == 1001


def test_statistics(queue: Queue, clock: Clock) -> None:
    empty = queue.fetch_statistics()
    assert empty == QueueStatistics(queue, 0, None, 0, 0, None)
    fill(queue, "a", "b", "c")
    clock.move(1)
    queue.lease_tasks(60, 2)
    seen = queue.fetch_statistics()
    assert (seen.tasks, seen.in_flight, seen.executed_last_minute) == (3, 2, 2)
    assert seen.oldest_eta_usec == START.timestamp() * 1_000_000
    clock.move(60)
    seen = queue.fetch_statistics()
    assert (seen.tasks, seen.in_flight, seen.executed_last_minute) == (3, 0, 0)
    push, pull = QueueStatistics.fetch(["default", "pull"])
    assert (push.enforced_rate, pull.tasks) == (5, 3)
    with pytest.raises(TypeError, match="not both"):
        QueueStatistics.fetch(["pull", queue])


def test_what_another_process_leased_is_counted(queue: Queue, client: Any, clock: Clock) -> None:
    fill(queue, "a", "b", "c")
    for _ in range(2):
        other = Queue("pull", service=make_service(client, clock))
        assert len(other.lease_tasks(60, 1)) == 1
    clock.move(5)
    assert queue.fetch_statistics().executed_last_minute == 2
    counts = queue.service.store.counts("pull", queue.service.now())
    assert (counts.last_minute, counts.last_hour) == (2, 2)
    clock.move(120)
    counts = queue.service.store.counts("pull", queue.service.now())
    assert (counts.last_minute, counts.last_hour) == (0, 2)


def test_a_paused_queue_gives_no_task(queue: Queue, service: TaskQueueService) -> None:
    fill(queue, "it", "other")
    (task,) = queue.lease_tasks(60, 1)
    service.set_paused("pull", True)
    assert queue.lease_tasks(60, 1) == []
    with pytest.raises(taskqueue.QueuePausedError, match="'pull' is paused"):
        queue.modify_task_lease(task, 60)
    queue.delete_tasks(task)
    fill(queue, "third")
    service.set_paused("default", True)
    assert Queue().fetch_statistics().enforced_rate == 0
    service.set_paused("pull", False)
    assert names(queue.lease_tasks(60, 10)) == ["other", "third"]


def test_a_queue_that_queue_yaml_has_no_more_is_paused(
    queue: Queue, client: Any, clock: Clock
) -> None:
    fill(queue, "it")
    newer = make_service(client, clock, "queue:\n- name: other\n  mode: pull\n")
    left = Queue("pull", service=newer)
    assert left.lease_tasks(60, 1) == []
    assert left.fetch_statistics().tasks == 1
    assert newer.queue_names() == ["default", "other", "pull", "twice"]
    with pytest.raises(taskqueue.UnknownQueueError, match="'never' is not defined in queue.yaml"):
        Queue("never", service=newer).lease_tasks(60, 1)
    clock.move(2)
    make_service(client, clock)
    clock.move(2)
    assert names(left.lease_tasks(60, 1)) == ["it"]


def test_a_paused_queue_may_stay_so(queue: Queue, client: Any, clock: Clock) -> None:
    queue.service.set_paused("pull", True)
    yaml = "resume_paused_queues: {}\nqueue:\n- name: pull\n  mode: pull\n"
    assert make_service(client, clock, yaml.format("false")).is_paused("pull")
    assert not make_service(client, clock, yaml.format("true")).is_paused("pull")


def test_tasks_added_in_a_transaction_exist_if_it_commits(queue: Queue, client: Any) -> None:
    task = pull_task("in", tag="t")
    with client.transaction():
        queue.add(task, transactional=True)
        assert task.was_enqueued
    assert names(queue.lease_tasks(60, 10)) == [task.name]

    def fail() -> None:
        with client.transaction():
            queue.add(pull_task(), transactional=True)
            queue.add(pull_task("outside"))
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        fail()
    assert [task.payload for task in queue.lease_tasks(60, 10)] == [b"outside"]


def test_the_limits_of_a_transaction(queue: Queue, client: Any) -> None:
    with pytest.raises(taskqueue.BadTransactionStateError, match="needs a running transaction"):
        queue.add(pull_task(), transactional=True)
    with client.transaction():
        with pytest.raises(taskqueue.InvalidTaskNameError, match="has no name"):
            queue.add(pull_task(name="it"), transactional=True)
        queue.add([pull_task() for _ in range(3)], transactional=True)
        queue.add([pull_task() for _ in range(2)], transactional=True)
        with pytest.raises(taskqueue.TooManyTasksError, match="6 tasks in one transaction"):
            queue.add(pull_task(), transactional=True)
    with client.transaction():
        queue.add(pull_task(bytes(2**20)), transactional=True)
        with pytest.raises(taskqueue.TransactionalRequestTooLargeError, match="have 1048577 bytes"):
            queue.add(pull_task("x"), transactional=True)
    assert len(queue.lease_tasks(60, 100)) == 6


def test_tombstones_and_counts_are_swept(queue: Queue, clock: Clock) -> None:
    fill(queue, "a", "b", "c")
    queue.lease_tasks(60, 1)
    queue.delete_tasks_by_name(["a", "b"])
    store = queue.service.store
    assert store.sweep(queue.service.now()) == 0
    clock.move(9 * 86400)
    fill(queue, "a")
    assert store.sweep(queue.service.now()) == 2
    assert store.sweep(queue.service.now()) == 0
    assert sorted(task.name for task in store.tasks("pull", 10)) == ["a", "c"]


def test_whoever_deletes_sweeps(queue: Queue, clock: Clock) -> None:
    fill(queue, "a", "b", "c")
    store, now = queue.service.store, queue.service.now
    queue.delete_tasks_by_name("a")
    clock.move(9 * 86400)
    queue.delete_tasks_by_name("b")
    assert store.sweep(now()) == 0
    clock.move(9 * 86400)
    with queue.service.client.batch():
        queue.service.sweeper.step(now())
    assert store.sweep(now()) == 1


def test_work_on_queues_is_no_part_of_a_transaction(queue: Queue, clock: Clock) -> None:
    """Save for transactional adds: a lease stays, whatever becomes of the transaction."""
    fill(queue, "a", "b", "c", "d")
    client = queue.service.client

    def work() -> None:
        leased = queue.lease_tasks(60, 2)
        assert queue.fetch_statistics().in_flight == 2
        queue.modify_task_lease(leased[0], 600)
        queue.delete_tasks(leased[1])
        queue.purge()
        client.put(Entity(client.key("Result", 1)))

    run_in_transaction(client, work, patience=0)
    assert client.get(client.key("Result", 1)) is not None
    assert queue.fetch_statistics().tasks == 0
