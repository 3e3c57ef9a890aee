"""Prism, an engine of Beam: its program is started for one run, and ends with it in any case."""

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

from dfpipe.engines.job_server import NETWORK_SECONDS, quiet, wait_until_serving
from dfpipe.errors import DfpipeError, UsageError
from dfpipe.pipeline import LOCAL_RUNNER

RUNNER = "dfpipe.engines.prism_runner.PrismRunner"
PRISM, DIRECT = ("prismrunner", "prism"), ("directrunner", "direct")
END_SECONDS = 10.0
WORDS_SHOWN = 300  # characters
# Kills its process group when its standard input closes: when this process is gone, however it
# went.
GUARD = ("sh", "-c", "read _; kill -9 0")
REMEDY = "give Prism's program as --prism_location"


@contextmanager
def serving(options: PipelineOptions, verbose: bool = False) -> Iterator[None]:
    """Where the options ask for Prism, run it until the block ends, and set them to use it.

    DirectRunner is Prism where its program is named or can be downloaded, and else Beam's
    in-process runner. Beam itself would start Prism too, but leave it behind where this process is
    killed. Raises DfpipeError.
    """
    standard = options.view_as(StandardOptions)
    name = (standard.runner or "").lower()
    if name not in PRISM + DIRECT:
        yield
        return
    # A Prism that runs already may be named, too.
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
            raise DfpipeError(f"{error}{log.told()}") from error
        options.view_as(PortableOptions).job_endpoint = f"localhost:{port}"
        try:
            with nullcontext() if verbose else quiet():
                yield
        except DfpipeError as error:
            if not _has_ended(process, port):
                raise
            raise DfpipeError(
                f"Prism ended with {process.returncode} in the middle of the run: run it again, "
                f"with --verbose to see what Prism says{log.told()}"
            ) from error


def _command(options: PipelineOptions, may_be_absent: bool) -> list[str]:
    """Return the words that start Prism, which Beam downloads where no program is named."""
    chosen = options.view_as(PrismRunnerOptions)
    place = chosen.prism_location
    if place and "://" not in place:
        chosen.prism_location = _program(place)
    if chosen.prism_log_kind == "console":  # a form that Beam makes out of JSON
        chosen.prism_log_kind = "text"
    # It takes a while to import.
    from apache_beam.runners.portability.prism_runner import PrismJobServer

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(NETWORK_SECONDS)
    try:
        words, _ = PrismJobServer(options).subprocess_cmd_and_endpoint()
    # There are many reasons: no network, a page that is absent, a broken archive.
    except Exception as error:
        if may_be_absent and not place:
            return []
        raise DfpipeError(f"Prism cannot be had: {error}: {REMEDY}") from error
    finally:
        socket.setdefaulttimeout(before)
    return [str(word) for word in words]


def _program(place: str) -> str:
    if not os.path.isfile(place):
        raise UsageError(
            f"--prism_location={place} is no file: give Prism's program, as `go install "
            f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{beam_version}` builds it"
        )
    return os.path.abspath(place)


class _Log(threading.Thread):
    """Reads what a program prints, to its end, and keeps its last words."""

    def __init__(self, stream: IO[bytes], shown: bool) -> None:
        """Begin to read."""
        super().__init__(daemon=True)
        self._stream = stream
        self._shown = shown
        self._last = ""
        self.start()

    def run(self) -> None:
        """Read."""
        for line in self._stream:
            text = line.decode(errors="replace").rstrip()
            if self._shown:
                click.echo(text, err=True)
            # Go tells after its reason where it was, in many lines.
            if text and not self._last.startswith(("panic: ", "fatal error: ")):
                self._last = text

    def told(self) -> str:
        """Return the last words of a program that has ended, to be put after a message."""
        self.join(END_SECONDS)
        return f"; its last words: {self._last[:WORDS_SHOWN]}" if self._last else ""


@contextmanager
def _process(
    command: Sequence[str], verbose: bool
) -> Iterator[tuple["subprocess.Popen[bytes]", _Log]]:
    """Run a program beside its guard; kill both at the end, as all that Prism has is in memory.

    Being in a group of their own, they do not see the Ctrl-C of a terminal.
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
        raise DfpipeError(f"{command[0]} cannot be run ({error.strerror}): {REMEDY}") from error


def _has_ended(process: "subprocess.Popen[bytes]", port: int) -> bool:
    try:
        socket.create_connection(("localhost", port), END_SECONDS).close()
    except OSError:
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)  # it closes its port a moment before
    return process.poll() is not None
