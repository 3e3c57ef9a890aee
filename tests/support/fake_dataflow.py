"""Dataflow's REST API on a loopback port: launches, jobs, their states, and faults on demand."""

import base64
import json
import random
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PROJECT, REGION = "fake-project", "fake-region"
GOOD = ("QUEUED", "PENDING", "RUNNING", "DONE")
ENDED = {"DONE", "FAILED", "CANCELLED", "DRAINED", "UPDATED"}
# The views of jobs.get that have labels; the generated clients send numbers.
_WITH_LABELS = {"JOB_VIEW_ALL", "JOB_VIEW_DESCRIPTION", "2", "3"}
_JOBS = re.compile(
    rf"/v1b3/projects/{PROJECT}/locations/{REGION}/jobs(?:/([^/:]+))?(/messages|/metrics)?"
)
_LAUNCH = re.compile(
    rf"/v1b3/projects/{PROJECT}/locations/{REGION}/(flexTemplates|templates):launch"
)


@dataclass
class Job:
    """A job, and the states that it will go through, one for each time it is asked after."""

    id: str
    name: str
    labels: dict[str, str]
    request: dict[str, Any]
    states: list[str]
    not_found: int
    counters: dict[str, int] = field(default_factory=dict)  # what its steps have counted
    error: str = ""

    @property
    def state(self) -> str:
        return self.states[0]

    def move(self) -> None:
        if len(self.states) > 1:
            del self.states[0]


@dataclass
class Faults:
    """What goes wrong, and how often (0..1).

    `not_found` is of how many calls after a launch, at most; `restless` how often a job goes on
    whenever anything is asked.
    """

    busy: float = 0.0  # 429 or 503, before anything is done
    lost: float = 0.0  # 503 after it was done
    not_found: int = 0
    restless: float = 0.0


