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
    for name in ("DFPIPE_STORE", "DFPIPE_SINK", "DFPIPE_TASK_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "queue.yaml").write_text(QUEUES)
    (tmp_path / "chains.yaml").write_text(CHAINS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("argv", "settings", "message"),
    [
        ([], {}, "no store: give --store sqlite:///FILE, or set DFPIPE_STORE"),
        (
            ["--store=sqlite:///s.db"],
            {"LAUNCHER_CHAIN": "two"},
            "LAUNCHER_CHAIN is 'two': expected",
        ),
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
        (["--store=sqlite:///s.db", "--queue-yaml=no.yaml"], {}, "cannot read no.yaml: No such"),
        (["--store=mysql:///s.db"], {}, "mysql:///s.db"),
        (["--port=x"], {}, "'x' is not a valid integer"),
        (["--store=sqlite:///s.db"], {"LAUNCHER_QUEUE": "two"}, "queue 'two' is not defined"),
        (["--store=sqlite:///s.db"], {"LAUNCHER_QUEUE": "pulled"}, "LAUNCHER_QUEUE is 'pulled', a"),
        (
            ["--store=sqlite:///s.db"],
            {"DFPIPE_SINK": "no://x"},
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
    argv: list[str],
    settings: dict[str, str],
    message: str,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main(["serve", *argv])
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("launcher: ")
    assert message in line


def test_check_says_everything_that_is_wrong(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {
        "LAUNCHER_SLOT": "soon",
        "LAUNCHER_LOOK": "all",
        "LAUNCHER_OVERLAPS": "wait",
        "LAUNCHER_QUEUE": "pulled",
        "LAUNCHER_CHAIN": "two",
        "DFPIPE_TASK_TOKEN": "short",
        "DFPIPE_STORE": "sqlite:///store.db",
    }
    (here / "chains.yaml").write_text(
        CHAINS + "  - {name: b, kind: flex-template, template: t, parameters: {source: '{store}'}}"
    )
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main(["check"])
    lines = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    for message in (
        "LAUNCHER_SLOT is 'soon': expected",
        "is 'all': expected",
        "DFPIPE_TASK_TOKEN has 5 characters",
        "LAUNCHER_OVERLAPS is not a setting of the launcher: did you mean LAUNCHER_OVERLAP?",
        "LAUNCHER_QUEUE is 'pulled', a pull queue",
        "LAUNCHER_CHAIN is 'two': expected one of one",
        "the step a reads the warehouse: set DFPIPE_SINK",
        "the step b runs on Dataflow: set LAUNCHER_DATAFLOW_PROJECT",
        "the step b: source is sqlite:///store.db, a file of this machine",
    ):
        assert len([line for line in lines if message in line]) == 1, (message, lines)
    assert len(lines) == 9


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("LAUNCHER_CHAINS", "no.yaml", "cannot read no.yaml"),
        ("DFPIPE_STORE", "", "DFPIPE_STORE is not set"),
        ("DFPIPE_STORE", "sqlite:///queue.yaml", "queue.yaml"),
        ("DFPIPE_SINK", "duckdb:///queue.yaml", "queue.yaml"),
        ("DFPIPE_TASK_AUDIENCE", "x", "DFPIPE_TASK_SERVICE_ACCOUNTS"),
    ],
)
def test_check_opens_what_the_settings_name(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
    message: str,
) -> None:
    monkeypatch.setenv("DFPIPE_STORE", "sqlite:///store.db")
    monkeypatch.setenv("DFPIPE_SINK", "duckdb:///results.duckdb")
    with pytest.raises(SystemExit) as ended:
        main(["check"])
    assert (ended.value.code, capsys.readouterr().err) == (0, "")
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main(["check"])
    [line] = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert message in line


def test_local_jobs_are_ended(here: Path) -> None:
    folder = here / "jobs" / "a-job"
    folder.mkdir(parents=True)
    (folder / "job.json").write_text('{"argv": ["sleep", "600"], "started": 0}')
    settings = environment({"LAUNCHER_JOBS_FOLDER": str(here / "jobs"), "PYTHONPATH": str(ROOT)})
    wrapper = [sys.executable, "-m", "launcher.jobs.wrapper", str(folder)]
    end = [sys.executable, "-m", "launcher", "end-jobs"]
    with subprocess.Popen(wrapper, env=settings, start_new_session=True) as job:
        try:
            wait_until(lambda: (folder / "pid").exists() and bool((folder / "pid").read_text()))
            said = subprocess.run(end, env=settings, capture_output=True, text=True, check=True)
            assert said.stdout == "ended job a-job\n"
            job.wait(60)
            wait_until(lambda: not is_alive(folder))
        finally:
            job.kill()
    again = subprocess.run(end, env=settings, capture_output=True, text=True, check=True)
    assert again.stdout == ""
