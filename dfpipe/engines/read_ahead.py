"""Reads the slices of a window in other processes, before the pipeline needs them.

They start while Beam is being imported, which takes as long as reading a hundred thousand posts.
"""

import fcntl
import os
import pickle
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import datetime
from types import TracebackType
from typing import IO, Any, Self

from dfpipe.errors import UsageError
from dfpipe.posts.slices import Reading, TimeSlice, Window
from dfpipe.settings import IN_PROCESS, Parser, add_arguments, settings, with_environment
from dfpipe.slices.parts import has_most_slices, parts

Slice = TimeSlice | Window
Read = Callable[[Any], Iterable[Any]]  # of a Slice


class ReadAhead:
    """Processes that read the slices of a window one by one, beside this process.

    If they fail or are killed, this process reads what is left.
    """

    AHEAD = 2  # slices assigned to a process, so that it need not wait for the next one
    PIPE = 1 << 20  # bytes that it can write before this process reads them
    PATIENCE = 2.0  # seconds that they have to end

    def __init__(self, reading: Reading, slices: Sequence[Slice], processes: int) -> None:
        """Start that many processes, or one per slice if there are fewer slices."""
        self.reading = reading
        self._waiting = dict.fromkeys(slices)  # begun by nobody
        self._under_way: set[Slice] = set()
        self._done: dict[Slice, list[Any]] = {}
        self._changed = threading.Condition()
        self._processes: list[subprocess.Popen[bytes]] = []
        try:
            for _ in range(min(processes, len(slices))):
                self._processes.append(self._start())
        except OSError:  # out of processes or files: free those that were started
            self._end()
        self._threads = [
            threading.Thread(target=self._attend, args=(process,), daemon=True)
            for process in self._processes
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        """Make `tokens` take slices from these processes."""
        global _current
        _current = self
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the processes, whatever they are at."""
        global _current
        _current = None
        for process in self._processes:
            process.terminate()  # so that it closes the store
        for process in self._processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(self.PATIENCE)
            process.kill()
        for thread in self._threads:
            thread.join()
        self._end()

    def _end(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()
        self._processes = []

    def take(self, wanted: Slice, read: Read) -> Iterable[Any]:
        """Return the tokens of a slice.

        While another process reads it, this one reads other slices.
        """
        while True:
            with self._changed:
                if wanted in self._done:
                    return self._done.pop(wanted)
                if wanted not in self._under_way:
                    self._waiting.pop(wanted, None)
                    break
                other = self._next()
                if other is None:
                    self._changed.wait()
                    continue
            try:
                self._keep(other, list(read(other)))
            finally:
                self._give_back([other])
        return read(wanted)

    def _next(self) -> Slice | None:
        with self._changed:
            if not self._waiting:
                return None
            time_slice, _ = self._waiting.popitem()
            self._under_way.add(time_slice)
            return time_slice

    def _keep(self, time_slice: Slice, tokens: list[Any]) -> None:
        with self._changed:
            self._under_way.discard(time_slice)
            self._done[time_slice] = tokens
            self._changed.notify_all()

    def _give_back(self, time_slices: Iterable[Slice]) -> None:
        """Let others read those of the slices that are still under way."""
        with self._changed:
            for time_slice in self._under_way.intersection(time_slices):
                self._under_way.discard(time_slice)
                self._waiting[time_slice] = None
            self._changed.notify_all()

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            # -P: modules in the working directory must not replace others.
            [sys.executable, "-P", "-m", "dfpipe.engines.reading_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            process_group=0,  # so that Ctrl-C reaches only this process, which ends the others
        )
        with suppress(AttributeError, OSError):  # only on Linux, within a limit per user
            assert process.stdout is not None
            fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, self.PIPE)
        return process

    def _attend(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        given: deque[Slice] = deque()
        try:
            pickle.dump(self.reading, process.stdin)
            while self._give(process.stdin, given):
                tokens = pickle.load(process.stdout)  # noqa: S301  # our own
                self._keep(given.popleft(), tokens)
        except (OSError, EOFError, pickle.UnpicklingError):
            pass  # it has failed or was killed
        finally:
            self._give_back(given)

    def _give(self, stdin: IO[bytes], given: deque[Slice]) -> bool:
        """Assign slices to a process until it has enough; return whether it has any."""
        while len(given) < self.AHEAD and (time_slice := self._next()) is not None:
            given.append(time_slice)
            pickle.dump(time_slice, stdin)
        stdin.flush()
        return bool(given)


_current: ReadAhead | None = None


def tokens(reading: Reading, time_slice: Slice, read: Read) -> Iterable[Any]:
    """Return the tokens of a slice: read ahead if that was started for it, or read now."""
    ahead = _current
    if ahead is None or ahead.reading != reading:
        return read(time_slice)
    return ahead.take(time_slice, read)


def begin(
    argv: Sequence[str], environ: Mapping[str, str], now: datetime
) -> AbstractContextManager[object]:
    """Read ahead what `dfpipe run` with these arguments will read, if in this process.

    Wrong arguments are not reported here: the run itself does that.
    """
    parser = Parser(allow_abbrev=False, add_help=False)
    add_arguments(parser)
    parser.add_argument("--runner", default="FnApiRunner")
    parser.add_argument("--direct_running_mode", choices=["in_memory"])
    parser.add_argument("--environment_type", choices=["LOOPBACK"])
    try:
        given, _ = parser.parse_known_args(with_environment(argv, environ))
        if _is_read_once(given.stopwords_file):
            return nullcontext()
        chosen = settings(given, now)
    except UsageError:
        return nullcontext()
    if chosen.processes == 1 or given.runner.lower() not in IN_PROCESS:
        return nullcontext()
    # Reading slices takes less time than starting processes for it.
    if has_most_slices(chosen.reading, chosen.window):
        return nullcontext()
    slices = parts(chosen.reading, chosen.window, chosen.slices)
    return ReadAhead(chosen.reading, slices, chosen.processes - 1)


def _is_read_once(file: str | None) -> bool:
    """Whether a file is a pipe, such as `<(...)` in a shell, which only the run itself may read."""
    return file is not None and os.path.exists(file) and not os.path.isfile(file)
