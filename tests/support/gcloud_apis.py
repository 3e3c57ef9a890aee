"""Stand-ins of the REST APIs that gcloud calls: they keep what is created, and note every request.

gcloud takes the server for its proxy, so that one answers for all hosts. Whatever takes time at
Google is done at once.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

PROJECT = "my-project"
NUMBER = "123456789"
REGION = "europe-west1"
# Those whose changes are operations.
SLOW = ("appengine", "artifactregistry", "eventarc", "firestore", "serviceusage")
SINK_WRITER = f"serviceAccount:service-{NUMBER}@gcp-sa-logging.iam.gserviceaccount.com"
ETAG = "BwXhqDVT0ec="

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One request: `name` is its path without the version."""

    method: str
    api: str
    name: str
    query: dict[str, str]
    body: Json

    @property
    def resource(self) -> str:
        """What it is about, without a verb."""
        return f"{self.api}/{self.name.split(':')[0].removesuffix('/iam')}"

    @property
    def is_of_policy(self) -> bool:
        return self.name.endswith(("IamPolicy", "/iam"))


@dataclass
class Apis:
    """What is there, what was ever made, and what was asked for; `port` is the proxy's."""

    port: int = 0
    kept: dict[str, Json] = field(default_factory=dict)
    made: dict[str, Json] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    def sent(self, method: str, resource: str) -> list[Call]:
        """The requests of a method about the resources that fit a pattern, in their order."""
        return [c for c in self.calls if c.method == method and re.fullmatch(resource, c.resource)]

    def policy(self, resource: str) -> set[tuple[str, str]]:
        """The bindings of a resource: members and roles, without what all of them begin with."""
        bindings = self.kept.get(f"{resource} policy", {}).get("bindings", [])
        return {
            (member.split(":")[-1].split("@")[0], binding["role"].removeprefix("roles/"))
            for binding in bindings
            for member in binding["members"]
        }

    def answer(self, call: Call) -> Json | None:
        """The answer to a request; None where there is no such thing."""
        self.calls.append(call)
        if call.name == "entries:list":
            return {"entries": LOG}
        if call.is_of_policy:
            return self._policy(call)
        if call.method == "GET":
            return self._found(call)
        if call.method == "DELETE":
            return None if self.kept.pop(call.resource, None) is None else self._changed(call, {})
        if ":" in call.name:
            return self._changed(call, {"name": call.name.replace(":addVersion", "/versions/1")})
        return self._changed(call, self._keep(call))

    def _policy(self, call: Call) -> Json:
        key = f"{call.resource} policy"
        if call.name.endswith("setIamPolicy") or call.method == "PUT":
            self.kept[key] = call.body.get("policy", call.body)
        return {"version": 1, "etag": ETAG, **self.kept.get(key, {})}

    def _found(self, call: Call) -> Json | None:
        if call.resource in self.kept:
            return self.kept[call.resource]
        if call.name.count("/") % 2:
            return None  # the name of one thing, not of a collection
        pattern = re.escape(call.resource) + "/[^/ ]*"
        below = [kept for key, kept in self.kept.items() if re.fullmatch(pattern, key)]
        if call.api == "run":
            _, _, wanted = call.query.get("labelSelector", "").partition(" = ")
            return {"items": [kept for kept in below if wanted in str(kept["metadata"]["labels"])]}
        return {call.name.rsplit("/", 1)[-1]: below}

    def _keep(self, call: Call) -> Json:
        name = call.name if call.method in ("PUT", "PATCH") else new_name(call)
        key = f"{call.api}/{name}"
        kept = {"name": name, **self.kept.get(key, {}), **call.body}
        self.kept[key] = {**kept, **FILLED_IN.get(call.api, nothing)(name, kept)}
        self.made[key] = self.kept[key]
        if call.api in COMES_WITH:
            self.kept.update([COMES_WITH[call.api](name, self.kept[key])])
        return self.kept[key]

    def _changed(self, call: Call, resource: Json) -> Json:
        """The answer to a change: where the API has operations, one that is done when asked."""
        if call.api not in SLOW:
            return resource
        place = re.match(r"((projects|locations|apps)/[^/]+/)+", call.name.split(":")[0] + "/")
        parent = place[0] if place else f"apps/{PROJECT}/"
        parent = "" if call.api == "serviceusage" else parent
        name = f"{parent}operations/1"
        self.kept[f"{call.api}/{name}"] = {"name": name, "done": True, "response": resource}
        return {"name": name}


def new_name(call: Call) -> str:
    """What is created by a POST to its collection is called so."""
    given = [v for k, v in call.query.items() if k.endswith("Id") or k == "name"]
    given += [call.body.get(key, "") for key in ("accountId", "name", "id")]
    given += [call.body.get("metadata", {}).get("name", "")]
    short = next((name for name in given if name), "new")
    if call.api == "iam":
        short += f"@{PROJECT}.iam.gserviceaccount.com"
    return short if "/" in short else f"{call.name}/{short}"


def nothing(name: str, kept: Json) -> Json:
    return {}


def run_service(name: str, kept: Json) -> Json:
    """What Cloud Run says of a service when a revision of it serves."""
    short = name.rsplit("/", 1)[-1]
    number = kept.get("status", {}).get("observedGeneration", 0) + 1
    revision = f"{short}-{number:05}-abc"
    url = f"https://{short}-{NUMBER}.{REGION}.run.app"
    status = {
        "observedGeneration": number,
        "latestCreatedRevisionName": revision,
        "latestReadyRevisionName": revision,
        "url": url,
        "address": {"url": url},
        "conditions": [
            {"type": name, "status": "True"}
            for name in ("Ready", "ConfigurationsReady", "RoutesReady")
        ],
        "traffic": [{"revisionName": revision, "percent": 100, "latestRevision": True}],
    }
    return {"metadata": {**kept["metadata"], "generation": number}, "status": status}


