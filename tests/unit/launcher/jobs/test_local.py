"""Local jobs: processes that are run once, watched by what they leave, cancelled and killed."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from launcher.jobs import CancelRefusedError, JobState, UnavailableError, UnknownJobError
from launcher.jobs.local import CANCEL_SECONDS, LocalRunner, argv_of, is_alive
from tests.support.jobs import PYTHON, python, spec
from tests.support.processes import ROOT, wait_until
from tests.support.serving import running


@pytest.fixture
def local(tmp_path: Path) -> LocalRunner:
    return LocalRunner(tmp_path, {"EXTRA": "given"})


def ended(runner: LocalRunner, name: str = "job-1") -> Any:
    wait_until(lambda: runner.state(name, name).state.is_over, 120)
    return runner.state(name, name)


def test_a_local_job_succeeds(local: LocalRunner) -> None:
    code = "import os, sys; print(os.environ['EXTRA'], sys.argv[1:])"
    given = python(code, parameters={"until": "2026"})
    assert local.find(given) is None
    assert local.launch(given).job_id == "job-1"
    assert ended(local).state is JobState.SUCCEEDED
    assert "given ['--until=2026']" in local.log("job-1")
    assert local.log_link(given, "job-1") == "/api/executions/run/steps/step/log"
    found = local.find(given)
    assert found is not None
    assert found.state is JobState.SUCCEEDED


def test_a_local_job_fails_with_its_last_line(local: LocalRunner) -> None:
    local.launch(python("import sys; print('so'); sys.exit('it is broken')"))
    status = ended(local)
    assert (status.state, status.error) == (JobState.FAILED, "exit code 1: it is broken")


def test_a_command_that_is_not_there(local: LocalRunner) -> None:
    local.launch(spec("/no/such/command"))
    assert ended(local).error == (
        "exit code 127: /no/such/command cannot be run: No such file or directory"
    )


def test_a_local_job_is_run_once_however_often_it_is_launched(
    local: LocalRunner, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    given = python(f"open({str(mark)!r}, 'a').write('x')")
    for _ in range(4):
        local.launch(given)
    ended(local)
    local.launch(given)
    wait_until(lambda: not is_alive(tmp_path / "job-1"))
    assert mark.read_text() == "x"


def test_a_job_whose_launch_was_killed_is_launched_again(
    local: LocalRunner, tmp_path: Path
) -> None:
    """Its folder is there, and nobody has started its process."""
    given = python("print('given')")
    (tmp_path / "job-1").mkdir()
    (tmp_path / "job-1" / "job.json").write_text('{"argv": [], "started": 1000.0}')
    assert local.find(given) is None
    local.launch(given)
    assert ended(local).state is JobState.SUCCEEDED
    assert local.find(given) == local.state("job-1", "job-1")


def test_a_local_job_is_cancelled(local: LocalRunner, tmp_path: Path) -> None:
    local.launch(python("import time; print('on', flush=True); time.sleep(600)"))
    wait_until(lambda: "on" in local.log("job-1"))
    assert local.state("job-1", "job-1").state is JobState.RUNNING
    local.cancel("job-1", "job-1")
    assert ended(local).state is JobState.CANCELLED
    local.cancel("job-1", "job-1")


def test_a_job_that_will_not_end_is_killed_however_often_it_is_asked(tmp_path: Path) -> None:
    """With what it has started, which will not end either."""
    words = ["sh", "-c", "trap '' TERM; sleep 600 & echo $!; wait; sleep 600"]
    (tmp_path / "job.json").write_text(json.dumps({"argv": words}))
    code = (
        "import sys; from pathlib import Path; from launcher.jobs import wrapper\n"
        "wrapper.GRACE_SECONDS = 1.0\n"
        "wrapper.run_job(Path(sys.argv[1]))"
    )
    with subprocess.Popen(
        [PYTHON, "-c", code, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    ) as job:
        assert job.stdout
        below = psutil.Process(int(job.stdout.readline()))

        def has_ended() -> bool:
            if job.poll() is None:
                os.kill(job.pid, signal.SIGTERM)
            return not running([below])

        wait_until(has_ended)
    assert json.loads((tmp_path / "result.json").read_text()) == {"code": -signal.SIGKILL}


def test_a_local_job_is_cancelled_before_it_begins(local: LocalRunner) -> None:
    local.cancel("job-1", "job-1")
    local.launch(python("print('never')"))
    assert ended(local).state is JobState.CANCELLED
    assert "never" not in local.log("job-1")


def test_a_local_job_goes_on_without_its_wrapper(local: LocalRunner, tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    code = "import os, sys, time\nprint('on', flush=True)\n"
    code += "while not os.path.exists(sys.argv[1]): time.sleep(0.1)"
    local.launch(spec(PYTHON, "-c", code, str(stop)))
    wait_until(lambda: "on" in local.log("job-1"))
    os.kill(int((tmp_path / "job-1" / "pid").read_text()), signal.SIGKILL)
    assert local.state("job-1", "job-1").state is JobState.RUNNING
    stop.touch()
    status = ended(local)
    assert status.state is JobState.FAILED
    assert "ended without a result" in status.error


def test_a_local_job_that_did_not_start(tmp_path: Path) -> None:
    now = [1000.0]
    local = LocalRunner(tmp_path, {}, clock=lambda: now[0])
    with pytest.raises(UnknownJobError, match="there is no local job job-1"):
        local.state("job-1", "job-1")
    (tmp_path / "job-1").mkdir()
    (tmp_path / "job-1" / "job.json").write_text('{"argv": ["x"], "started": 1000.0}')
    assert local.state("job-1", "job-1").state is JobState.WAITING
    now[0] += 200
    assert local.state("job-1", "job-1").error == "its process did not start"


@pytest.mark.parametrize("step", [200, -200], ids=["later", "clock set back"])
def test_a_job_that_did_not_start_in_time_does_not_start_later(tmp_path: Path, step: int) -> None:
    """Or it would run beside the step's next attempt."""
    now = [1000.0]
    local = LocalRunner(tmp_path, {}, clock=lambda: now[0])
    given = python("print('beside the next')")
    (tmp_path / "job-1").mkdir()
    (tmp_path / "job-1" / "job.json").write_text(
        json.dumps({"argv": argv_of(given), "started": now[0]})
    )
    now[0] += step
    assert local.state("job-1", "job-1").state is JobState.FAILED
    wrapper = [PYTHON, "-m", "launcher.jobs.wrapper", str(tmp_path / "job-1")]
    subprocess.run(wrapper, check=True, cwd=ROOT)
    local.launch(given)
    assert local.state("job-1", "job-1").state is JobState.FAILED
    assert "beside the next" not in str(local.log("job-1"))


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        '{"argv": ["pyth',
        "\0" * 20,
        "[]",
        "{}",
        '{"argv": []}',
        '{"argv": [1]}',
        '{"argv": "ls"}',
        '{"argv": null}',
    ],
    ids=["empty", "cut", "zeros", "list", "nothing", "no words", "number", "text", "null"],
)
def test_a_job_whose_command_line_is_damaged(
    local: LocalRunner, tmp_path: Path, damaged: str
) -> None:
    folder = tmp_path / "job-1"
    folder.mkdir()
    (folder / "job.json").write_text(damaged)
    with (folder / "log").open("wb") as log:
        subprocess.run(
            [PYTHON, "-m", "launcher.jobs.wrapper", str(folder)],
            stderr=log,
            cwd=ROOT,
            start_new_session=True,
            check=False,
        )
    assert local.state("job-1", "job-1").error == (
        "exit code 127: job.json is damaged: launch the job again"
    )


