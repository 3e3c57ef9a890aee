"""The launcher's documents name all that there is, and what they show is taken."""

import re
from pathlib import Path

from launcher import metrics, settings
from launcher.app import create_app
from launcher.chains import chains, records
from launcher.chains.places import COMMON
from launcher.settings import OVERLAPS
from service.auth import OLD_PAGE_ACCESS, PAGE_ACCESS
from tests.support.launching import settings_in, unbind
from tests.support.processes import ROOT

REFERENCE = (ROOT / "docs/reference/launcher.md").read_text(encoding="utf-8")
HOW_TO = (ROOT / "docs/how-to/launch.md").read_text(encoding="utf-8")


def test_every_setting_is_in_the_reference() -> None:
    names = {*settings.variables(), PAGE_ACCESS, OLD_PAGE_ACCESS, settings.PROJECT}
    assert len(names) > 20
    assert {each for each in names if f"`{each}`" not in REFERENCE} == set()


def test_every_route_is_in_the_reference(tmp_path: Path) -> None:
    app = create_app(settings_in(tmp_path))
    for rule in app.url_map.iter_rules():
        if (
            rule.endpoint.startswith(("pages.", "service.", "workflow."))
            or rule.endpoint == "static"
        ):
            continue
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            assert f"`{method} {rule.rule}`" in REFERENCE
    unbind()


def test_every_word_of_chains_yaml_is_in_the_reference() -> None:
    words = (*chains.KINDS, *chains.ON_FAILURE, *chains.Step.model_fields, *OVERLAPS)
    assert {word for word in words if f"`{word}`" not in REFERENCE} == set()
    assert {place for place in COMMON if f"`{{{place}}}`" not in REFERENCE} == set()


def test_every_metric_and_kind_is_in_the_reference() -> None:
    source = Path(metrics.__file__).read_text(encoding="utf-8")
    for name in (
        *re.findall(r'"(launcher_\w+)"', source),
        records.EXECUTION,
        records.JOB,
        records.CHAIN,
    ):
        assert f"`{name}`" in REFERENCE


def test_the_chain_in_the_how_to_is_taken() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", HOW_TO, re.DOTALL)
    (chain,) = chains.parse_chains(block).values()
    assert [step.name for step in chain.steps] == ["export", "words", "links", "note"]
