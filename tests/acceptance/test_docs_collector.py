"""The collector's reference names all that there is, and its documents' commands are real."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from collector import metrics, sources
from collector.cli.main import collector
from collector.fetching import dead_letters, limits
from collector.fetching.accounts import KIND
from collector.fetching.scheduling import QUEUE as TIMELINE
from collector.fetching.scheduling import SLOT
from collector.ingest.intake import QUEUE as INGEST
from collector.openapi import DESCRIPTION
from collector.settings import CollectorSettings
from service.environment import variable_of
from taskqueue import read_config
from tests.support.documents import DOCUMENTS, ROOT, blocks, name

REFERENCE = (ROOT / "docs" / "reference" / "collector.md").read_text(encoding="utf-8")


def is_shown(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Option) and not parameter.hidden


def test_every_command_and_option_is_in_the_reference() -> None:
    _, *sections = re.split(r"^### ", REFERENCE, flags=re.MULTILINE)
    told = {section.split("\n", 1)[0].strip("`"): section for section in sections}
    for command_name, command in collector.all_commands().items():
        section = told[f"collector {command_name}"]
        inner = command.commands if isinstance(command, click.Group) else {"": command}
        for inner_name, each in inner.items():
            assert f"collector {command_name} {inner_name}".strip() in section
            for option in (o for p in each.params if is_shown(p) for o in p.opts):
                assert option in section or option == "--store", f"{command_name} {option}"
    for option in (o for p in collector.params for o in p.opts):
        assert f"`{option}`" in REFERENCE


def test_every_setting_is_in_the_reference() -> None:
    fields = (name for name in CollectorSettings.model_fields if name != "auth")
    names = {variable_of(CollectorSettings, name) for name in fields}
    assert len(names) > 15
    assert {each for each in names if f"`{each}`" not in REFERENCE} == set()
    assert set(re.findall(r"`(COLLECTOR_\w+)`", REFERENCE)) <= names


def test_every_route_account_metric_and_kind_is_in_the_reference() -> None:
    for path, methods in DESCRIPTION["paths"].items():
        for method in methods:
            assert f"| `{method.upper()} {path}` |" in REFERENCE
    source = Path(metrics.__file__).read_text(encoding="utf-8")
    for metric in re.findall(r'"(collector_\w+)"', source):
        assert f"`{metric}`" in REFERENCE or f"`{metric}_total`" in REFERENCE
    for source_name in sources.names():
        assert f"| `{source_name}:" in REFERENCE
    for kind in (KIND, dead_letters.KIND, limits.KIND):
        assert f"| `{kind}` |" in REFERENCE


def typed() -> Iterator[tuple[str, str]]:
    """Every line of a document's shell blocks that begins with the command."""
    for document in DOCUMENTS:
        for block in blocks(document):
            if block.language == "sh":
                for line in block.body.splitlines():
                    if line.startswith("collector "):
                        yield name(document), line.rstrip(" &")


@pytest.mark.parametrize(("document", "line"), list(typed()))
def test_every_command_in_the_documents_is_one(document: str, line: str) -> None:
    words = shlex.split(line)[1:]
    command = collector.all_commands()[words[0]]
    with command.make_context(words[0], words[1:]) as context:
        if "account" in context.params:
            source, _, account = context.params["account"].partition(":")
            assert sources.canonical_name(source, account)


def test_app_engine_is_told_the_routes_and_the_times() -> None:
    described = DESCRIPTION["paths"]
    cron = yaml.safe_load((ROOT / "cron.yaml").read_text())["cron"]
    schedules = {entry["url"]: entry["schedule"] for entry in cron}
    assert schedules["/timeline"] == f"every {SLOT.seconds // 60} minutes"
    assert schedules["/purge"].startswith("every day ")
    routes = yaml.safe_load((ROOT / "dispatch.yaml").read_text())["dispatch"]
    services = {route["url"]: route["service"] for route in routes}
    for path in ("/timeline", "/purge", "/tasks/timeline", "/tasks/purge", "/ingest"):
        assert path in described
        assert services[f"*{path}"] == "default"
    app = yaml.safe_load((ROOT / "collector" / "app.yaml").read_text())
    assert app["service"] == "default"
    assert "collector.app:create_app()" in app["entrypoint"]


def test_queue_yaml_defines_the_queues() -> None:
    queues = read_config(ROOT / "queue.yaml").queues
    assert (queues[TIMELINE].is_pull, queues[INGEST].is_pull) == (False, True)
