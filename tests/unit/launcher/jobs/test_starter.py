"""The starter of local jobs, as the process `launcher job-starter`."""

import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psutil
import pytest

from launcher.jobs import JobState, JobStatus, starter
from launcher.jobs.local import LocalRunner
from tests.support.command import environment
from tests.support.jobs import python, spec
from tests.support.processes import process, wait_until

SECRET = "a-secret-of-the-services"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of jobs with a starter that is ready."""
    folder = tmp_path_factory.mktemp("jobs")
    with starting(folder):
        yield folder


def starting(folder: Path) -> AbstractContextManager["subprocess.Popen[Any]"]:
    variables = {"LAUNCHER_JOBS_FOLDER": str(folder), "DFPIPE_TASK_TOKEN": SECRET}
    variables |= {"DFPIPE_STORE": f"sqlite:///{folder}/posts.db"}
    return process("-m", "launcher", "job-starter", env={**environment(), **variables})


def is_ready(folder: Path) -> bool:
    """Whether a starter reads the pipe; a name that no folder has is passed over."""
    try:
        os.close(os.open(folder / starter.PIPE, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


@pytest.fixture
def local(folder: Path) -> LocalRunner:
    wait_until(lambda: is_ready(folder), 120)
    return LocalRunner(folder, {})


def ended(local: LocalRunner, name: str) -> JobStatus:
    wait_until(lambda: local.state(name, name).state.is_over, 120)
    return local.state(name, name)


def leader(folder: Path, name: str) -> psutil.Process:
    """The wrapper of a job, as soon as it has written its number."""
    wait_until(lambda: (folder / name / "pid").read_text() != "")
    return psutil.Process(int((folder / name / "pid").read_text()))


def test_a_command_of_dfpipe_is_run_in_a_fork(local: LocalRunner, folder: Path) -> None:
    """Its wrapper is one too: neither is a Python that has just started."""
    fifo = folder / "words"
    os.mkfifo(fifo)
    local.launch(spec("dfpipe", "stopwords", f"--stopwords-file={fifo}", name="fork"))
    wrapper = leader(folder, "fork")
    assert "job-starter" in wrapper.cmdline()
    wait_until(lambda: len(wrapper.children()) == 1)
    assert "job-starter" in wrapper.children()[0].cmdline()
    fifo.write_text("onlythis\n")
    assert ended(local, "fork").state is JobState.SUCCEEDED
    assert "onlythis" in (local.log("fork") or "")


def test_a_run_that_fails_says_why(local: LocalRunner) -> None:
    local.launch(spec("dfpipe", "run", "--sink=duckdb:///x.duckdb", name="run"))
    status = ended(local, "run")
    assert status.state is JobState.FAILED
    assert "posts.db does not exist" in status.error


def test_another_command_is_a_process_of_its_own(local: LocalRunner) -> None:
    code = "import os, sys; print(sorted(os.environ), sys.stdin.read()); sys.exit(7)"
    local.launch(python(code, name="other"))
    assert ended(local, "other").error.startswith("exit code 7")
    assert "DFPIPE_STORE" in str(local.log("other"))
    assert "DFPIPE_TASK_TOKEN" not in str(local.log("other"))


def test_a_fork_is_cancelled(local: LocalRunner, folder: Path) -> None:
    fifo = folder / "never"
    os.mkfifo(fifo)
    local.launch(spec("dfpipe", "stopwords", f"--stopwords-file={fifo}", name="cancel"))
    wrapper = leader(folder, "cancel")
    wait_until(lambda: len(wrapper.children()) == 1)
    local.cancel("cancel", "cancel")
    assert ended(local, "cancel").state is JobState.CANCELLED
    wait_until(lambda: not wrapper.is_running() or wrapper.status() == psutil.STATUS_ZOMBIE)


def test_a_fork_that_is_killed_leaves_the_starter_alone(local: LocalRunner, folder: Path) -> None:
    fifo = folder / "killed-words"
    os.mkfifo(fifo)
    local.launch(spec("dfpipe", "stopwords", f"--stopwords-file={fifo}", name="killed"))
    wrapper = leader(folder, "killed")
    wait_until(lambda: len(wrapper.children()) == 1)
    wrapper.children()[0].send_signal(signal.SIGKILL)
    assert ended(local, "killed").error.startswith("exit code -9")
    local.launch(spec("dfpipe", "--version", name="after"))
    assert ended(local, "after").state is JobState.SUCCEEDED


def test_names_that_are_not_jobs_start_nothing(local: LocalRunner, folder: Path) -> None:
    with (folder / starter.PIPE).open("wb", buffering=0) as pipe:
        pipe.write(b"\n../../etc\n\xff\n.\n" + b"x" * 300 + b"\n")
    fifo = folder / "next-words"
    os.mkfifo(fifo)
    local.launch(spec("dfpipe", "stopwords", f"--stopwords-file={fifo}", name="next"))
    assert "job-starter" in leader(folder, "next").cmdline()
    fifo.write_text("word\n")
    assert ended(local, "next").state is JobState.SUCCEEDED
    assert not (folder / "pid").exists()


def test_without_a_starter_a_job_starts_as_well(tmp_path: Path) -> None:
    local = LocalRunner(tmp_path, {})
    with starting(tmp_path):
        wait_until(lambda: is_ready(tmp_path), 120)
    assert stat.S_IMODE((tmp_path / starter.PIPE).stat().st_mode) == 0o600
    local.launch(spec("dfpipe", "--version", name="alone"))
    assert ended(local, "alone").state is JobState.SUCCEEDED


def test_a_command_that_raises_has_failed(tmp_path: Path) -> None:
    """Whatever it raises: the fork must not go on as the wrapper that it was."""
    code = f"""
import os
from pathlib import Path
from dfpipe import cli
from launcher.jobs import starter

def broken(argv):
    raise {{}}

cli.main = broken
starter.serve(Path({str(tmp_path)!r}), dict(os.environ))
"""
    local = LocalRunner(tmp_path, {})
    for error in ("ValueError('it is broken')", "OSError('it is broken')", "KeyError('broken')"):
        name = error.partition("(")[0].lower()
        with process("-c", code.format(error), env=environment()):
            wait_until(lambda: is_ready(tmp_path), 120)
            local.launch(spec("dfpipe", "run", name=name))
            status = ended(local, name)
        assert status.state is JobState.FAILED
        assert "broken" in status.error


def test_a_starter_that_is_killed_leaves_no_reader(tmp_path: Path) -> None:
    """Its jobs go on, and later ones start at once, without it."""
    local = LocalRunner(tmp_path, {})
    fifo = tmp_path / "words"
    os.mkfifo(fifo)
    with starting(tmp_path) as child:
        wait_until(lambda: is_ready(tmp_path), 120)
        local.launch(spec("dfpipe", "stopwords", f"--stopwords-file={fifo}", name="kept"))
        assert "job-starter" in leader(tmp_path, "kept").cmdline()
        child.kill()
        child.wait()
        assert not is_ready(tmp_path)
    local.launch(spec("dfpipe", "--version", name="alone"))
    assert ended(local, "alone").state is JobState.SUCCEEDED
    fifo.write_text("kept-word\n")
    assert ended(local, "kept").state is JobState.SUCCEEDED
    assert "kept-word" in str(local.log("kept"))
