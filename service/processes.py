"""Children: started so that they end with their parent, and ended with all that they started.

    child = start_child(["package", "serve"])       # python -m package serve
    ...
    code = end_child(child, grace=20)               # SIGTERM, then SIGKILL, to the whole group

`start_child` makes the child the leader of a process group. Programs that are not Python modules
are started with `subprocess.Popen(..., process_group=0)` and ended the same way.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

GRACE = 20.0  # seconds that a process has to end after SIGTERM
_POLL = 0.05  # seconds between two looks at processes that are to end


def child_argv(argv: Sequence[str]) -> list[str]:
    """The command line of a Python module and its arguments that ends with its starter."""
    return [sys.executable, "-m", "service.child", *argv]


def start_child(
    argv: Sequence[str], *, environment: Mapping[str, str] | None = None, **kwargs: Any
) -> "subprocess.Popen[str]":
    """Run a Python module, with its arguments, that ends when this process is gone.

    Its standard input is a pipe that closes with this process, however that ends: keep the Popen
    object as long as the child shall live. `environment` is added to this process's own; other
    keywords go to Popen. Signals from the terminal do not reach the child. Raises OSError.
    """
    return subprocess.Popen(  # noqa: S603  # our own module
        child_argv(argv),
        stdin=subprocess.PIPE,
        text=True,
        errors="replace",
        env={**os.environ, **(environment or {})},
        start_new_session=True,
        **kwargs,
    )


def signal_group(leader: int, number: signal.Signals) -> bool:
    """Send a signal to a process group; returns whether there is one."""
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        return False
    return True


def end_child(child: "subprocess.Popen[Any]", grace: float = GRACE) -> int:
    """End a child that leads a process group, and its group, and reap it; returns its exit status.

    The group is killed after `grace` seconds, and also when the child ended in time: what it left
    behind does not outlive it. A child that was reaped before is left alone, as its id may be
    another process's by now.
    """
    if child.poll() is not None:
        return int(child.returncode)
    signal_group(child.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        child.wait(grace)
    signal_group(child.pid, signal.SIGKILL)
    return child.wait()


def end_groups(
    leaders: Collection[int],
    is_alive: Callable[[int], bool],
    grace: float = GRACE,
    *,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """End several process groups together: all have the same `grace` seconds, then are killed.

    For groups that others started and reap; `is_alive` tells of a leader whether its group lives.
    """
    for leader in leaders:
        signal_group(leader, signal.SIGTERM)
    end = monotonic() + grace
    while any(map(is_alive, leaders)) and monotonic() < end:
        sleep(_POLL)
    for leader in filter(is_alive, leaders):
        signal_group(leader, signal.SIGKILL)
