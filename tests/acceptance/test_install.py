"""The wheel with each extra alone: every command starts, and works or names the extra it needs."""

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.support.command import environment
from tests.support.missing import missing
from tests.support.processes import ROOT, wait_until
from tests.support.serving import free_ports

UV = [sys.executable, "-m", "uv"]
COMMANDS = ("collector", "dfpipe", "launcher", "taskqueue", "workflow")
# Commands that each extra is for.
USES = {
    "local": (
        "dfpipe import posts.jsonl --store sqlite:///posts.db",
        "dfpipe run --store sqlite:///posts.db --sink duckdb:///results.duckdb",
        "dfpipe query popular_words --sink duckdb:///results.duckdb",
    ),
    "services": (
        "taskqueue addtask --store sqlite:///queues.db --url /work",
        "workflow run workflow.common.Sum 1 2",
    ),
    "collector": ("collector accounts --store sqlite:///accounts.db",),
    "launcher": ("launcher end-jobs",),
}
# Packages of which every module can be imported with an extra.
PACKAGES = {
    "local": ("dfpipe",),
    "services": ("service", "taskqueue", "workflow"),
    "collector": ("collector",),
    "launcher": (),
    "all": ("dfpipe", "service", "taskqueue", "workflow", "collector", "launcher", "system"),
}
IMPORT = """
import importlib, pkgutil, sys
for package in map(importlib.import_module, sys.argv[1:]):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        # The second is run only when the package is built; the third needs the extra `beam`.
        if not module.name.endswith(("__main__", "warehouse.translate", "slices.bucket")):
            importlib.import_module(module.name)
"""
MISSING = re.compile(
    r"[a-z]+: the package \S+ is not installed: run `pip install 'dfpipe\[(.*)\]'`\n"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution as an index would get it."""
    folder = tmp_path_factory.mktemp("wheel")
    _uv("build", "--quiet", "--out-dir", str(folder), str(ROOT))
    [found] = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module", params=["", *USES, "all"], ids=["base", *USES, "all"])
def installed(
    request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """An extra, and the folder of the programs of an environment with it alone."""
    extra = str(request.param)
    folder = tmp_path_factory.mktemp(extra or "base")
    _uv("venv", "--quiet", "--python", sys.executable, str(folder))
    wanted = f"dfpipe[{extra}] @ {wheel.as_uri()}" if extra else str(wheel)
    python = ("--python", str(folder / "bin" / "python"))
    _uv("pip", "install", "--quiet", *python, "-c", str(ROOT / "constraints.txt"), wanted)
    return extra, folder / "bin"


def _uv(*args: str) -> None:
    done = subprocess.run([*UV, *args], capture_output=True, text=True, check=False)
    if "Failed to fetch" in done.stderr:
        missing("The package index", "check the network")
    assert done.returncode == 0, done.stderr


def ran(program: Path, *args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *args],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_every_command_starts(installed: tuple[str, Path], tmp_path: Path) -> None:
    _, programs = installed
    calls = [(name, word) for name in COMMANDS for word in ("--help", "--version")]
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda call: ran(programs / call[0], call[1], cwd=tmp_path), calls))
    assert [(each.returncode, each.stderr) for each in done] == [(0, "")] * len(calls)


def test_every_command_works_or_names_its_extra(
    installed: tuple[str, Path], tmp_path: Path
) -> None:
    extra, programs = installed
    post = {
        "tid": 1,
        "user": "anna",
        "text": "a storm",
        "created_at": f"{datetime.now(UTC):%FT%TZ}",
    }
    (tmp_path / "posts.jsonl").write_text(json.dumps(post))
    for needed, lines in USES.items():
        for line in lines:
            program, *args = line.split()
            done = ran(programs / program, *args, cwd=tmp_path)
            told = MISSING.fullmatch(done.stderr)
            if extra in (needed, "all"):
                assert (done.returncode, told) == (0, None), (line, done.stderr)
            elif done.returncode:
                assert done.stderr.count("\n") == 1, (line, done.stderr)
                assert not told or told[1] == needed, line


def test_serve_works_or_names_its_extra(installed: tuple[str, Path], tmp_path: Path) -> None:
    extra, programs = installed
    if extra != "all":
        told = MISSING.fullmatch(ran(programs / "dfpipe", "serve", cwd=tmp_path).stderr)
        assert told
        assert told[1] == "all"
        return
    # The folder has none of the YAML files: those of the wheel are read.
    log = tmp_path / "log"
    with log.open("w") as output:
        system = subprocess.Popen(
            [programs / "dfpipe", "serve", f"--port={free_ports()}"],
            cwd=tmp_path,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: "analysis" in log.read_text(), seconds=240)
    finally:
        system.terminate()
        assert system.wait(60) == 0, log.read_text()


def test_every_module_of_its_packages_can_be_imported(
    installed: tuple[str, Path], tmp_path: Path
) -> None:
    extra, programs = installed
    done = ran(programs / "python", "-c", IMPORT, *PACKAGES.get(extra, ()), cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_metadata_of_the_wheel(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        [file] = (name for name in names if name.endswith(".dist-info/METADATA"))
        found = HeaderParser().parsestr(archive.read(file).decode())
    for field in ("Author", "Summary", "License", "Keywords", "Requires-Python"):
        assert found[field], field
    labels = {line.split(",")[0] for line in found.get_all("Project-URL") or []}
    assert labels >= {"Changelog", "Documentation", "Issues", "Source"}
    # A README on the page of an index is far from the files that it links to.
    links = re.findall(r'\]\(([^)]+)\)|(?:src|srcset)="([^"]+)"', str(found.get_payload()))
    assert all(link.startswith(("https://", "#")) for pair in links for link in pair if link)
    packages = [path.name for path in ROOT.iterdir() if (path / "__init__.py").is_file()]
    installed = {name.split("/")[0] for name in names if name.endswith(".py")}
    assert {f"{name}/py.typed" for name in installed} <= set(names)
    assert installed == set(packages) - {"tests", "benchmarks"}


@pytest.mark.parametrize("python", ["3.11.0", "3.12", "3.13", "3.14"])
def test_the_constraints_can_be_installed_on(python: str) -> None:
    given = ("--python-version", python, "--extra", "dev", "-c", str(ROOT / "constraints.txt"))
    _uv("pip", "compile", "--quiet", *given, str(ROOT / "setup.py"))


def test_the_constraints_are_those_of_setup_py(tmp_path: Path) -> None:
    """`make constraints` would change nothing."""
    before = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    file = tmp_path / "constraints.txt"
    file.write_text(before, encoding="utf-8")
    given = ("--universal", "--python-version", "3.11", "--no-annotate", "--extra", "dev")
    _uv("pip", "compile", "--quiet", *given, "-o", str(file), str(ROOT / "setup.py"))

    def pins(text: str) -> list[str]:
        return [line for line in text.splitlines() if not line.startswith("#")]

    assert pins(file.read_text(encoding="utf-8")) == pins(before), "run `make constraints`"
