"""One attempt at a push task: builds its HTTP request and interprets the answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import urllib3
from google.auth.exceptions import GoogleAuthError

from service.auth import Credentials
from taskqueue.arguments import is_reserved
from taskqueue.errors import UsageError
from taskqueue.push.deadline import deadline_pool
from taskqueue.retry import TaskRetryOptions, backoff_seconds, effective, may_retry
from taskqueue.storage.leasing import Outcome, Verdict
from taskqueue.storage.record import StoredTask

DEFAULT = ""  # the name of the target of tasks and queues that name none
DEADLINE = 600.0  # seconds
CONNECT_SECONDS = 10.0
MOST_READ = 2**20  # bytes of an answer, which is not used; a longer one costs its connection
THROTTLE = 503


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of an attempt: the status, or None and the reason why no status came."""

    status: int | None
    reason: str | None = None

    @property
    def is_success(self) -> bool:
        """Whether the handler answered with 200 to 299."""
        return self.status is not None and 200 <= self.status < 300


Send = Callable[[StoredTask, str | None], Answer]


def headers_of(
    task: StoredTask, credentials: Mapping[str, str], namespace: str = ""
) -> dict[str, str]:
    """The headers of the attempt that a claimed task is at.

    The task's own ones without those that are the sender's (see `is_reserved`); those that tell
    about the task and the namespace that it was added in; and the credentials, which win.
    """
    assert task.request is not None
    # Tasks of older versions were stored with all their headers.
    own = {name: value for name, value in task.request.headers if not is_reserved(name)}
    known = {name.lower() for name in own}
    sent = {
        "X-AppEngine-QueueName": task.queue,
        "X-AppEngine-TaskName": task.name,
        "X-AppEngine-TaskRetryCount": str(task.retries - 1),
        "X-AppEngine-TaskExecutionCount": str(task.executions),
        "X-AppEngine-TaskETA": f"{task.eta / 1_000_000:.6f}",
        "X-AppEngine-Current-Namespace": namespace,
    }
    if task.status is not None:
        sent["X-AppEngine-TaskPreviousResponse"] = str(task.status)
    if task.reason:
        sent["X-AppEngine-TaskRetryReason"] = _one_line(task.reason)
    if task.payload and "content-type" not in known:
        sent["Content-Type"] = "application/octet-stream"
    if "user-agent" not in known:
        sent["User-Agent"] = "AppEngine-Google; (+http://code.google.com/appengine)"
    proof = {name.lower() for name in credentials}
    own = {name: value for name, value in own.items() if name.lower() not in proof}
    return {**own, **sent, **credentials}


def _one_line(text: str) -> str:
    """The text without the characters that a header cannot contain."""
    return " ".join(text.split()).encode("ascii", "replace").decode()


def is_web_url(url: str) -> bool:
    """Whether it is an http or https URL of a host."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def parse_targets(urls: Mapping[str, str]) -> dict[str, str]:
    """The base URLs of services by name, without a slash at the end.

    Raises UsageError unless each is an http or https URL of a host.
    """
    targets = {}
    for name, url in urls.items():
        if not is_web_url(url) or urlsplit(url).query:
            raise UsageError(f"--target {url}: give http://HOST:PORT, or NAME=http://HOST:PORT")
        targets[name] = url.rstrip("/")
    return targets


class Sender:
    """Sends tasks over kept connections; for any number of threads.

    `targets` are base URLs by the names of services; DEFAULT is for tasks and queues without one.
    `namespace` is that of the store; a header passes it to the handlers.
    """

    def __init__(
        self,
        targets: Mapping[str, str],
        credentials: Credentials,
        *,
        connections: int = 100,
        deadline: float = DEADLINE,
        namespace: str | None = None,
    ) -> None:
        self._targets = targets
        self._credentials = credentials
        self._deadline = deadline
        self._namespace = namespace or ""
        self._pool = deadline_pool(connections)

    def __call__(self, task: StoredTask, queue_target: str | None) -> Answer:
        """Make the attempt and wait for the whole answer, as long as the task's deadline allows."""
        assert task.request is not None
        target = task.request.target
        name = (queue_target or DEFAULT) if target is None else target
        base = self._targets.get(name)
        if base is None:
            return Answer(None, f"no target is named {name!r}: give --target {name}=URL")
        deadline = task.request.deadline_seconds or self._deadline
        try:
            return self._request(task, base, deadline)
        except urllib3.exceptions.NewConnectionError:
            return Answer(None, f"no connection to {base}")
        except urllib3.exceptions.TimeoutError:
            return Answer(None, f"no whole answer in {deadline:g} seconds")
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return Answer(None, f"no answer: {type(error).__name__}")
        except GoogleAuthError as error:
            return Answer(None, f"no credentials: {error}")

    def _request(self, task: StoredTask, base: str, deadline: float) -> Answer:
        assert task.request is not None
        response = self._pool.request(
            task.request.method,
            base + task.request.url,
            body=task.payload if task.payload or task.request.method in ("POST", "PUT") else None,
            headers=headers_of(task, self._credentials(base), self._namespace),
            timeout=urllib3.Timeout(total=deadline, connect=min(CONNECT_SECONDS, deadline)),
            redirect=False,
            preload_content=False,
        )
        size = 0
        for part in response.stream(2**16, decode_content=False):
            size += len(part)
            if size > MOST_READ:
                response.close()
                break
        response.release_conn()
        return Answer(response.status)


def outcome_of(
    task: StoredTask, answer: Answer, retry: TaskRetryOptions | None, now: int, throttle: float
) -> Outcome:
    """What becomes of a claimed task after that answer.

    `retry` holds the options of the queue. After a 503, which does not count as a failure, the task
    is retried in `throttle` seconds.
    """
    if answer.is_success:
        return Outcome(task, Verdict.DONE, status=answer.status)
    if answer.status == THROTTLE:
        return Outcome(task, Verdict.RELEASE, eta=now + round(throttle * 1_000_000))
    options = effective(task.retry_options, retry)
    age = 0.0 if task.first_try is None else (now - task.first_try) / 1_000_000
    reason = answer.reason or f"the handler answered {answer.status}"
    if not may_retry(task.retries, age, options):
        return Outcome(task, Verdict.DEAD, status=answer.status, reason=reason)
    eta = now + round(backoff_seconds(task.retries, options) * 1_000_000)
    return Outcome(task, Verdict.RETRY, eta=eta, status=answer.status, reason=reason)