def test_files_that_cannot_be_read_are_not_an_answer(local: LocalRunner, tmp_path: Path) -> None:
    """The step shows it as a warning, and looks again."""
    (tmp_path / "job-1" / "result.json").mkdir(parents=True)
    with pytest.raises(UnavailableError, match="the job's files cannot be read: .*result.json"):
        local.state("job-1", "job-1")
    (tmp_path / "job-2").touch()
    with pytest.raises(UnavailableError, match="the job's files cannot be read: .*job-2"):
        local.state("job-2", "job-2")


def test_secrets_are_kept_from_local_jobs(
    local: LocalRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DFPIPE_TASK_TOKEN", "a-secret-of-the-services")
    local.launch(python("import os; print(dict(os.environ))"))
    ended(local)
    assert "a-secret" not in local.log("job-1")


def test_dfpipe_is_the_one_of_this_installation() -> None:
    words = argv_of(spec("dfpipe", "run", parameters={"until": "x"}))
    assert words == [PYTHON, "-m", "dfpipe", "run", "--until=x"]


@pytest.mark.parametrize(
    "torn",
    [
        b"",
        b"{",
        b"\x00" * 12,
        b"null",
        b"[]",
        b"{}",
        b'{"code": "x"}',
        b'{"code": NaN}',
        b'{"code": 1e999}',
        b"\xff",
        b"[" * 10**5,
    ],
    ids=[
        "empty",
        "cut",
        "zeros",
        "null",
        "list",
        "nothing",
        "text",
        "nan",
        "infinite",
        "bytes",
        "deep",
    ],
)
@pytest.mark.parametrize("is_cancelled", [False, True], ids=["failed", "cancelled"])
def test_a_torn_result_is_none(
    local: LocalRunner, tmp_path: Path, torn: bytes, is_cancelled: bool
) -> None:
    """As a power loss may leave one: the job is over, and the step goes on."""
    (tmp_path / "job-1").mkdir()
    for name in ("job.json", "result.json"):
        (tmp_path / "job-1" / name).write_bytes(torn)
    with pytest.raises(UnknownJobError):
        local.state("job-1", "job-1")
    (tmp_path / "job-1" / "pid").write_bytes(torn)
    if is_cancelled:
        local.cancel("job-1", "job-1")
    status = local.state("job-1", "job-1")
    assert status.state is (JobState.CANCELLED if is_cancelled else JobState.FAILED)


@pytest.mark.parametrize("ending", ["cancel", "exit"])
def test_nothing_that_a_job_has_started_outlives_it(
    local: LocalRunner, tmp_path: Path, ending: str
) -> None:
    """Not even what ignores SIGTERM, as a grandchild of the job may."""
    stop = tmp_path / "stop"
    code = f"""
import os, signal, subprocess, sys, time
ignores = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
ignores += "print('up', flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", ignores])
print("pid", child.pid, flush=True)
while not os.path.exists({str(stop)!r}): time.sleep(0.05)
"""
    local.launch(python(code))
    wait_until(lambda: {"pid", "up"} <= set(str(local.log("job-1")).split()))
    log = str(local.log("job-1")).split()
    below = psutil.Process(int(log[log.index("pid") + 1]))
    if ending == "cancel":
        local.cancel("job-1", "job-1")
    else:
        stop.touch()
    over = JobState.CANCELLED if ending == "cancel" else JobState.SUCCEEDED
    assert ended(local).state is over
    wait_until(lambda: not running([below]))


def test_a_job_without_its_wrapper_is_killed_in_the_end(tmp_path: Path) -> None:
    offset = [0.0]
    local = LocalRunner(tmp_path, {}, clock=lambda: os.stat(tmp_path).st_mtime + offset[0])
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    local.launch(python(code + "print('on', flush=True); time.sleep(600)"))
    wait_until(lambda: "on" in str(local.log("job-1")))
    os.kill(int((tmp_path / "job-1" / "pid").read_text()), signal.SIGKILL)
    local.cancel("job-1", "job-1")
    assert local.state("job-1", "job-1").state is JobState.RUNNING
    offset[0] = 100 * CANCEL_SECONDS
    local.cancel("job-1", "job-1")
    assert ended(local).state is JobState.CANCELLED


def test_a_process_of_somebody_else_cannot_be_cancelled(
    local: LocalRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    local.launch(python("import time; print('on', flush=True); time.sleep(600)"))
    wait_until(lambda: "on" in str(local.log("job-1")))

    def refuse(*_: int) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(os, "killpg", refuse)
        with pytest.raises(CancelRefusedError, match="may not end the job's process"):
            local.cancel("job-1", "job-1")
    local.cancel("job-1", "job-1")
    assert ended(local).state is JobState.CANCELLED
