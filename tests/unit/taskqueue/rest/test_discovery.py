"""The REST API through Google's own client, built from the discovery document that is served."""

import base64
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError
from werkzeug.serving import make_server

import taskqueue
from taskqueue import Queue, TaskQueueService
from taskqueue.rest.access import by_tokens
from taskqueue.rest.blueprint import create_app
from taskqueue.rest.discovery import DISCOVERY_PATH

YAML = """
queue:
- name: pull
  mode: pull
  acl: [{user_email: me@x.org}, {writer_email: me@x.org}]
  retry_parameters: {task_retry_limit: 9}
"""
NAMES = pytest.mark.parametrize("name", ["given", None], ids=["given", "generated"])
WHERE = {"project": "s~p", "taskqueue": "pull"}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[TaskQueueService]:
    yield taskqueue.configure(f"sqlite:///{tmp_path}/q.db", taskqueue.parse_config(YAML))
    taskqueue.bind(None)


@pytest.fixture
def endpoint(service: TaskQueueService) -> Iterator[str]:
    app = create_app(service, by_tokens({"token": "me@x.org", "other": "o@x.org"}), project="p")
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


def client(endpoint: str, token: str = "token") -> Any:
    return build(
        "taskqueue",
        "v1beta2",
        discoveryServiceUrl=f"{endpoint}{DISCOVERY_PATH}",
        credentials=Credentials(token),
        static_discovery=False,
        cache_discovery=False,
    )


def insert(api: Any, name: str | None, **fields: Any) -> Any:
    body = {"queueName": "pull", "payloadBase64": base64.urlsafe_b64encode(b"hello").decode()}
    body |= {"id": name} if name else {}
    return api.tasks().insert(**WHERE, body=body | fields).execute()


@NAMES
def test_every_method(endpoint: str, service: TaskQueueService, name: str | None) -> None:
    api = client(endpoint)
    tasks = api.tasks()
    added = insert(api, name, tag="t")
    one = {**WHERE, "task": added["id"]}
    (leased,) = tasks.lease(**WHERE, leaseSecs=60, numTasks=5).execute()["items"]
    assert (leased["id"], leased["retry_count"], leased["tag"]) == (added["id"], 1, "t")
    assert tasks.get(**one).execute() == leased
    (listed,) = tasks.list(**WHERE).execute()["items"]
    assert listed == {n: v for n, v in leased.items() if n != "payloadBase64"}
    longer = tasks.patch(**one, newLeaseSeconds=600, body={"queueName": "pull"}).execute()
    assert int(longer["leaseTimestamp"]) > int(leased["leaseTimestamp"])
    with pytest.raises(HttpError, match="another has the task"):
        tasks.update(**one, newLeaseSeconds=60, body=leased).execute()
    free = tasks.update(**one, newLeaseSeconds=0, body=longer).execute()
    assert free["leaseTimestamp"] == "0"
    again = tasks.lease(**WHERE, leaseSecs=60, numTasks=1, groupByTag=True, tag="t").execute()
    assert [item["id"] for item in again["items"]] == [added["id"]]
    queue = api.taskqueues().get(**WHERE, getStats=True).execute()
    assert (queue["maxLeases"], queue["stats"]["totalTasks"]) == (9, 1)
    assert tasks.delete(**one).execute() == b"{}"
    with pytest.raises(HttpError, match="404"):
        tasks.get(**one).execute()
    assert "items" not in tasks.list(**WHERE).execute()
    assert Queue("pull", service=service).fetch_statistics().tasks == 0


def test_a_task_for_later(endpoint: str) -> None:
    api = client(endpoint)
    later = str(Queue("pull").service.now() + 60_000_000)
    assert insert(api, None, leaseTimestamp=later)["leaseTimestamp"] == later
    assert "items" not in api.tasks().lease(**WHERE, leaseSecs=60, numTasks=5).execute()


def test_partial_answers(endpoint: str) -> None:
    api = client(endpoint)
    insert(api, "one")
    assert api.tasks().list(**WHERE, fields="items(id)").execute() == {"items": [{"id": "one"}]}


def test_who_may_not_call(endpoint: str) -> None:
    with pytest.raises(HttpError, match="403.*does not let o@x.org"):
        client(endpoint, "other").taskqueues().get(**WHERE).execute()


def test_the_client_checks_arguments(endpoint: str) -> None:
    with pytest.raises(TypeError, match='Missing required parameter "leaseSecs"'):
        client(endpoint).tasks().lease(**WHERE, numTasks=1)
