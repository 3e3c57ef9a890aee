"""Processes that belong together: started, watched, started again, and ended."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic

FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0  # seconds before a process is started again
STEADY = 60.0  # seconds after which a process counts as having started well
GRACE = 20.0  # seconds that a process has to end
WRONG_USAGE = 2  # the exit status of our commands for settings and files that cannot be used

# Takes the name of a process and a line that it printed.
Say = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Program:
    """A process to be run: its name, its command, and what it has in its environment besides."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


class Supervisor:
    """Runs programs until `stop`, each of them again when it ends.

    `refused` is called with the name of a program that refuses its settings when it is started, as
    to start it again would not help. That one is left as it is.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        say: Say,
        refused: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._programs = programs
        self._say = say
        self._refused = refused
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._threads = [
            threading.Thread(target=self._keep, args=(program,), daemon=True)
            for program in programs
        ]

    def start(self) -> None:
        """Start all programs."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End all programs, and wait until they have ended; those that do not are killed."""
        self._stopping.set()
        self._signal(signal.SIGTERM)
        end = monotonic() + GRACE
        for thread in self._threads:
            thread.join(max(0.0, end - monotonic()))
        self._signal(signal.SIGKILL)
        for thread in self._threads:
            thread.join()

    def _signal(self, number: signal.Signals) -> None:
        with self._lock:
            for process in self._processes.values():
                # Its own children with it, even where it is gone already: each leads a group.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, number)

    def _keep(self, program: Program) -> None:
        wait, was_steady = FIRST_WAIT, False
        while True:
            began = monotonic()
            code = self._run(program)
            if self._stopping.is_set():
                return
            was_steady = was_steady or monotonic() - began > STEADY
            if code == WRONG_USAGE and not was_steady:
                self._refused(program.name)
                return
            wait = FIRST_WAIT if monotonic() - began > STEADY else wait
            self._say(program.name, f"ended with {code}: started again in {wait:.0f} s")
            if self._stopping.wait(wait):
                return
            wait = min(LONGEST_WAIT, 2 * wait)

    def _run(self, program: Program) -> int | str:
        """Run a program to its end; returns its exit status, or why it did not start."""
        with self._lock:
            if self._stopping.is_set():
                return 0
            try:
                process = subprocess.Popen(  # noqa: S603  # our own programs
                    program.command,
                    # It closes with this process, however that ends: see service.child.
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                    env={**os.environ, **program.environment},
                    # A Ctrl-C is for the one who supervises.
                    start_new_session=True,
                )
            except OSError as error:
                return f"{error.strerror}: {program.command[0]}"
            self._processes[program.name] = process
        assert process.stdout is not None
        # Ends with the last of its children, which may still have what the next start needs.
        for line in process.stdout:
            self._say(program.name, line.rstrip("\n"))
        code = process.wait()
        assert process.stdin is not None
        process.stdin.close()
        with self._lock:
            del self._processes[program.name]
        return code
