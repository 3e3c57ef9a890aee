"""How to run it on Cloud Run, followed."""

from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from collector.cli.main import collector
from collector.settings import read_settings as collector_settings
from launcher.chains.chains import read_chains
from launcher.chains.events import STATUS_CHANGED
from launcher.settings import LauncherSettings, read_settings
from launcher.settings import variables as launcher_variables
from system import cron as clock
from taskqueue.cli.main import taskqueue
from tests.support.documents import ROOT, is_as_written
from tests.support.gcloud import CLOUD_RUN, Followed
from tests.support.gcloud_apis import NUMBER, PROJECT, REGION

LAUNCHER, COLLECTOR = (f"https://{n}-{NUMBER}.{REGION}.run.app" for n in ("launcher", "collector"))
CALLER = f"dfpipe-caller@{PROJECT}.iam.gserviceaccount.com"
PLACE = f"projects/{PROJECT}/locations/{REGION}"
PROGRAMS = {"collector": collector, "taskqueue": taskqueue}
SERVICES = ("launcher", "collector", "dispatcher", "worker", "launcher-page")
# Those that cron.yaml writes otherwise than Cloud Scheduler.
UNIX = {"every day 03:40": "40 3 * * *"}


@pytest.fixture(scope="module")
def document() -> Path:
    return CLOUD_RUN


@pytest.fixture(scope="module")
def settings(followed: Followed) -> LauncherSettings:
    return read_settings(variables(followed, "launcher"))


def service(followed: Followed, name: str) -> dict[str, Any]:
    """A service as it was at last."""
    found: dict[str, Any] = followed.apis.made[f"run/namespaces/{PROJECT}/services/{name}"]
    return found


