"""What is installed with the collector, and that a pipeline's worker has none of it."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from collector.openapi import DESCRIPTION
from dfpipe.version import VERSION
from tests.support.processes import ROOT

CLIENTS = ("atproto", "Mastodon.py", "tweepy")


def lists() -> dict[str, list[str]]:
    """The lists of requirements in setup.py by their names."""
    module = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    found = {}
    for node in module.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.List):
            constants = [item for item in node.value.elts if isinstance(item, ast.Constant)]
            found[ast.unparse(node.targets[0])] = [str(item.value) for item in constants]
    return found


def names(requirements: list[str]) -> set[str]:
    return {requirement.split(">")[0].split("=")[0] for requirement in requirements}


def test_a_worker_of_the_pipeline_installs_no_client_of_a_network() -> None:
    found = lists()
    assert names(found["COLLECTOR"]).issuperset(CLIENTS)
    for name in ("WORKER", "LOCAL", "SERVICES"):
        assert names(found[name]).isdisjoint(CLIENTS)


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_the_collector_imports_no_beam() -> None:
    check = "import sys, collector.app, collector.cli.main; sys.exit('apache_beam' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=False).returncode == 0
    for file in (ROOT / "collector").rglob("*.py"):
        assert not any(name.startswith("apache_beam") for name in imported(file)), file


def test_the_service_tells_its_version() -> None:
    assert DESCRIPTION["info"]["version"] == VERSION
