"""The collector as a service over every store: its cron and task routes, and what they do."""

import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from collector.app import create_app
from collector.fetching.accounts import Accounts
from collector.fetching.scheduling import slot_of
from collector.settings import CollectorSettings
from dfpipe.posts.post import KIND, Post, to_entity
from taskqueue import Queue, TaskQueueService
from taskqueue.storage.record import StoredTask
from tests.support.collectors import GOOD, INGEST_TOKEN, PLATFORM, PUSHER, TASK_TOKEN, settings_in
from tests.support.http_handler import serving
from tests.support.processes import free_port
from tests.support.taskqueues import START, Clock


@dataclass
class Service:
    """A collector and its store."""

    api: FlaskClient
    clock: Clock
    accounts: Accounts
    queue: TaskQueueService

    def tasks(self) -> list[StoredTask]:
        """What is on the queue of timelines."""
        return self.queue.store.tasks("timeline", 2000)

    def call(self, task: StoredTask) -> Any:
        """Do what the dispatcher does with a task; returns the answer."""
        assert task.request
        answer = self.api.post(task.request.url, data=task.payload, headers=form())
        if answer.status_code == 200:
            Queue("timeline", service=self.queue).delete_tasks_by_name([task.name])
        return answer

    def call_all(self) -> list[Any]:
        """Send the tasks that are due until there are none."""
        answers = []
        while due := [t for t in self.tasks() if t.due <= self.queue.now()]:
            answers += [self.call(task).json for task in due]
        return answers

    def posts(self) -> list[int]:
        return sorted(e["tid"] for e in self.queue.client.query(kind=KIND).fetch())


def form() -> dict[str, str]:
    return {**PLATFORM, "Content-Type": "application/x-www-form-urlencoded"}


def make(settings: CollectorSettings, clock: Clock) -> Service:
    queue = TaskQueueService(settings.store, settings.queue_yaml, clock=clock)
    api = create_app(settings, clock=clock).test_client()
    return Service(api, clock, Accounts(queue.client), queue)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(tmp_path: Path, store_url: str) -> CollectorSettings:
    # Nothing of these tests leaves the machine: what does not name a server finds none.
    nowhere = f"http://127.0.0.1:{free_port()}"
    return settings_in(
        tmp_path, store_url, x_url=nowhere, bluesky_url=nowhere, mastodon_url=nowhere
    )


@pytest.fixture
def service(settings: CollectorSettings, clock: Clock) -> Iterator[Service]:
    made = make(settings, clock)
    yield made
    made.queue.client.close()


def archive(folder: Path, *tids: int, name: str = "posts.jsonl") -> str:
    """An archive with these posts, as an account."""
    file = folder / name
    with file.open("a") as stream:
        for tid in tids:
            created_at = (START - timedelta(minutes=tid)).isoformat()
            post = {"tid": tid, "user": "u", "text": f"post {tid}", "created_at": created_at}
            stream.write(json.dumps(post) + "\n")
    return f"archive:{file}"


def timeline(service: Service) -> Any:
    answer = service.api.get("/timeline", headers=PLATFORM)
    assert answer.status_code == 200
    return answer.json


# Cron


def test_cron_adds_one_task_for_each_account_and_slot(service: Service, clock: Clock) -> None:
    for number in range(250):
        service.accounts.follow(f"mastodon:user{number}@example.org", clock())
    service.accounts.unfollow("mastodon:user7@example.org")
    assert timeline(service) == {"accounts": 249, "enqueued": 249, "already": 0}
    clock.move(59)
    assert timeline(service) == {"accounts": 249, "enqueued": 0, "already": 249}
    assert len(service.tasks()) == 249
    service.accounts.follow("mastodon:user7@example.org", clock())
    assert timeline(service) == {"accounts": 250, "enqueued": 1, "already": 249}
    clock.move(17 * 60)
    assert timeline(service) == {"accounts": 250, "enqueued": 250, "already": 0}


def test_crons_that_fire_at_once_add_each_task_once(
    service: Service, settings: CollectorSettings, clock: Clock
) -> None:
    for number in range(40):
        service.accounts.follow(f"mastodon:user{number}@example.org", clock())
    others = [make(settings, clock) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(timeline, others))
    assert sum(answer["enqueued"] for answer in answers) == 40
    assert [answer["accounts"] for answer in answers] == [40] * 3
    assert len(service.tasks()) == 40


def test_a_task_that_is_done_is_not_added_again(
    service: Service, clock: Clock, tmp_path: Path
) -> None:
    service.accounts.follow(archive(tmp_path, 1), clock())
    timeline(service)
    service.call_all()
    assert timeline(service) == {"accounts": 1, "enqueued": 0, "already": 1}
    assert service.tasks() == []


# Fetching


def test_what_an_account_has_comes_into_the_store(
    service: Service, clock: Clock, tmp_path: Path
) -> None:
    account = archive(tmp_path, 1, 2, 3)
    service.accounts.follow(account, clock())
    timeline(service)
    assert service.call_all() == [
        {"new": 3, "replaced": 0, "seen": 0, "removed": 0, "set_aside": 0}
    ]
    assert service.posts() == [1, 2, 3]
    archive(tmp_path, 4)
    clock.move(17 * 60)
    timeline(service)
    service.call_all()
    assert service.posts() == [1, 2, 3, 4]


