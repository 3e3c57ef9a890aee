"""The commands of the cloud how-tos, read by gcloud's own parser; `make gcloud` runs them."""

import shlex

import pytest

from tests.support.documents import DOCUMENTS
from tests.support.gcloud import APP_ENGINE, CLOUD_RUN, named_in_text, recorded, refused

WRONG = [
    ["run", "deploy", "launcher", "--region=europe-west1", "--imgae=service"],
    ["eventarc", "trigger", "create", "dataflow"],
    ["pubsub", "subscriptions", "create", "dataflow-jobs"],
]


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """What the documents call gcloud with, once for each kind of call."""
    found = [
        call
        for document in (CLOUD_RUN, APP_ENGINE)
        for call in recorded(document, tmp_path_factory.mktemp(document.stem))
    ]
    found += [call for document in DOCUMENTS for call in named_in_text(document)]
    return list({kind(call): call for call in found}.values())


def kind(call: list[str]) -> tuple[object, ...]:
    """What gcloud's parser, which is slow, need not see twice."""
    words = [word for word in call if not word.startswith("-")]
    options = sorted(word.split("=")[0] for word in call if word.startswith("-"))
    return *words[:3], len(words), *options


@pytest.fixture(scope="module")
def said(calls: list[list[str]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the parser says: it is started once, as that takes long."""
    return refused([*calls, *WRONG], tmp_path_factory.mktemp("parser"))


def test_gcloud_would_take_every_command(calls: list[list[str]], said: dict[str, str]) -> None:
    assert len(calls) > 30
    assert ["config", "set", "project", "my-project"] in calls
    wrong = [shlex.join(["gcloud", *call]) for call in WRONG]
    assert {call: why for call, why in said.items() if call not in wrong} == {}


def test_gcloud_refuses_what_is_wrong(said: dict[str, str]) -> None:
    """So that the test above tells something."""
    assert all(said[shlex.join(["gcloud", *call])] for call in WRONG)
