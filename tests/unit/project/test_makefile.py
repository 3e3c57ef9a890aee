"""How `make` installs: with stand-ins of Python and uv that write down how they are called."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.processes import ROOT

# Makes the programs of an environment; without NO_UV, pip installs uv into it.
PYTHON = """#!/bin/sh
echo "python $*" >> calls
case "$*" in
  "-m venv"*) mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
  "-m pip --python"*)
    [ -z "$NO_UV" ] || exit 1
    printf '%s\\n' '#!/bin/sh' 'echo "uv $*" >> calls' > .venv/bin/uv
    chmod +x .venv/bin/uv ;;
  "-m pip install"*) [ -z "$NO_PIP" ] ;;
esac
"""
Make = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    for name in ("Makefile", "setup.py", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)

    def run(target: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", f".venv/{target}", "PYTHON=./python"],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def calls(folder: Path) -> str:
    """What was called since the last look."""
    found = (folder / "calls").read_text() if (folder / "calls").exists() else ""
    (folder / "calls").unlink(missing_ok=True)
    return found


def test_uv_installs_the_extra(make: Make, tmp_path: Path) -> None:
    done = make("local")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Installing ")
    found = calls(tmp_path)
    assert "python -m venv --without-pip .venv\n" in found
    assert "--constraint constraints.txt pip --editable .[local]\n" in found
    assert not (tmp_path / ".venv" / "unfinished").exists()
    make("local")
    assert calls(tmp_path) == ""


@pytest.mark.parametrize("file", ["setup.py", "constraints.txt"])
def test_a_change_of_the_requirements_installs_again(make: Make, tmp_path: Path, file: str) -> None:
    make("local")
    calls(tmp_path)
    stamp = (tmp_path / ".venv" / "local").stat().st_mtime
    os.utime(tmp_path / file, (stamp + 1, stamp + 1))
    make("local")
    assert ".[local]" in calls(tmp_path)


@pytest.mark.parametrize(
    ("larger", "smaller"), [("dev", "all"), ("dev", "local"), ("all", "local")]
)
def test_the_larger_extra_has_the_smaller(
    make: Make, tmp_path: Path, larger: str, smaller: str
) -> None:
    make(smaller)
    make(larger)
    assert f".[{larger}]" in calls(tmp_path)
    make(smaller)
    assert calls(tmp_path) == ""


def test_without_uv_pip_installs_and_it_is_said(make: Make, tmp_path: Path) -> None:
    done = make("local", NO_UV="1")
    assert done.returncode == 0, done.stderr
    assert "pip installs, which takes" in done.stdout
    assert "python -m pip install --constraint constraints.txt --editable .[local]\n" in calls(
        tmp_path
    )


def test_what_an_interrupted_installation_left_is_removed(make: Make, tmp_path: Path) -> None:
    assert make("local", NO_UV="1", NO_PIP="1").returncode
    half = tmp_path / ".venv" / "half"
    half.touch()
    assert not (tmp_path / ".venv" / "local").exists()
    assert make("local").returncode == 0
    assert not half.exists()


def test_a_python_that_is_too_old(make: Make, tmp_path: Path) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\nexit 1\n")
    done = make("local")
    assert done.returncode
    assert "Python 3.11 or newer is needed" in done.stdout
    assert not (tmp_path / ".venv").exists()