def test_a_task_whose_time_is_over_leaves_the_rest_to_another(
    settings: CollectorSettings, clock: Clock, tmp_path: Path
) -> None:
    settings = settings.changed(task_seconds=0)
    service = make(settings, clock)
    service.accounts.follow(archive(tmp_path, *range(1, 1001)), clock())
    timeline(service)
    (task,) = service.tasks()
    first = service.call(task).json
    assert (first["new"], first["continues_at"]) == (400, START.isoformat())
    # The answer may be lost: the same task again goes on, and adds none twice.
    service.call(task)
    assert len(service.tasks()) == 1
    service.call_all()
    assert service.posts() == list(range(1, 1001))
    assert service.tasks() == []


def test_an_account_that_is_not_followed_gives_nothing(service: Service, clock: Clock) -> None:
    service.accounts.follow("mastodon:home", clock())
    timeline(service)
    service.accounts.unfollow("mastodon:home")
    assert [answer["new"] for answer in service.call_all()] == [0]


def test_a_rate_limit_is_waited_for_by_the_queue(settings: CollectorSettings, clock: Clock) -> None:
    with serving(lambda request: 429) as server:
        settings = settings.changed(mastodon_url=server.url)
        service = make(settings, clock)
        service.accounts.follow("mastodon:public", clock())
        timeline(service)
        (task,) = service.tasks()
        for _ in range(2):  # its answer may be lost
            answer = service.call(task)
            assert answer.status_code == 200
            assert datetime.fromisoformat(answer.json["continues_at"]) > clock()
        (later,) = service.tasks()
        assert later.eta / 1e6 == datetime.fromisoformat(answer.json["continues_at"]).timestamp()
        asked = len(server.requests)
        assert service.call_all() == []
        assert len(server.requests) == asked
        clock.time = datetime.fromtimestamp(later.eta / 1e6, UTC)
        service.call_all()
        assert len(server.requests) > asked
    assert service.accounts.get("mastodon:public").is_active  # type: ignore[union-attr]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_stops_the_account_with_its_reason(
    settings: CollectorSettings, clock: Clock, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(lambda request: status) as server:
        settings = settings.changed(mastodon_url=server.url)
        service = make(settings, clock)
        service.accounts.follow("mastodon:home", clock())
        timeline(service)
        with caplog.at_level(logging.ERROR):
            (answer,) = service.call_all()
    assert f"returned {status}" in answer["disabled"]
    assert "account disabled" in caplog.text
    found = service.api.get("/status", headers={"Accept": "application/json"}).json
    (shown,) = found["accounts"]
    assert (shown["state"], found["active"]) == ("stopped", 0)
    assert f"returned {status}" in shown["reason"]
    assert f"returned {status}" in service.api.get("/status").text
    clock.move(17 * 60)
    assert timeline(service) == {"accounts": 0, "enqueued": 0, "already": 0}


@pytest.mark.parametrize("fault", ["500", "503", "broken connection", "nobody"])
def test_a_source_that_fails_is_asked_again(
    settings: CollectorSettings, clock: Clock, fault: str
) -> None:
    status = {"500": 500, "503": 503}.get(fault, 0)
    with serving(lambda request: status) as server:
        if fault != "nobody":
            settings = settings.changed(mastodon_url=server.url)
        service = make(settings, clock)
        service.accounts.follow("mastodon:home", clock())
        timeline(service)
        (task,) = service.tasks()
        answer = service.call(task)
        assert answer.status_code == 502
        account = service.accounts.get("mastodon:home")
        assert account
        assert (account.is_active, account.errors) == (True, 1)
        assert account.error == answer.json["error"]
        # Of a later slot there is a task, which does the same.
        clock.move(17 * 60)
        answer = service.call(task)
        assert answer.status_code == 200
        assert list(answer.json) == ["left_to_the_next_slot"]


def test_a_source_that_nobody_reaches_keeps_no_account_busy(service: Service, clock: Clock) -> None:
    for number in range(5):
        service.accounts.follow(f"mastodon:user{number}@example.org", clock())
        service.accounts.follow(f"bluesky:user{number}.example.org", clock())
    timeline(service)
    # None of them is to be tried again at once: the queue decides when.
    assert {service.call(task).status_code for task in service.tasks()} == {502}
    assert len(service.tasks()) == 10
    assert all(account.error for account in service.accounts.all())


# Purging


