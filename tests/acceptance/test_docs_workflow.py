"""The workflows' reference names all that there is, and the commands in the documents are real."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import click
import pytest
import yaml
from flask import Flask

from service import auth
from service.environment import variable_of
from taskqueue import read_config
from tests.support.documents import DOCUMENTS, ROOT, blocks, name
from workflow import common
from workflow.cli.main import workflow
from workflow.mail import MailSettings
from workflow.pipeline import DEFAULT_BASE_PATH, Pipeline
from workflow.settings import QUEUES_STORE, WorkflowSettings
from workflow.web import handlers

REFERENCE = (ROOT / "docs" / "reference" / "workflow.md").read_text(encoding="utf-8")


def options(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            yield from parameter.opts


@pytest.mark.parametrize("command", sorted(workflow.all_commands()))
def test_every_command_and_option_is_in_the_reference(command: str) -> None:
    assert f"| `workflow {command}" in REFERENCE
    rows = [line for line in REFERENCE.splitlines() if line.startswith("| `--")]
    for option in options(workflow.all_commands()[command]):
        (row,) = (line for line in rows if re.search(rf"`{option}\b", line.split("|")[1]))
        of = row.split("|")[2].strip()
        assert of == "all" or command in of.split(", "), option


def test_no_option_is_made_up() -> None:
    known = {option for command in workflow.all_commands().values() for option in options(command)}
    known |= set(options(workflow))
    assert set(re.findall(r"(?<=`)--[\w-]+", REFERENCE)) <= known


def test_every_setting_is_in_the_reference() -> None:
    models = (WorkflowSettings, MailSettings)
    names = {variable_of(model, name) for model in models for name in model.model_fields}
    names -= {"-auth", "-mail"}
    source = Path(auth.__file__).read_text(encoding="utf-8")
    names |= set(re.findall(r'"(DFPIPE_\w+)"', source))
    names.add(QUEUES_STORE)
    assert len(names) >= 12
    assert {each for each in names if f"`{each}`" not in REFERENCE} == set()
    assert set(re.findall(r"`((?:WORKFLOW|TASKQUEUE)_[A-Z_]+)`", REFERENCE)) <= names


def test_every_endpoint_is_in_the_reference() -> None:
    app = Flask("documents")
    app.register_blueprint(handlers.create_blueprint())
    section = REFERENCE.partition("## Endpoints")[2].partition("\n## ")[0]
    words = [word for word in re.findall(r"`([^`]+)`", section) if "/" in word]
    told = {urlsplit(word.split(" ")[-1]).path for word in words}
    rules = [rule.rule for rule in app.url_map.iter_rules()]
    paths = {
        rule.removeprefix(DEFAULT_BASE_PATH)
        for rule in rules
        if rule.startswith(DEFAULT_BASE_PATH) and "<" not in rule
    }
    assert len(paths) > 20
    assert paths <= told
    assert told - paths == {DEFAULT_BASE_PATH}


def test_methods_in_the_reference_are_real() -> None:
    stages = REFERENCE.partition("## Stages")[2].partition("\n## ")[0]
    for method in re.findall(r"`(?:stage\.|Class\.)?(\w+)\(", stages):
        assert hasattr(Pipeline, method) or method in ("After", "InOrder"), method
    needs = stages.partition("common needs")[2].partition(")")[0]
    for class_name in re.findall(r"`(\w+)`", needs):
        assert hasattr(common, class_name)


def typed() -> Iterator[tuple[str, str]]:
    """Every line of a document's shell blocks that begins with the command."""
    for document in DOCUMENTS:
        for block in blocks(document):
            if block.language == "sh":
                for line in block.body.splitlines():
                    if line.startswith("workflow "):
                        yield name(document), line.rstrip(" &")


@pytest.mark.parametrize(("document", "line"), list(typed()))
def test_every_command_in_the_documents_is_one(document: str, line: str) -> None:
    words = shlex.split(line)[1:]
    assert workflow.all_commands()[words[0]].make_context(words[0], words[1:])


def test_a_queue_and_a_cron_are_there_for_workflows() -> None:
    queue = read_config(ROOT / "queue.yaml").queues["workflow"]
    assert not queue.is_pull
    assert queue.retry.task_retry_limit is None
    cron = yaml.safe_load((ROOT / "cron.yaml").read_text())["cron"]
    schedules = {entry["url"]: entry["schedule"] for entry in cron}
    assert schedules[f"{DEFAULT_BASE_PATH}/reap"] == "every 5 minutes"
