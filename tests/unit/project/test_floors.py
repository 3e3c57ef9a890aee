"""Imports point downward only: the floors of docs/explanation/architecture.md."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# What each package may import of the others; `dfpipe.datastore` alone where that is all it needs.
FLOORS = {
    "dfpipe": set(),
    "service": set(),
    "taskqueue": {"dfpipe.datastore", "service"},
    "workflow": {"dfpipe.datastore", "service", "taskqueue"},
    "collector": {"dfpipe", "service", "taskqueue"},
    "launcher": {"dfpipe", "service", "taskqueue", "workflow"},
    "system": {"dfpipe", "service"},
}
# The rooms of dfpipe that a tool without Beam may use.
NO_BEAM = [
    "cli",
    "settings",
    "analysis.pairs",
    "analysis.ranking",
    "analysis.stopwords",
    "analysis.text",
    "datastore",
    "engines.read_ahead",
    "posts.importing",
    "posts.reading",
    "warehouse",
]


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def violations(package: str, file: Path) -> Iterator[str]:
    for name in imports(file):
        floor = name.partition(".")[0]
        if floor not in FLOORS or floor == package:
            continue
        below = FLOORS[package]
        if not any(name == room or name.startswith(f"{room}.") for room in below) and not any(
            room.startswith(f"{name}.") for room in below
        ):
            yield f"{file.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("package", [name for name in FLOORS if (ROOT / name).is_dir()])
def test_imports_point_downward(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    assert [v for file in files for v in violations(package, file)] == []


def test_the_check_sees_an_upward_import(tmp_path: Path) -> None:
    upward = ROOT / "dfpipe" / "errors.py"
    assert list(violations("taskqueue", upward)) == []
    file = tmp_path / "upward.py"
    file.write_text("from taskqueue import Task\nimport dfpipe.analysis.text\n")
    names = [name for name in imports(file) if name.partition(".")[0] in FLOORS]
    assert names == ["taskqueue", "taskqueue.Task", "dfpipe.analysis.text"]


@pytest.mark.parametrize("room", NO_BEAM)
def test_rooms_that_need_no_beam_do_not_import_it(room: str) -> None:
    check = f"import sys, dfpipe.{room}; sys.exit('apache_beam' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=False).returncode == 0
