"""The help of the five commands: quick, and there without any extra."""

import subprocess
import sys
from pathlib import Path

import pytest

from collector.cli.main import collector
from dfpipe import cli
from launcher.cli import launcher
from service.cli import ServiceGroup
from taskqueue.cli.main import taskqueue
from tests.support.processes import ROOT
from workflow.cli.main import workflow

MAINS = {
    "collector": "collector.cli.main",
    "dfpipe": "dfpipe.cli",
    "launcher": "launcher.cli",
    "taskqueue": "taskqueue.cli.main",
    "workflow": "workflow.cli.main",
}
GROUPS = {group.name or "": group for group in (collector, launcher, taskqueue, workflow)}
OURS = {"collector", "dfpipe", "launcher", "service", "system", "taskqueue", "workflow"}
# Prints the libraries that are imported to show the help. The package `google` is a namespace that
# the interpreter makes when it starts.
PROGRAM = """
import contextlib, importlib, io, sys
before = set(sys.modules)
try:
    with contextlib.redirect_stdout(io.StringIO()):
        importlib.import_module(sys.argv[1]).main([sys.argv[2]])
except SystemExit as end:
    assert not end.code
tops = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(tops - sys.stdlib_module_names))
"""


@pytest.mark.parametrize("word", ["--help", "--version"])
@pytest.mark.parametrize("module", MAINS.values(), ids=MAINS)
def test_help_and_version_need_no_library_but_click(module: str, word: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, module, word],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) - OURS == {"click"}


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_the_short_help_is_the_command_s_own(
    group: ServiceGroup, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        group.run(["--help"])
    listed = capsys.readouterr().out.partition("Commands:\n")[2]
    for name, command in group.all_commands().items():
        assert command.name == name
        assert f"  {name}  " in listed
        assert " ".join((command.short_help or "").split()) in " ".join(listed.split())


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_every_command_of_a_module_is_listed(group: ServiceGroup) -> None:
    modules = {
        sys.modules[c.callback.__module__] for c in group.all_commands().values() if c.callback
    }
    written = {c.name for module in modules for c in getattr(module, "COMMANDS", ())}
    assert written <= set(group.all_commands())


@pytest.mark.parametrize(
    ("words", "package", "extra"),
    [
        (["stopwords"], "dfpipe.commands.stopwords", "local"),
        (["serve"], "system.system", "all"),
    ],
    ids=["own", "added"],
)
def test_a_library_that_dfpipe_needs(
    words: list[str],
    package: str,
    extra: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert end.value.code == 1
    assert capsys.readouterr().err == (
        f"dfpipe: the package {package} is not installed: run `pip install 'dfpipe[{extra}]'`\n"
    )


def test_a_library_that_is_missing_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "collector.cli.letters", raising=False)
    monkeypatch.setitem(sys.modules, "service.tables", None)
    with pytest.raises(SystemExit) as end:
        collector.run(["deadletters", "list"])
    assert end.value.code == 1
    assert capsys.readouterr().err == (
        "collector: the package service.tables is not installed: "
        "run `pip install 'dfpipe[collector]'`\n"
    )