@dataclass
class FakeDataflow:
    """The service. `script` gives the states of a new job by its labels."""

    script: Callable[[dict[str, str]], list[str]] = lambda labels: list(GOOD)
    faults: Faults = field(default_factory=Faults)
    rng: random.Random = field(default_factory=lambda: random.Random(7))
    jobs: dict[str, Job] = field(default_factory=dict)
    launched: Callable[[Job], None] = lambda job: None
    url: str = ""
    refuses_cancel: bool = False

    def __post_init__(self) -> None:
        self.lock = threading.RLock()

    # What tests ask

    def names(self) -> list[str]:
        """The names of all jobs that were made, in that order."""
        return [job.name for job in self.jobs.values()]

    def named(self, name: str) -> Job:
        return next(job for job in self.jobs.values() if job.name == name)

    def add(self, name: str, labels: dict[str, str], request: dict[str, Any], *states: str) -> Job:
        """A job, as somebody else may have launched it."""
        number = len(self.jobs)
        made = Job(
            id=f"2026-01-07_12_00_00-{number:020}",
            name=name,
            labels=labels,
            request=request,
            states=list(states) or self.script(labels),
            not_found=self.rng.randint(0, self.faults.not_found),
        )
        self.jobs[made.id] = made
        return made

    # The API

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        with self.lock:
            if self.rng.random() < self.faults.busy:
                return self.rng.choice([(429, _error(429)), (503, _error(503))])
            for job in self.jobs.values():
                if self.rng.random() < self.faults.restless:
                    job.move()
            found = self._answer(method, path, body)
            if self.rng.random() < self.faults.lost:
                return 503, _error(503)
            return found

    def _answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        parts = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if _LAUNCH.fullmatch(parts.path) and method == "POST":
            given = json.loads(body)
            given = given.get("launchParameter", given)
            return self._launch({**given, "gcsPath": query.get("gcsPath", "")})
        match = _JOBS.fullmatch(parts.path)
        if match is None:
            return 404, _error(404)
        if match[1] is None and method == "POST":
            # The Beam SDK's own way.
            given = json.loads(body)
            status, made = self._launch({"environment": {}, **given, "jobName": given["name"]})
            if status != 200:
                return status, made
            # That of a job of this name which runs already tells the SDK that it has made none.
            request = self.jobs[made["job"]["id"]].request
            return status, {**made["job"], "clientRequestId": request.get("clientRequestId", "-")}
        if match[1] is None:
            named = [job for job in self.jobs.values() if query.get("name", job.name) == job.name]
            # As the service: summaries, whatever view is asked for.
            return 200, {"jobs": [_summary(job) for job in named]}
        job = self.jobs.get(match[1])
        if job is None or job.not_found > 0:
            if job is not None:
                job.not_found -= 1
            return 404, _error(404)
        if match[2] is not None:
            shown = {"/messages": {"jobMessages": _messages(job)}, "/metrics": _metrics(job)}
            return 200, shown[match[2]]
        if method == "PUT":
            if self.refuses_cancel:
                return 403, _error(403, f"no permission to cancel {job.id}")
            if job.state not in ENDED:
                job.states = [job.state, "CANCELLING", "CANCELLED"]
            return 200, _shown(job)
        job.move()
        return 200, (_shown if query.get("view") in _WITH_LABELS else _summary)(job)

    def _launch(self, given: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        name = given["jobName"]
        if not re.fullmatch(r"[a-z]([-a-z0-9]{0,1022}[a-z0-9])?", name):
            return 400, _error(400, f"{name} is no name")
        running = [j for j in self.jobs.values() if j.name == name and j.state not in ENDED]
        if not running:
            labels = given["environment"].get("additionalUserLabels", given.get("labels", {}))
            running = [self.add(name, labels, given)]
            self.launched(running[0])
        return 200, {"job": _summary(running[0])}


def _shown(job: Job) -> dict[str, Any]:
    return {**_summary(job), "labels": job.labels}


def _summary(job: Job) -> dict[str, Any]:
    """A job in JOB_VIEW_SUMMARY, which has no labels."""
    return {
        "id": job.id,
        "name": job.name,
        "projectId": PROJECT,
        "location": REGION,
        "currentState": f"JOB_STATE_{job.state}",
        "type": "JOB_TYPE_BATCH",
    }


def _messages(job: Job) -> list[dict[str, Any]]:
    time, level = "2026-01-07T12:00:00Z", "JOB_MESSAGE_ERROR"
    message = {"id": "1", "time": time, "messageText": job.error, "messageImportance": level}
    return [message] if job.error else []


def _metrics(job: Job) -> dict[str, Any]:
    """The counters as Dataflow gives them: each twice, while it was tried and when it is final."""
    metrics = [
        {
            "name": {
                "origin": "user",
                "name": name,
                "context": {"namespace": "dfpipe", "step": "step"} | tentative,
            },
            "scalar": value,
        }
        for name, value in job.counters.items()
        for tentative in ({}, {"tentative": "true"})
    ]
    return {"metrics": metrics}


def _error(code: int, message: str = "try again") -> dict[str, Any]:
    if code == 404:
        message = "(1a2b): Information about job could not be found in our system."
    return {"error": {"code": code, "message": message}}


# The events


def log_event(job: Job, number: int = 0) -> tuple[dict[str, str], bytes]:
    """Headers and body of Pub/Sub's push of the log sink's entry."""
    entry = {
        "insertId": f"insert-{job.id}-{number}",
        "logName": f"projects/{PROJECT}/logs/dataflow.googleapis.com%2Fworker-pool",
        "resource": {
            "type": "dataflow_step",
            "labels": {
                "job_id": job.id,
                "step_id": "",
                "job_name": job.name,
                "project_id": PROJECT,
                "region": REGION,
            },
        },
        "textPayload": "Worker pool stopped.",
        "timestamp": "2026-01-07T12:00:00.912895609Z",
        "severity": "INFO",
    }
    data = base64.b64encode(json.dumps(entry).encode()).decode()
    message = {"data": data, "attributes": {}, "messageId": f"m-{job.id}-{number}"}
    body = {"message": message, "subscription": f"projects/{PROJECT}/subscriptions/launcher"}
    return {"Content-Type": "application/json"}, json.dumps(body).encode()


def status_event(job: Job, state: str | None = None) -> tuple[dict[str, str], bytes]:
    """Headers and body of Eventarc's event, in the binary form of CloudEvents."""
    headers = {
        "Content-Type": "application/json",
        "Ce-Id": f"event-{job.id}",
        "Ce-Source": f"//dataflow.googleapis.com/projects/{PROJECT}/locations/{REGION}",
        "Ce-Subject": f"jobs/{job.name}",
        "Ce-Type": "google.cloud.dataflow.job.v1beta3.statusChanged",
        "Ce-Specversion": "1.0",
    }
    payload = _shown(job) | {"currentState": f"JOB_STATE_{state or job.state}"}
    return headers, json.dumps({"payload": payload}).encode()


@contextmanager
def serving(fake: FakeDataflow, port: int = 0) -> Iterator[FakeDataflow]:
    """Serve it until the block ends."""

    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            code, content = fake.answer(self.command, self.path, body)
            data = json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = respond  # noqa: N815  # its names

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Requests)
    server.daemon_threads = True
    server.block_on_close = False
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
