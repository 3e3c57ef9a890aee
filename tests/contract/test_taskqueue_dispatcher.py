"""The dispatcher at work, and dispatchers among themselves, alike on both stores."""

import threading
from typing import Any

from taskqueue import Queue, Task, TaskQueueService, parse_config
from taskqueue.push.dispatcher import Dispatcher, DispatchSettings
from taskqueue.push.members import BEAT, EXPIRES, VALID, Members, Place
from taskqueue.push.sending import Sender
from tests.support.http_handler import Request, serving

YAML = "queue: [{name: default, rate: 500/s, bucket_size: 100, max_concurrent_requests: 8}]"
TASKS = 60


def test_every_task_is_sent_until_it_succeeds(client: Any) -> None:
    service = TaskQueueService(client, parse_config(YAML))
    Queue(service=service).add(
        [Task(url=f"/{number}", name=f"n{number}") for number in range(TASKS)]
    )
    ended = threading.Event()
    succeeded: set[str] = set()

    def respond(request: Request) -> int:
        if request.path.endswith("3") and request.headers["X-AppEngine-TaskRetryCount"] == "0":
            return 500
        succeeded.add(request.path)
        if len(succeeded) == TASKS:
            ended.set()
        return 200

    with serving(respond) as handler:
        send = Sender({"": handler.url}, lambda url: {})
        dispatcher = Dispatcher(service, send, DispatchSettings(threads=8, poll=0.1))
        thread = threading.Thread(target=dispatcher.run)
        thread.start()
        assert ended.wait(60)
        dispatcher.stop()
        thread.join(60)
    assert len(handler.requests) == TASKS + TASKS // 10
    counts = service.store.counts("default", service.now())
    assert (counts.tasks, counts.in_flight, counts.dead) == (0, 0, 0)
    assert counts.last_minute == TASKS + TASKS // 10


def test_dispatchers_know_of_each_other(client: Any) -> None:
    first, second = Members(client, 0, "a"), Members(client, 10, "b")
    assert first.place(0, 0) == Place(0, 1)
    assert second.place(10, 10) is None
    assert first.place(BEAT, BEAT) == Place(0, 2)
    assert second.place(2 * BEAT, 2 * BEAT) is None
    assert second.place(10 + VALID, 10 + VALID) == Place(1, 2)
    assert second.place(10 + EXPIRES - BEAT, 10 + EXPIRES - BEAT) == Place(1, 2)
    # The first has been silent for so long that it counts as dead.
    assert second.place(2 * BEAT + EXPIRES, 0) == Place(0, 1)
    second.leave()
    assert first.place(2 * EXPIRES, 2 * EXPIRES) == Place(0, 1)
