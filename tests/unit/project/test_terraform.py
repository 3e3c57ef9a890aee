"""terraform/ is well formed, and says what the other files of the deployment say."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import hcl2
import pytest
import yaml

from collector.cli.main import collector
from launcher.chains.events import STATUS_CHANGED
from launcher.settings import variables
from taskqueue.cli.main import taskqueue
from tests.support.processes import ROOT

FOLDER = ROOT / "terraform"
PROGRAM = shutil.which("terraform") or shutil.which("tofu")
CLOUD_RUN = (ROOT / "docs" / "how-to" / "cloud-run.md").read_text(encoding="utf-8")
COMMANDS = {"collector": collector, "taskqueue": taskqueue}


def plain(value: Any) -> Any:
    """What the parser has read, without its quotes and notes."""
    if isinstance(value, dict):
        return {plain(k): plain(v) for k, v in value.items() if not k.startswith("__")}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value.strip('"') if isinstance(value, str) else value


FILES = [
    plain(hcl2.loads(file.read_text(encoding="utf-8"))) for file in sorted(FOLDER.glob("*.tf"))
]
LOCALS = {k: v for file in FILES for block in file.get("locals", []) for k, v in block.items()}


def resource(kind: str, name: str = "dfpipe") -> dict[str, Any]:
    [found] = (
        block[kind][name]
        for file in FILES
        for block in file.get("resource", [])
        if name in block.get(kind, {})
    )
    assert isinstance(found, dict)
    return found


@pytest.mark.skipif(PROGRAM is None, reason="install Terraform or OpenTofu")
def test_the_files_are_formatted(tmp_path: Path) -> None:
    done = subprocess.run(
        [PROGRAM or "", "fmt", "-check", "-diff", str(FOLDER)],
        env={"HOME": str(tmp_path), "CHECKPOINT_DISABLE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_the_apis_are_those_of_the_how_to() -> None:
    [line] = (x for x in CLOUD_RUN.splitlines() if x.startswith("gcloud services enable"))
    named = {word.removesuffix(".googleapis.com") for word in line.split() if "." in word}
    assert named == set(LOCALS["apis"]) - {"billingbudgets", "monitoring"}


def test_the_clock_is_that_of_the_how_to() -> None:
    for name, (schedule, url) in LOCALS["jobs"].items():
        service, path = url.removeprefix("${local.address[").split("]}")
        variable = "$" + service.strip('"').upper()
        assert f'call {name} "{schedule}" {variable}{path}\n' in CLOUD_RUN
    entries = yaml.safe_load((ROOT / "cron.yaml").read_text(encoding="utf-8"))["cron"]
    assert len(entries) == len(LOCALS["jobs"])


def test_accounts_have_the_roles_of_the_how_to() -> None:
    for account, roles in LOCALS["roles"].items():
        one = f"grant ${account.upper()} "
        lines = [line for line in CLOUD_RUN.splitlines() if one in line]
        assert any(all(role in line for role in roles) for line in lines), account


def test_services_know_their_settings_and_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stores' variables are options of commands."""
    source = (ROOT / "service" / "auth.py").read_text(encoding="utf-8")
    for name in {**LOCALS["page_settings"], "LAUNCHER_CHAINS": ""}:
        assert name in variables() or f'"{name}"' in source, name
    monkeypatch.setenv("DFPIPE_STORE", "datastore://p")
    for pool in LOCALS["pools"].values():
        [program], [word, *args] = pool["command"], pool["args"]
        command = COMMANDS[program].all_commands()[word]
        assert isinstance(command.make_context(word, args), click.Context)


def test_the_index_and_the_template_are_those_of_the_files() -> None:
    [index] = yaml.safe_load((ROOT / "index.yaml").read_text(encoding="utf-8"))["indexes"]
    found = resource("google_firestore_index", "posts")
    assert found["collection"] == index["kind"]
    [fields] = found["dynamic"]
    assert fields["fields"]["for_each"] == [each["name"] for each in index["properties"]]
    template = resource("google_storage_bucket_object", "template")
    chain = (ROOT / "chains-dataflow.yaml").read_text(encoding="utf-8")
    assert f"gs://{{project}}-dfpipe/{template['name']}" in chain
    assert json.loads((ROOT / "metadata.json").read_text(encoding="utf-8"))["parameters"]


def test_events_of_dataflow_go_to_the_launcher() -> None:
    trigger = resource("google_eventarc_trigger", "dataflow")
    assert trigger["matching_criteria"] == [{"attribute": "type", "value": STATUS_CHANGED}]
