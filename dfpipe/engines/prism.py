"""Prism, an engine of Beam: starts its program for one run, and ends it with the run."""

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import IO

import click
from apache_beam.options.pipeline_options import (
    PipelineOptions,
    PortableOptions,
    PrismRunnerOptions,
    StandardOptions,
)
from apache_beam.version import __version__ as beam_version

from dfpipe.engines.job_server import NotFetchedError, command_of, quiet, wait_until_serving
from dfpipe.errors import DfpipeError, UsageError
from dfpipe.settings import LOCAL_RUNNER

RUNNER = "dfpipe.engines.prism_runner.PrismRunner"
PRISM, DIRECT = ("prismrunner", "prism"), ("directrunner", "direct")
END_SECONDS = 10.0
SHOWN = 300  # characters of the last line that Prism printed
# Kills its process group when its standard input closes, which is when this process has ended,
# however it did.
GUARD = ("sh", "-c", "read _; kill -9 0")
REMEDY = "name Prism's program with --prism_location"


@contextmanager
def serving(options: PipelineOptions, verbose: bool = False) -> Iterator[None]:
    """If the options select Prism, run it until the block ends, and set them to use it.

    DirectRunner uses Prism if its program is named or can be downloaded, and otherwise Beam's
    in-process runner. Beam can start Prism too, but leaves it running if this process is killed.
    Raises DfpipeError.
    """
    standard = options.view_as(StandardOptions)
    name = (standard.runner or "").lower()
    if name not in PRISM + DIRECT:
        yield
        return
    # The options may also name a Prism that is already running.
    named = options.view_as(PortableOptions).job_endpoint
    command = [] if named else _command(options, may_be_absent=name in DIRECT)
    standard.runner = RUNNER if named or command else LOCAL_RUNNER
    if not command:
        yield
        return
    with _process(command, verbose) as (process, log):
        port = int(command[command.index("--job_port") + 1])
        try:
            wait_until_serving(process, command[0], port, REMEDY)
        except DfpipeError as error:
            raise DfpipeError(f"{error}{log.last_line()}") from error
        options.view_as(PortableOptions).job_endpoint = f"localhost:{port}"
        try:
            with nullcontext() if verbose else quiet():
                yield
        except DfpipeError as error:
            if not _has_ended(process, port):
                raise
            raise DfpipeError(
                f"Prism exited with status {process.returncode} during the run: run it again with "
                f"--verbose to see its log{log.last_line()}"
            ) from error


def _command(options: PipelineOptions, may_be_absent: bool) -> list[str]:
    """Return the command that starts Prism; Beam downloads the program if none is named."""
    chosen = options.view_as(PrismRunnerOptions)
    place = chosen.prism_location
    if place and "://" not in place:
        chosen.prism_location = _program(place)
    if chosen.prism_log_kind == "console":  # which Beam makes from JSON
        chosen.prism_log_kind = "text"
    # Imported here because it takes long.
    from apache_beam.runners.portability.prism_runner import PrismJobServer

    try:
        return command_of(PrismJobServer(options))
    except NotFetchedError as error:
        if may_be_absent and not place:
            return []
        raise DfpipeError(f"cannot get Prism: {error}: {REMEDY}") from error


def _program(place: str) -> str:
    if not os.path.isfile(place):
        raise UsageError(
            f"--prism_location={place} is not a file: give Prism's program, which `go install "
            f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{beam_version}` builds"
        )
    return os.path.abspath(place)


class _Log(threading.Thread):
    """Reads what a program prints, until it ends, and keeps the last line."""

    def __init__(self, stream: IO[bytes], shown: bool) -> None:
        """Start a thread that reads the stream."""
        super().__init__(daemon=True)
        self._stream = stream
        self._shown = shown
        self._last = ""
        self.start()

    def run(self) -> None:
        """Read until the stream ends, which is when the program has ended."""
        for line in self._stream:
            text = line.decode(errors="replace").rstrip()
            if self._shown:
                click.echo(text, err=True)
            # After the reason, Go prints a stack trace of many lines.
            if text and not self._last.startswith(("panic: ", "fatal error: ")):
                self._last = text

    def last_line(self) -> str:
        """Return the last line of a program that has ended, as the end of a message."""
        self.join(END_SECONDS)
        return f"; its last line: {self._last[:SHOWN]}" if self._last else ""


@contextmanager
def _process(
    command: Sequence[str], verbose: bool
) -> Iterator[tuple["subprocess.Popen[bytes]", _Log]]:
    """Run a program beside its guard; kill both at the end, as Prism keeps all in memory.

    They are in their own process group, so Ctrl-C in a terminal does not reach them.
    """
    with (
        subprocess.Popen(GUARD, stdin=subprocess.PIPE, process_group=0) as guard,  # noqa: S603
        _start(command, guard.pid) as process,
    ):
        assert process.stdout
        log = _Log(process.stdout, verbose)
        try:
            yield process, log
        finally:
            os.killpg(guard.pid, signal.SIGKILL)
            log.join(END_SECONDS)


def _start(command: Sequence[str], group: int) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(  # noqa: S603 - the user's own choice
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=group,
        )
    except OSError as error:
        raise DfpipeError(f"cannot run {command[0]} ({error.strerror}): {REMEDY}") from error


def _has_ended(process: "subprocess.Popen[bytes]", port: int) -> bool:
    try:
        socket.create_connection(("localhost", port), END_SECONDS).close()
    except OSError:
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)  # it closes its port shortly before it ends
    return process.poll() is not None