def container(followed: Followed, name: str) -> dict[str, Any]:
    [found] = service(followed, name)["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def variables(followed: Followed, name: str) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container(followed, name)["env"]}


def test_it_prints_what_the_document_says(followed: Followed) -> None:
    for section in followed.sections:
        if section.is_gcloud_alone and section.expected:
            assert is_as_written(section.expected, section.printed), section.printed


def test_the_launcher_reads_every_setting(followed: Followed) -> None:
    text = "".join(
        (ROOT / name).read_text() for name in ("service/auth.py", "taskqueue/cli/options.py")
    )
    for name in {**variables(followed, "launcher"), **variables(followed, "launcher-page")}:
        assert name in launcher_variables() or f'"{name}"' in text, name


def test_settings_are_as_the_services_want_them(
    followed: Followed, settings: LauncherSettings
) -> None:
    assert settings.auth.audience == LAUNCHER
    assert settings.dataflow.project == PROJECT
    assert settings.target == "launcher"
    assert read_chains(ROOT / settings.chains_yaml)
    page = read_settings(variables(followed, "launcher-page"))
    assert page.auth.page_access == "iap"
    assert page.auth.iap_audience == f"/projects/{NUMBER}/locations/{REGION}/services/launcher-page"


def test_the_collector_gets_its_secret(followed: Followed, tmp_path: Path) -> None:
    given = variables(followed, "collector")
    [mount] = container(followed, "collector")["volumeMounts"]
    folder = given["COLLECTOR_BLUESKY_PASSWORD_FILE"].rsplit("/", 1)[0]
    assert mount["mountPath"] == folder
    secret = tmp_path / "password"
    secret.write_text("xxxx-xxxx-xxxx-xxxx")
    read = collector_settings({**given, "COLLECTOR_BLUESKY_PASSWORD_FILE": str(secret)})
    assert read.bluesky_password == "xxxx-xxxx-xxxx-xxxx"
    assert followed.apis.policy(f"secretmanager/projects/{PROJECT}/secrets/bluesky") == {
        ("dfpipe-service", "secretmanager.secretAccessor")
    }


@pytest.mark.parametrize("name", ["collector", "dispatcher", "worker"])
def test_commands_have_options_that_there_are(followed: Followed, name: str) -> None:
    run = container(followed, name)
    [program], [word, *options] = run["command"], run["args"]
    command = PROGRAMS[program].all_commands()[word]
    given = variables(followed, name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        for variable, value in given.items():
            patch.setenv(variable, value)
        context = command.make_context(word, options)
    assert isinstance(context, click.Context)
    if name == "dispatcher":
        assert list(context.params["targets"]) == [COLLECTOR, f"launcher={LAUNCHER}"]


def test_signatures_reach_the_services_that_verify_them(followed: Followed) -> None:
    """Where Cloud Run checks a token itself, it hands it on without its signature."""
    open_to_all = {
        name
        for name in SERVICES
        if ("allUsers", "run.invoker") in followed.apis.policy(f"run/{PLACE}/services/{name}")
    }
    assert open_to_all == {"launcher", "collector"}


def test_the_clock_is_that_of_cron_yaml(followed: Followed, settings: LauncherSettings) -> None:
    jobs = [call.body for call in followed.apis.sent("POST", f"cloudscheduler/{PLACE}/jobs")]
    hosts = {"launcher": LAUNCHER, "default": COLLECTOR}
    services = {
        job.url: job.service for job in clock.read_jobs(ROOT / "cron.yaml", ROOT / "dispatch.yaml")
    }
    entries = yaml.safe_load((ROOT / "cron.yaml").read_text())["cron"]
    wanted = {
        hosts[services[e["url"]]] + e["url"]: UNIX.get(e["schedule"], e["schedule"])
        for e in entries
    }
    assert {job["httpTarget"]["uri"]: job["schedule"] for job in jobs} == wanted
    for job in jobs:
        assert job["timeZone"] == "Etc/UTC"
        assert job["httpTarget"]["httpMethod"] == "GET"
        token = job["httpTarget"]["oidcToken"]
        assert token == {"audience": settings.auth.audience, "serviceAccountEmail": CALLER}
    assert CALLER in settings.auth.service_accounts


def test_events_go_to_the_launcher(followed: Followed) -> None:
    trigger = followed.apis.made[f"eventarc/{PLACE}/triggers/dataflow"]
    assert trigger["eventFilters"] == [{"attribute": "type", "value": STATUS_CHANGED}]
    assert trigger["serviceAccount"] == CALLER
    to = {"path": "/events/dataflow", "region": REGION, "service": "launcher"}
    assert trigger["destination"]["cloudRun"] == to
    assert '"/events/dataflow"' in (ROOT / "launcher" / "routes.py").read_text()


def test_accounts_have_the_roles_that_they_need(followed: Followed) -> None:
    apis = followed.apis
    assert apis.policy(f"cloudresourcemanager/projects/{PROJECT}") == {
        *(("dfpipe-service", f"bigquery.{role}") for role in ("dataEditor", "jobUser")),
        ("dfpipe-service", "datastore.user"),
        ("dfpipe-service", "dataflow.developer"),
        *(("dfpipe-worker", f"bigquery.{role}") for role in ("dataEditor", "jobUser")),
        ("dfpipe-worker", "datastore.viewer"),
        ("dfpipe-worker", "dataflow.worker"),
        ("dfpipe-worker", "artifactregistry.reader"),
        ("dfpipe-caller", "eventarc.eventReceiver"),
    }
    assert apis.policy(f"storage/b/{PROJECT}-dfpipe") == {
        (name, "storage.objectAdmin") for name in ("dfpipe-service", "dfpipe-worker")
    }
    worker = f"iam/projects/{PROJECT}/serviceAccounts/dfpipe-worker@{PROJECT}"
    assert apis.policy(f"{worker}.iam.gserviceaccount.com") == {
        ("dfpipe-service", "iam.serviceAccountUser")
    }


def test_nothing_is_left_when_it_is_taken_away(followed: Followed) -> None:
    left = {
        key
        for key in followed.apis.kept
        if key.startswith(("run/namespaces", "cloudscheduler", "eventarc", "iam", "secretmanager"))
        and not key.endswith(" policy")
        and "/operations/" not in key
        and "/revisions/" not in key
    }
    assert left == {f"cloudscheduler/{PLACE}"}