def test_old_posts_are_removed_once_a_day(
    settings: CollectorSettings, clock: Clock, tmp_path: Path
) -> None:
    settings = settings.changed(task_seconds=0, keep=timedelta(days=30))
    service = make(settings, clock)
    limit = START - timedelta(days=30)
    entities = [
        to_entity(
            Post(n, "u", "t", limit + timedelta(seconds=n - 701)), service.queue.client, limit
        )
        for n in range(1, 703)
    ]
    for first in range(0, len(entities), 500):
        service.queue.client.put_multi(entities[first : first + 500])
    for _ in range(2):
        assert service.api.get("/purge", headers=PLATFORM).json == {"day": "2026-01-07"}
    assert len(service.tasks()) == 1
    assert [answer["removed"] for answer in service.call_all()] == [500, 200, 0]
    assert service.posts() == [701, 702]
    assert service.api.get("/purge", headers=PLATFORM).status_code == 200
    assert service.tasks() == []
    clock.move(24 * 3600)
    service.api.get("/purge", headers=PLATFORM)
    service.call_all()
    assert service.posts() == []


# Watching


def test_the_state_is_told_as_json_as_a_page_and_as_metrics(
    settings: CollectorSettings, clock: Clock, tmp_path: Path
) -> None:
    account = archive(tmp_path, 1, 2)
    with (tmp_path / "posts.jsonl").open("a") as stream:
        stream.write('{"tid": 3, "text": 3}\n')
    with serving(lambda request: 500) as server:
        service = make(settings.changed(mastodon_url=server.url), clock)
        service.accounts.follow(account, clock())
        service.accounts.follow("mastodon:public", clock())
        timeline(service)
        clock.move(60)
        for task in service.tasks():
            service.call(task)
    service.accounts.unfollow("mastodon:public")
    clock.move(4 * 24 * 3600 - 60)
    found = service.api.get("/status", headers={"Accept": "application/json"}).json
    first, second = found["accounts"]
    assert first == {
        "id": account,
        "state": "active",
        "reason": "",
        "last_fetch": "2026-01-07T12:01:00Z",
        "last_new_post": "2026-01-07T11:59:00Z",
        "posts": 2,
        "posts_a_day": 0.5,
        "errors": 0,
        "error": "",
    }
    assert (second["id"], second["state"], second["errors"]) == ("mastodon:public", "stopped", 1)
    assert (found["active"], found["inactive"]) == (1, 1)
    assert (found["posts"], found["dead_letters"]) == (2, 1)
    assert found["queues"]["timeline"]["tasks"] == 1
    page = service.api.get("/status")
    assert page.mimetype == "text/html"
    assert account in page.text
    assert "2026-01-07T12:01:00Z" in page.text
    metrics = service.api.get("/metrics").text.splitlines()
    assert 'collector_accounts{source="archive",state="active"} 1.0' in metrics
    assert 'collector_accounts{source="mastodon",state="stopped"} 1.0' in metrics
    assert 'collector_posts_stored{source="archive"} 2.0' in metrics
    assert 'collector_fetches_total{result="done",source="archive"} 1.0' in metrics
    assert 'collector_fetches_total{result="unavailable",source="mastodon"} 1.0' in metrics
    assert "collector_dead_letters 1.0" in metrics
    assert 'taskqueue_tasks{queue="timeline"} 1.0' in metrics
    assert service.api.get("/healthz").json == {"status": "ok"}


def test_the_status_page_is_closed_to_other_hosts_and_frames(service: Service) -> None:
    page = service.api.get("/status")
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["X-Frame-Options"] == "DENY"
    for accept in ("text/html", "application/json"):
        headers = {"Host": "dfpipe.example.com", "Accept": accept}
        assert service.api.get("/status", headers=headers).status_code == 403


def test_what_others_have_named_does_nothing_on_the_page(service: Service, clock: Clock) -> None:
    service.accounts.follow("archive:/<script>alert(1)</script>", clock())
    page = service.api.get("/status").text
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_no_secret_is_in_logs_store_or_pages(
    settings: CollectorSettings, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "this-is-known-to-mastodon-alone"
    with serving(lambda request: 401) as server, caplog.at_level(logging.DEBUG):
        told = settings.changed(mastodon_url=server.url, mastodon_token=secret)
        service = make(told, clock)
        service.accounts.follow("mastodon:home", clock())
        timeline(service)
        service.call_all()
        service.api.post("/ingest", json=GOOD, headers=PUSHER)
    assert any(secret in str(request.headers) for request in server.requests)
    client = service.queue.client
    kinds = ("CollectorAccount", "CollectorLimit", "CollectorDeadLetter", "Tweet", "TaskqueueTask")
    stored = [str(dict(entity)) for kind in kinds for entity in client.query(kind=kind).fetch()]
    assert stored
    pages = [service.api.get(path).text for path in ("/status", "/metrics", "/openapi.json")]
    for text in (*stored, *pages, caplog.text, repr(told)):
        for each in (secret, TASK_TOKEN, INGEST_TOKEN):
            assert each not in text


def test_the_slot_of_a_task_is_that_of_its_cron(service: Service, clock: Clock) -> None:
    service.accounts.follow("mastodon:#cats", clock())
    timeline(service)
    (task,) = service.tasks()
    assert (
        task.payload
        == (
            f"account=mastodon%3A%23cats&slot={slot_of(clock())}&chain={slot_of(clock())}&number=0"
        ).encode()
    )
    assert task.name.startswith("mastodon-cats-")
