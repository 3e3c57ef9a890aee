"""From /ingest through the pull queue into every store."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from google.api_core.exceptions import InvalidArgument, ServiceUnavailable

from collector.app import open_service
from collector.fetching.dead_letters import DeadLetters
from collector.ingest.worker import Batch, IngestWorker, WorkerSettings
from collector.settings import CollectorSettings
from dfpipe.posts.post import KIND, from_entity
from taskqueue import Queue, Task, TaskQueueService
from taskqueue.service import TaskQueueService as Service
from tests.support.collectors import GOOD, PUSHER, make_api, settings_in
from tests.support.taskqueues import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(tmp_path: Path, store_url: str) -> CollectorSettings:
    return settings_in(tmp_path, store_url, ingest_backlog=3)


@pytest.fixture
def api(settings: CollectorSettings, clock: Clock) -> FlaskClient:
    return make_api(settings, clock)


@pytest.fixture
def service(settings: CollectorSettings, clock: Clock) -> Iterator[TaskQueueService]:
    service = open_service(settings, clock)
    yield service
    service.client.close()


def push(api: FlaskClient, body: Any) -> Any:
    answer = api.post("/ingest", json=body, headers=PUSHER)
    assert answer.status_code == 202, answer.text
    return answer.json


def texts(service: TaskQueueService) -> dict[int, str]:
    found = map(from_entity, service.client.query(kind=KIND).fetch())
    return {post.tid: post.text for post in found}


def work(service: Service, **kwargs: Any) -> Any:
    return IngestWorker(service, WorkerSettings(**kwargs)).work()


def test_posts_go_through_the_queue_into_the_store(
    api: FlaskClient, service: TaskQueueService
) -> None:
    assert push(api, [GOOD, {**GOOD, "tid": 8}, {**GOOD, "tid": 0}]) == {
        "taken": 2,
        "errors": [{"index": 2, "error": "id is not between 1 and 2**63 - 1"}],
    }
    assert texts(service) == {}
    batch = work(service)
    assert (batch.tasks, batch.posts, batch.set_aside, batch.stored.new) == (1, 2, 0, 2)
    assert texts(service) == {7: "Storm", 8: "Storm"}
    assert work(service) is None


def test_a_post_that_comes_again_is_stored_once_and_its_latest_version_stays(
    api: FlaskClient, service: TaskQueueService
) -> None:
    push(api, GOOD)
    push(api, [GOOD, {**GOOD, "text": "Calm", "edited_at": "2026-01-09T22:00:00Z"}])
    push(api, {**GOOD, "text": "Storm!"})
    batch = work(service)
    assert (batch.tasks, batch.posts, batch.stored.new) == (3, 4, 1)
    assert texts(service) == {7: "Calm"}


def test_what_is_not_stored_when_a_worker_dies_comes_again(
    api: FlaskClient, service: TaskQueueService, clock: Clock
) -> None:
    push(api, GOOD)
    queue = Queue("ingest", service=service)
    (leased,) = queue.lease_tasks(60, 10)  # by one that died then
    assert work(service) is None
    clock.move(61)
    assert work(service).stored.new == 1
    # Or by one that died when it had stored the batch.
    push(api, GOOD)
    leased = queue.lease_tasks(60, 10)
    clock.move(61)
    assert work(service).stored.seen == 1
    assert texts(service) == {7: "Storm"}
    queue.delete_tasks(leased)
    assert not any(task.was_deleted for task in leased)


def test_while_too_many_wait_no_more_are_taken(
    api: FlaskClient, service: TaskQueueService, clock: Clock
) -> None:
    for tid in (1, 2, 3):
        clock.move(3)
        push(api, {**GOOD, "tid": tid})
    clock.move(3)
    answer = api.post("/ingest", json=GOOD, headers=PUSHER)
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "10"
    assert answer.json == {
        "error": "too many posts are waiting to be stored: send them again later"
    }
    assert work(service).tasks == 3
    clock.move(3)
    assert push(api, GOOD)["taken"] == 1


def test_what_another_program_put_on_the_queue_is_set_aside(
    api: FlaskClient, service: TaskQueueService
) -> None:
    push(api, GOOD)
    queue = Queue("ingest", service=service)
    queue.add([Task(b'{"tid": 9}\n\xff{"tid":', method="PULL"), Task(b"[1]", method="PULL")])
    batch = work(service)
    assert (batch.tasks, batch.posts, batch.set_aside) == (3, 1, 3)
    assert texts(service) == {7: "Storm"}
    letters = DeadLetters(service.client)
    reasons = {letter.account: letter.error for letter in letters.list()}
    assert list(reasons) == ["ingest"]
    assert sorted(letter.error for letter in letters.list()) == [
        "created_at is missing",
        "not UTF-8",
        "not a JSON object",
    ]
    assert work(service) is None


def test_dead_letters_of_the_queue_can_be_read_again(service: TaskQueueService) -> None:
    line = b'{"tid": 9, "text": "x", "created_at": "2026-01-07"}'
    Queue("ingest", service=service).add(Task(line, method="PULL"))
    assert work(service).set_aside == 1
    letters = DeadLetters(service.client)
    done = letters.replay(letters.list(), service.clock())
    assert (done.read, done.kept) == (0, 1)


def test_what_is_stored_leaves_the_queue_though_the_rest_fails(
    api: FlaskClient, service: TaskQueueService, clock: Clock
) -> None:
    for first in (1, 1001, 2001):
        push(api, [{**GOOD, "tid": first + n} for n in range(500)])
        clock.move(1)
    stored = []

    def stop_after_one(batch: Batch) -> None:
        stored.append(batch.stored.new)
        raise RuntimeError("the worker dies")

    with pytest.raises(RuntimeError, match="dies"):
        IngestWorker(service, on_batch=stop_after_one).work()
    assert stored == [500]
    assert len(texts(service)) == 500
    assert len(service.store.tasks("ingest", 10)) == 2
    clock.move(61)
    batch = work(service)
    assert (batch.tasks, batch.posts, batch.stored.new) == (2, 1000, 1000)
    assert service.store.tasks("ingest", 10) == []


def test_a_worker_takes_no_more_tasks_than_it_is_told(
    api: FlaskClient, service: TaskQueueService
) -> None:
    for tid in (1, 2, 3):
        push(api, {**GOOD, "tid": tid})
    batches = [work(service, most_tasks=2) for _ in range(3)]
    assert [batch.tasks if batch else 0 for batch in batches] == [2, 1, 0]


@pytest.mark.parametrize("refusal", [ValueError("no"), InvalidArgument("no")])
def test_a_post_that_the_store_refuses_is_set_aside_alone(
    api: FlaskClient,
    service: TaskQueueService,
    monkeypatch: pytest.MonkeyPatch,
    refusal: Exception,
) -> None:
    push(api, [{**GOOD, "tid": tid} for tid in range(1, 301)])
    push(api, [{**GOOD, "tid": tid} for tid in range(301, 601)])
    put_multi = service.client.put_multi

    def refuse(entities: Any) -> None:
        if any(entity.key.id == 150 for entity in entities):
            raise refusal
        put_multi(entities)

    monkeypatch.setattr(service.client, "put_multi", refuse)
    batch = work(service)
    assert (batch.tasks, batch.posts, batch.set_aside, batch.stored.new) == (2, 599, 1, 599)
    assert set(texts(service)) == set(range(1, 601)) - {150}
    (letter,) = DeadLetters(service.client).list()
    assert letter.error == f"cannot be stored: {type(refusal).__name__}: {refusal}"
    assert service.store.tasks("ingest", 10) == []
    monkeypatch.undo()
    done = DeadLetters(service.client).replay([letter], service.clock())
    assert (done.read, done.stored.new) == (1, 1)


def test_a_batch_that_cannot_be_stored_comes_again_and_the_rest_of_its_lease_is_worked(
    api: FlaskClient,
    service: TaskQueueService,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for first in (1, 1001, 2001):
        push(api, [{**GOOD, "tid": first + n} for n in range(500)])
        clock.move(1)
    put_multi = service.client.put_multi

    def fail(entities: Any) -> None:
        if any(entity.key.id == 1001 for entity in entities):
            raise ServiceUnavailable("down")
        put_multi(entities)

    monkeypatch.setattr(service.client, "put_multi", fail)
    batch = work(service)
    assert (batch.tasks, batch.stored.new, batch.set_aside) == (2, 1000, 0)
    monkeypatch.undo()
    clock.move(61)
    assert work(service).stored.new == 500
    assert len(texts(service)) == 1500
