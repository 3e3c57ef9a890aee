"""The documents are true: what they say is printed is printed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.datastore_emulator import Emulator
from tests.support.documents import DOCUMENTS, ROOT, blocks, is_as_written, name, steps, type_in

SECONDS = re.compile(r"in [\d.]+ s:")
DEMO = """
import sys
from datetime import datetime
from pathlib import Path
from dfpipe.commands.demo import show_demo
sys.argv = [".venv/bin/dfpipe"]
show_demo(Path("demo"), datetime.fromisoformat("{}"))
"""


def follow(document: Path, folder: Path, env: dict[str, str] | None = None) -> int:
    """Save its files and type its commands, in their order; return the number of commands."""
    count = 0
    for block in blocks(document):
        if block.file:
            (folder / block.file).write_text(block.body, encoding="utf-8")
        for step in steps(block) if block.language == "console" else ():
            found = type_in(step.command, folder, env)
            assert is_as_written(step.output, found), f"$ {step.command}\n{found}"
            count += 1
    return count


def commands(document: Path) -> str:
    return "".join(block.body for block in blocks(document) if block.language == "console")


CLOUD = [path for path in DOCUMENTS if "datastore://" in commands(path)]
LOCAL = [path for path in DOCUMENTS if commands(path) and path not in CLOUD]


@pytest.mark.parametrize("document", LOCAL, ids=name)
def test_commands_print_what_is_written(document: Path, tmp_path: Path) -> None:
    follow(document, tmp_path)


@pytest.mark.parametrize("document", CLOUD, ids=name)
def test_commands_for_the_cloud_work_on_emulators(
    document: Path, tmp_path: Path, datastore_emulator: Emulator, bigquery_emulator: str
) -> None:
    datastore_emulator.reset()
    env = {
        "DATASTORE_EMULATOR_HOST": datastore_emulator.host,
        "BIGQUERY_EMULATOR_HOST": bigquery_emulator,
    }
    assert follow(document, tmp_path, env) > 2


def test_another_output_is_found_out(tmp_path: Path) -> None:
    document = tmp_path / "wrong.md"
    document.write_text("```console\n$ dfpipe --version\ndfpipe, version ... or so\n```\n")
    with pytest.raises(AssertionError, match="dfpipe --version"):
        follow(document, tmp_path)


def test_the_demo_prints_what_the_readme_shows(tmp_path: Path) -> None:
    (shown,) = (
        block.body for block in blocks(ROOT / "README.md") if block.body.startswith("$ make demo\n")
    )
    written = shown.removeprefix("$ make demo\n")
    now = re.search(r"^Today: .* run (\S+) is in", written, re.MULTILINE)
    assert now
    done = subprocess.run(
        [sys.executable, "-c", DEMO.format(now[1])],
        cwd=tmp_path,
        env={**os.environ, "PATH": os.defpath, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    written, found = (SECONDS.sub("in some s:", text) for text in (written, done.stdout))
    assert is_as_written(written, f".venv/bin/dfpipe demo\n{found}"), found
