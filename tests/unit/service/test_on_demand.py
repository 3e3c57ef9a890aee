"""Public names that are imported when they are first used."""

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

import taskqueue
import workflow
from tests.support.processes import ROOT

PACKAGES = ("taskqueue", "workflow")


def for_type_checkers(package: str) -> Iterator[tuple[str, str]]:
    """The names that a package imports for type checkers, each with its module."""
    for node in ast.walk(ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{package}."):
            yield from ((alias.name, node.module or "") for alias in node.names)


@pytest.mark.parametrize("package", PACKAGES)
def test_each_name_is_what_type_checkers_see(package: str) -> None:
    loaded, typed = importlib.import_module(package), dict(for_type_checkers(package))
    assert sorted(typed) == sorted(loaded.__all__)
    for name, module in typed.items():
        assert getattr(loaded, name) is getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_package_alone_imports_no_library(package: str) -> None:
    program = (
        f"import sys; before = set(sys.modules); import {package}\n"
        "tops = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(tops - sys.stdlib_module_names))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == sorted({package, "service"})


def test_queues_need_no_pydantic() -> None:
    program = "import sys, taskqueue; taskqueue.add; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'taskqueue' has no attribute 'nothing'"):
        taskqueue.nothing  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'nothing' from 'workflow'"):
        exec("from workflow import nothing")


def test_stages_of_the_common_ones_alone_run_in_test_mode() -> None:
    program = (
        "from workflow import common\n"
        "stage = common.Sum(1, 2)\n"
        "stage.start_test()\n"
        "print(stage.outputs.default.value)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("3\n", "")
    assert workflow.Pipeline
