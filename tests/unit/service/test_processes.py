"""Children that end with their parent, and whose groups are ended."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from service.processes import end_child, end_groups, signal_group, start_child
from tests.support.processes import ROOT, wait_until
from tests.support.serving import running

STEADY = (
    "import signal, subprocess, sys, time\n"
    "if 'deaf' in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print(child.pid, *sys.argv[1:], flush=True)\n"
    "time.sleep(600)\n"
)


@pytest.fixture
def steady(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "steady.py").write_text(STEADY)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    return "steady"


def started(argv: list[str]) -> "tuple[subprocess.Popen[str], psutil.Process]":
    """A child and the process that it has started."""
    child = start_child(argv, stdout=subprocess.PIPE)
    assert child.stdout
    pid, *rest = child.stdout.readline().split()
    assert rest == argv[1:]
    return child, psutil.Process(int(pid))


def test_a_child_ends_with_its_starter(steady: str) -> None:
    """The pipe closes, as it does when the starter is killed; the child's own child ends too."""
    child, below = started([steady, "word"])
    assert child.stdin
    assert child.poll() is None
    child.stdin.close()
    assert child.wait(60) == -signal.SIGTERM
    wait_until(lambda: running([below]) == [])


@pytest.mark.parametrize("argv", [[], ["deaf"]], ids=["ends", "ignores SIGTERM"])
def test_ending_a_child_ends_its_group(steady: str, argv: list[str]) -> None:
    child, below = started([steady, *argv])
    assert end_child(child, 0.1 if argv else 60) == -(signal.SIGKILL if argv else signal.SIGTERM)
    wait_until(lambda: running([below]) == [])
    assert end_child(child) == child.returncode  # a second time changes nothing


def test_what_a_child_left_behind_is_killed() -> None:
    code = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid, flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
    )
    assert child.stdin
    assert child.stdout
    below = psutil.Process(int(child.stdout.readline()))
    end_child(child)
    wait_until(lambda: running([below]) == [])


def test_groups_of_others_are_ended_together(steady: str) -> None:
    groups = [started([steady, *argv]) for argv in ([], ["deaf"], [])]
    leaders = {child.pid: child for child, _ in groups}

    def is_alive(pid: int) -> bool:
        return leaders[pid].poll() is None

    begun: list[bool] = []

    def clock() -> float:
        """The time of grace begins, and is over when the two that can end have ended."""
        is_over = bool(begun) and sum(map(is_alive, leaders)) <= 1
        begun.append(True)
        return 99.0 if is_over else 0.0

    end_groups(leaders, is_alive, monotonic=clock)
    codes = [child.wait(60) for child, _ in groups]
    assert codes == [-signal.SIGTERM, -signal.SIGKILL, -signal.SIGTERM]
    for child, below in groups:
        signal_group(child.pid, signal.SIGKILL)
        wait_until(lambda below=below: running([below]) == [])


def test_a_group_that_is_gone_takes_no_signal() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""], process_group=0)
    child.wait(60)
    assert not signal_group(child.pid, signal.SIGTERM)
