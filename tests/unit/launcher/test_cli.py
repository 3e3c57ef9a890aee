"""The command `launcher`: what it refuses before it serves, and ending local jobs."""

import subprocess
import sys
from pathlib import Path

import pytest

from launcher.cli import main
from launcher.jobs.local import is_alive
from tests.support.command import environment
from tests.support.processes import ROOT, wait_until

QUEUES = "queue:\n- name: default\n  rate: 5/s\n- name: pulled\n  mode: pull\n"
CHAINS = "chains:\n- name: one\n  steps:\n  - {name: a, kind: note}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a queue.yaml and a chains.yaml, as the one that the command is called in."""
    for name in [name for name in environment() if name.startswith("LAUNCHER_")]:
        monkeypatch.delenv(name)
    for name in ("DFPIPE_STORE", "DFPIPE_WAREHOUSE", "DFPIPE_TASK_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "queue.yaml").write_text(QUEUES)
    (tmp_path / "chains.yaml").write_text(CHAINS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "settings", "message"),
    [
        ([], {}, "no store is named: give --store sqlite:///FILE, or set DFPIPE_STORE"),
        (["--store=sqlite:///s.db"], {"LAUNCHER_CHAIN": "two"}, "LAUNCHER_CHAIN is 'two': give"),
        (
            ["--store=sqlite:///s.db"],
            {"LAUNCHER_SLOT": "soon"},
            "LAUNCHER_SLOT is 'soon': expected a",
        ),
        (
            ["--store=sqlite:///s.db"],
            {"LAUNCHER_CHAINS": "no.yaml"},
            "cannot read no.yaml: No such",
        ),
        (["--store=sqlite:///s.db", "--queue_yaml=no.yaml"], {}, "cannot read no.yaml: No such"),
        (["--store=mysql:///s.db"], {}, "mysql:///s.db"),
        (["--port=x"], {}, "'x' is not a valid integer"),
        (["--store=sqlite:///s.db"], {"LAUNCHER_QUEUE": "two"}, "queue 'two' is not defined"),
        (["--store=sqlite:///s.db"], {"LAUNCHER_QUEUE": "pulled"}, "LAUNCHER_QUEUE is 'pulled', a"),
        (
            ["--store=sqlite:///s.db"],
            {"DFPIPE_WAREHOUSE": "no://x"},
            "'no://x' is not the URL of a warehouse",
        ),
        (
            ["--store=sqlite:///s.db"],
            {"LAUNCHER_URL": "http://[::1"},
            "expected a URL of the form https://HOST",
        ),
    ],
    ids=[
        *("no store", "chain", "slot", "no chains.yaml", "no queue.yaml", "store", "port"),
        *("queue", "pull queue", "warehouse", "url"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    words: list[str],
    settings: dict[str, str],
    message: str,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main(["serve", *words])
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("launcher: ")
    assert message in line


def test_local_jobs_are_ended(here: Path) -> None:
    folder = here / "jobs" / "a-job"
    folder.mkdir(parents=True)
    (folder / "job.json").write_text('{"words": ["sleep", "600"], "started": 0}')
    settings = environment({"LAUNCHER_JOBS_FOLDER": str(here / "jobs"), "PYTHONPATH": str(ROOT)})
    wrapper = [sys.executable, "-m", "launcher.jobs.wrapper", str(folder)]
    end = [sys.executable, "-m", "launcher", "end-jobs"]
    with subprocess.Popen(wrapper, env=settings, start_new_session=True) as job:
        try:
            wait_until(lambda: (folder / "pid").exists() and bool((folder / "pid").read_text()))
            said = subprocess.run(end, env=settings, capture_output=True, text=True, check=True)
            assert said.stdout == "job a-job is ended\n"
            job.wait(60)
            wait_until(lambda: not is_alive(folder))
        finally:
            job.kill()
    again = subprocess.run(end, env=settings, capture_output=True, text=True, check=True)
    assert again.stdout == ""
