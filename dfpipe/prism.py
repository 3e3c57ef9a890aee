"""Prism, an engine of Beam: its program is started for one run, and ends with it in any case."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr
from typing import Any

from apache_beam.options.pipeline_options import (
    PipelineOptions,
    PortableOptions,
    PrismRunnerOptions,
    StandardOptions,
)
from apache_beam.version import __version__ as beam_version

from dfpipe.errors import DfpipeError, UsageError
from dfpipe.pipeline import LOCAL_RUNNER

RUNNER = "dfpipe.prism_runner.PrismRunner"
PRISM, DIRECT = ("prismrunner", "prism"), ("directrunner", "direct")
NETWORK_SECONDS = 10.0  # for each answer of the network, where Prism is to be downloaded
START_SECONDS = 120.0
PAUSE = 0.02
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
    with _process(command, sys.stderr if verbose else subprocess.DEVNULL) as process:
        port = command[command.index("--job_port") + 1]
        wait_until_serving(process, command[0], int(port), REMEDY)
        options.view_as(PortableOptions).job_endpoint = f"localhost:{port}"
        try:
            with nullcontext() if verbose else quiet():
                yield
        except DfpipeError as error:
            if process.poll() is None:
                raise
            raise DfpipeError(
                f"Prism ended with {process.returncode} in the middle of the run: run it again, "
                "with --verbose to see what Prism says"
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


@contextmanager
def _process(command: Sequence[str], output: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program beside its guard; kill both at the end, as all that Prism has is in memory.

    Being in a group of their own, they do not see the Ctrl-C of a terminal.
    """
    with (
        subprocess.Popen(GUARD, stdin=subprocess.PIPE, process_group=0) as guard,  # noqa: S603
        _start(command, output, guard.pid) as process,
    ):
        try:
            yield process
        finally:
            os.killpg(guard.pid, signal.SIGKILL)


def _start(command: Sequence[str], output: Any, group: int) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(  # noqa: S603 - the user's own choice
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=group,
        )
    except OSError as error:
        raise DfpipeError(f"{command[0]} cannot be run ({error.strerror}): {REMEDY}") from error


def wait_until_serving(
    process: "subprocess.Popen[bytes]", program: str, port: int, remedy: str
) -> None:
    """Wait until a program answers on its port. Raises DfpipeError."""
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection(("localhost", port), 1).close()
            return
        except OSError:
            time.sleep(PAUSE)
    what = "does nothing" if process.returncode is None else f"ended with {process.returncode}"
    raise DfpipeError(f"{program} {what}, where it should serve: {remedy}")


@contextmanager
def quiet() -> Iterator[None]:
    """Let the worker in this process print nothing: the runner tells its error once more.

    Its threads outlive the block, and lose their connections with Prism.
    """
    before = threading.excepthook

    def hook(error: threading.ExceptHookArgs) -> None:
        frames = traceback.extract_tb(error.exc_traceback)
        if not any("apache_beam" in frame.filename for frame in frames):
            before(error)

    threading.excepthook = hook
    with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):
        yield
