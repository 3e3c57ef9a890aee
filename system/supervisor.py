"""Processes that belong together: started, watched, started again, and ended."""

import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

from service.processes import GRACE, signal_group, start_child
from service.waiting import Backoff

FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0  # seconds before a process is restarted
STEADY = 60.0  # seconds after which a process counts as having started well
WRONG_USAGE = 2  # exit status of our commands for settings and files that are wrong

# Takes the name of a process and a line that it printed.
Say = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Program:
    """A process to run: its name, its Python module with arguments, and additional variables.

    One that `ends` is done when it ends well; others are services.
    """

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    ends: bool = False


class Supervisor:
    """Runs programs until `stop`, and restarts each one that ends.

    A program that refuses its settings when it starts is not restarted, as that would not help:
    `refused` is called with its name.
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
        """Start all programs and the threads that watch them."""
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
                # With its own children, even if it is gone already: each leads a group.
                signal_group(process.pid, number)

    def _keep(self, program: Program) -> None:
        backoff, was_steady = Backoff(first=FIRST_WAIT, longest=LONGEST_WAIT, jitter=0), False
        while True:
            began = monotonic()
            code = self._run(program)
            if self._stopping.is_set() or (program.ends and code == 0):
                return
            if monotonic() - began > STEADY:
                backoff.reset()
                was_steady = True
            if code == WRONG_USAGE and not was_steady:
                self._refused(program.name)
                return
            wait = backoff.next()
            self._say(program.name, f"ended with {code}: restarting in {wait:.0f} s")
            if self._stopping.wait(wait):
                return

    def _run(self, program: Program) -> int | str:
        """Run a program to its end; returns its exit status, or why it did not start."""
        with self._lock:
            if self._stopping.is_set():
                return 0
            try:
                process = start_child(
                    program.argv,
                    environment=program.environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                )
            except OSError as error:
                return f"{error.strerror}: {program.argv[0]}"
            self._processes[program.name] = process
        assert process.stdout is not None
        # Ends with the last of its children, which may still hold a port that the next start needs.
        for line in process.stdout:
            self._say(program.name, line.rstrip("\n"))
        code = process.wait()
        assert process.stdin is not None
        process.stdin.close()
        with self._lock:
            del self._processes[program.name]
        return code
