"""How to run it on App Engine, followed."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from launcher.settings import read_settings
from tests.support.documents import ROOT, is_as_written
from tests.support.gcloud import APP_ENGINE, Followed
from tests.support.gcloud_apis import PROJECT, REGION, SINK_WRITER

SITE = f"https://{PROJECT}.ew.r.appspot.com"
SERVICE = f"dfpipe-service@{PROJECT}.iam.gserviceaccount.com"


@pytest.fixture(scope="module")
def document() -> Path:
    return APP_ENGINE


def version(followed: Followed, service: str) -> dict[str, Any]:
    """The version of a service that was deployed."""
    pattern = f"appengine/apps/{PROJECT}/services/{service}/versions"
    [call] = followed.apis.sent("POST", pattern)
    return call.body


def test_it_prints_what_the_document_says(followed: Followed) -> None:
    for section in followed.sections:
        if section.is_gcloud_alone and section.expected:
            assert is_as_written(section.expected, section.printed), section.printed


def test_both_services_are_deployed(followed: Followed) -> None:
    """The option --appyaml deploys a folder's own app.yaml where there is one."""
    for service, module in (("default", "collector"), ("launcher", "launcher")):
        found = version(followed, service)
        assert f"{module}.app:create_app()" in found["entrypoint"]["shell"]
        assert {"collector.yaml", "requirements.txt"} <= set(found["deployment"]["files"])


def test_tokens_are_made_out_to_what_the_services_expect(followed: Followed) -> None:
    for service in ("default", "launcher"):
        given = version(followed, service)["envVariables"]
        auth = read_settings({**given, "GAE_ENV": "standard"}).auth
        assert auth.audience == SITE
        assert auth.service_accounts == {SERVICE}
    made = followed.apis.made
    push = made[f"pubsub/projects/{PROJECT}/subscriptions/dataflow-jobs"]["pushConfig"]
    assert push["oidcToken"] == {"audience": SITE, "serviceAccountEmail": SERVICE}
    assert push["pushEndpoint"] == f"{SITE}/events/dataflow"


def test_the_sink_has_what_the_launcher_reads(followed: Followed) -> None:
    sink = followed.apis.made[f"logging/projects/{PROJECT}/sinks/dataflow-jobs"]
    topic = f"projects/{PROJECT}/topics/dataflow-jobs"
    assert sink["destination"] == f"pubsub.googleapis.com/{topic}"
    assert "resource.type=dataflow_step AND" in sink["filter"]
    writer = SINK_WRITER.split(":")[1].split("@")[0]
    assert followed.apis.policy(f"pubsub/{topic}") == {(writer, "pubsub.publisher")}


def test_cron_is_that_of_cron_yaml(followed: Followed) -> None:
    pattern = f"cloudscheduler/projects/{PROJECT}/locations/{REGION}/jobs"
    jobs = [call.body for call in followed.apis.sent("POST", pattern)]
    entries = yaml.safe_load((ROOT / "cron.yaml").read_text())["cron"]
    assert {job["appEngineHttpTarget"]["relativeUri"]: job["schedule"] for job in jobs} == {
        entry["url"]: entry["schedule"] for entry in entries
    }
