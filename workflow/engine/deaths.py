"""Stages that end their process: out of memory, or killed by themselves.

Such a stage reports no failure: its task is delivered again, without end. So the store records the
process that calls a stage's code, before it does. If a task comes again and that process is dead,
the stage may have killed it, or another stage that ran in the same process. A stage that has seen
its process die therefore runs alone in its process from then on. If that process dies too, the
stage is to blame, and both deaths count as failed attempts. If the stage ends in any other way, the
death was not its fault, and is forgotten.
"""

import os
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from pathlib import Path

from workflow.records import Record

PATIENCE = 20.0  # seconds that a call waits for others to end, before its task is put back


class BusyError(Exception):
    """A stage cannot be called now: it, or another one, has to run alone in this process."""


def this_process() -> str:
    """The name of this process: machine and its start, number, and the start of the process."""
    return _name(os.getpid())


@lru_cache(maxsize=1)
def _name(pid: int) -> str:
    return f"{_machine()}/{pid}/{_started(pid)}"


@cache
def _machine() -> str:
    """The machine or container, since it was started: numbers of processes recur after that."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{platform.node()}/{boot}"
    return platform.node()


def _started(pid: int) -> str:
    """When a process began, as Linux counts it; empty for one that has ended, or elsewhere."""
    with suppress(OSError, IndexError):
        # The name of the program, in brackets, may have spaces.
        state, *others = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if state == "Z" else others[18]
    return ""


def is_alive(process: str) -> bool:
    """Whether a process runs on this machine. One of another machine is taken to be dead.

    >>> is_alive(this_process()), is_alive("elsewhere/1/1")
    (True, False)
    """
    machine, _, rest = process.rpartition("/")[0].rpartition("/")
    if machine != _machine():
        return False
    try:
        os.kill(int(rest), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is there, under another user
    return process.rpartition("/")[2] == _started(int(rest))


def has_died(record: Record) -> bool:
    """Whether the process that was in the stage's code is dead."""
    return record.begun is not None and not is_alive(record.begun)


def must_run_alone(record: Record) -> bool:
    """Whether no other stage may run in the process meanwhile."""
    return record.deaths > 0 or has_died(record)


def count(record: Record) -> int:
    """Take note of a death, if there was one; returns how many attempts it has used up."""
    if not has_died(record):
        return 0
    record.begun = None
    record.deaths += 1
    if record.deaths == 1:
        return 0  # others ran in that process too
    return 2 if record.deaths == 2 else 1


def begin(record: Record, is_alone: bool) -> None:
    """Take note that the stage's code is called now. Raises BusyError if it has to run alone."""
    if record.deaths and not is_alone:
        raise BusyError(f"stage {record.id} has to run alone in its process")
    record.begun = this_process()


def forget(record: Record) -> None:
    """The stage's code has returned or raised: its process was not in danger."""
    record.begun, record.deaths = None, 0


class Gate:
    """Lets calls of stages run side by side in this process, or one of them alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = 0
        self._is_alone = False
        self._waiting = 0  # calls that are to run alone
        self._thread = threading.local()

    @contextmanager
    def entered(self, *, alone: bool = False) -> Iterator[bool]:
        """Within it, the stage may be called; gives whether it is alone.

        Raises BusyError after PATIENCE seconds.
        """
        if getattr(self._thread, "is_inside", False):
            yield False  # a stage that calls another
            return
        self._enter(alone)
        self._thread.is_inside = True
        try:
            yield alone
        finally:
            self._thread.is_inside = False
            with self._changed:
                self._running -= 1
                self._is_alone = False
                self._changed.notify_all()

    def _enter(self, alone: bool) -> None:
        with self._changed:
            self._waiting += alone
            try:
                is_free = self._changed.wait_for(lambda: self._may_enter(alone), PATIENCE)
            finally:
                self._waiting -= alone
                self._changed.notify_all()
            if not is_free:
                raise BusyError("other stages run in this process, or one has to run alone")
            self._running += 1
            self._is_alone = alone

    def _may_enter(self, alone: bool) -> bool:
        if alone:
            return not self._running
        return not self._is_alone and not self._waiting


GATE = Gate()