def run_revision(name: str, service: Json) -> tuple[str, Json]:
    """The newest revision of a service, with its place."""
    template, short = service["spec"]["template"], service["status"]["latestReadyRevisionName"]
    [container] = template["spec"]["containers"]
    revision = {
        **template,
        "metadata": {**template["metadata"], "name": short, "namespace": PROJECT},
        "status": {"imageDigest": container["image"].split("@")[0] + f"@sha256:{'0' * 64}"},
    }
    return f"run/{name.split('/services/')[0]}/revisions/{short}", revision


def trigger(name: str, kept: Json) -> Json:
    """A trigger's transport, whose names are of Eventarc's making."""
    short = f"eventarc-{REGION}-{name.rsplit('/', 1)[-1]}"
    return {
        "transport": {
            "pubsub": {
                "topic": f"projects/{PROJECT}/topics/{short}-123",
                "subscription": f"projects/{PROJECT}/subscriptions/{short}-sub-123",
            }
        }
    }


def subscription(name: str, made: Json) -> tuple[str, Json]:
    """The subscription of a trigger, with its place."""
    short = made["transport"]["pubsub"]["subscription"]
    service = made["destination"]["cloudRun"]["service"]
    token = {
        "serviceAccountEmail": made["serviceAccount"],
        "audience": f"https://{service}-{NUMBER}.{REGION}.run.app",
    }
    return f"pubsub/{short}", {"name": short, "pushConfig": {"oidcToken": token}}


COMES_WITH = {"eventarc": subscription, "run": run_revision}
FILLED_IN = {
    "appengine": lambda name, kept: {"id": name.rsplit("/", 1)[-1]},
    "cloudscheduler": lambda name, kept: {"state": "ENABLED"},
    "eventarc": trigger,
    "iam": lambda name, kept: {"email": name.rsplit("/", 1)[-1]},
    "logging": lambda name, kept: {"writerIdentity": SINK_WRITER},
    "run": run_service,
    "storage": lambda name, kept: {"id": name, "name": name.rsplit("/", 1)[-1]},
}


JOB = {
    "id": "2026-11-21_02_00_10-1234567890123456789",
    "name": "analysis-20261121t100000-analyse-1",
    "type": "JOB_TYPE_BATCH",
    "currentState": "JOB_STATE_RUNNING",
    "createTime": "2026-11-21T10:00:11Z",
    "currentStateTime": "2026-11-21T10:00:15Z",
    "location": REGION,
}
LOG = [
    {
        "logName": f"projects/{PROJECT}/logs/run.googleapis.com%2Fstderr",
        "resource": {"type": "cloud_run_revision", "labels": {"service_name": "launcher"}},
        "timestamp": "2026-11-21T10:00:12Z",
        "jsonPayload": {"message": message},
    }
    for message in ("job looked at", "run asked for")
]


def there() -> dict[str, Json]:
    """What is there before anything is made."""
    project = {"projectId": PROJECT, "projectNumber": NUMBER, "lifecycleState": "ACTIVE"}
    application = {
        "id": PROJECT,
        "defaultHostname": f"{PROJECT}.ew.r.appspot.com",
        "codeBucket": f"staging.{PROJECT}.appspot.com",
    }
    return {
        f"appengine/apps/{PROJECT}": {"name": f"apps/{PROJECT}", **application},
        f"cloudscheduler/projects/{PROJECT}/locations/{REGION}": {
            "locationId": REGION,
            "labels": {"cloud.googleapis.com/region": REGION},
        },
        f"storage/b/staging.{PROJECT}.appspot.com": {"name": f"staging.{PROJECT}.appspot.com"},
        f"cloudresourcemanager/projects/{PROJECT}": project,
        f"dataflow/projects/{PROJECT}/locations/{REGION}/jobs/{JOB['id']}": JOB,
    }


def read_body(raw: bytes) -> Json:
    """The body of a request; of an upload in two parts, the description in the first."""
    if not raw.startswith(b"--"):
        return json.loads(raw) if raw else {}
    _, description, content, *_ = re.split(
        r"^--.*$", raw.decode(errors="replace"), flags=re.MULTILINE
    )
    return {**json.loads(description.split("\n\n", 1)[1]), "content": content}


@contextmanager
def serving() -> Iterator[Apis]:
    """Serve on a free port until the block ends."""
    apis = Apis(kept=there())
    lock = threading.Lock()

    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_CONNECT(self) -> None:  # its name
            """Some of gcloud's clients want a tunnel; what follows in it are requests too."""
            self.send_response(200)
            self.end_headers()
            self.wfile.flush()

        def reply(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            url = urlsplit(self.path)
            call = Call(
                self.command,
                # A region's own host has the region before the API.
                (url.netloc or self.headers["Host"]).split(".")[0].rsplit("-", 1)[-1],
                re.sub(
                    r"^/((upload|storage|apis|[a-z.]+)/)*(v\d\w*)/", "", unquote(url.path)
                ).replace("projects/-/", f"projects/{PROJECT}/"),
                dict(parse_qsl(url.query)),
                read_body(raw),
            )
            with lock:
                found = apis.answer(call)
            missing = {"error": {"code": 404, "status": "NOT_FOUND", "message": "Not found."}}
            body = json.dumps(missing if found is None else found).encode()
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = reply  # noqa: N815  # its names

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Requests)
    server.daemon_threads = True
    server.block_on_close = False
    apis.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield apis
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
