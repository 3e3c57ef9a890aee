"""Flink: Beam's job server for it is started for one run, and no end of the run leaves a job."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from urllib.error import HTTPError

import click
from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    GoogleCloudOptions,
    JobServerOptions,
    PipelineOptions,
    PortableOptions,
    StandardOptions,
)

from dfpipe.engines import flink_guard
from dfpipe.engines.job_server import NETWORK_SECONDS, quiet, reach, wait_until_serving
from dfpipe.errors import DfpipeError, UsageError

IN_THE_JOB_SERVER = {"[local]", "[auto]"}
ELSE = "or use a job server that runs: --runner=PortableRunner --job_endpoint=HOST:PORT"
SEE = "run it again, with --verbose to see what it says"


@contextmanager
def serving(options: PipelineOptions, verbose: bool = False) -> Iterator[None]:
    """Where the options ask for Flink, have a job server, and set them to use it.

    A job that has not ended with the block is cancelled, also where this process is killed. Beam
    itself would start the job server too, but leave it behind then, and the job in any case.
    Raises DfpipeError.
    """
    runner = (options.view_as(StandardOptions).runner or "").rpartition(".")[2]
    endpoint = options.view_as(PortableOptions).job_endpoint
    if runner.lower().removesuffix("runner") not in _kinds(endpoint):
        yield
        return
    flink = options.view_as(FlinkRunnerOptions)
    master = _master(flink)
    if endpoint:
        reach(endpoint, "a job server's HOST:PORT")
    google = options.view_as(GoogleCloudOptions)
    # By its name the job is found on the cluster.
    google.job_name = f"{google.job_name or 'dfpipe'}-{uuid.uuid4().hex[:12]}"
    with _folder() as folder:
        # With the option Beam hands the job, in a jar, to Flink's REST API itself.
        served = endpoint or (master and flink.flink_submit_uber_jar)
        command = [] if served else _command(options, folder)
        words = [master, google.job_name, folder, *command]
        with _guarded(words, verbose) as guard:
            if command:
                port = int(command[command.index("--job-port") + 1])
                wait_until_serving(guard, "Flink's job server", port, SEE)
                options.view_as(PortableOptions).job_endpoint = f"localhost:{port}"
            _tell(guard)
            try:
                with nullcontext() if verbose else quiet():
                    yield
            except DfpipeError as error:
                _check_job_server(guard, error)
                raise
            except KeyboardInterrupt:
                if not master:
                    _say_where(endpoint, google.job_name)
                raise


@contextmanager
def _folder() -> Iterator[str]:
    """Give a folder where all temporary files are made; Beam leaves some of its own behind."""
    before = tempfile.tempdir
    folder = tempfile.TemporaryDirectory(prefix="dfpipe-flink-", ignore_cleanup_errors=True)
    with folder as tempfile.tempdir:
        try:
            yield folder.name
        finally:
            tempfile.tempdir = before


def _kinds(endpoint: str | None) -> set[str]:
    if endpoint == "embed":  # another runner of Beam's, in this process
        return set()
    return {"flink", "portable"} if endpoint else {"flink"}


def _master(options: FlinkRunnerOptions) -> str:
    """Return the URL of Flink's REST API, which must answer; empty where it is not known here."""
    given = options.flink_master.strip()
    if given in IN_THE_JOB_SERVER:
        return ""
    url = given if re.match("https?://", given) else f"http://{given}"
    url = options.flink_master = url.rstrip("/")
    expected = "give the address of Flink's REST API, as http://HOST:8081"
    try:
        version = flink_guard.rest(url, "config")["flink-version"]
    # Not only errors of the network: it may be any server, and any text.
    except Exception as error:
        raise DfpipeError(
            f"--flink_master={given} gives no answer of Flink's ({_line(error)}): {expected}"
        ) from error
    return url if version else ""


def _line(error: Exception) -> str:
    if not isinstance(error, HTTPError):
        error = getattr(error, "reason", error)  # what is in an URLError
    text = getattr(error, "strerror", None) or error
    return (str(text).strip().splitlines() or [type(error).__name__])[0]


def _command(options: PipelineOptions, folder: str) -> list[str]:
    """Return the words that start the job server, which Beam downloads where none is named."""
    chosen = options.view_as(JobServerOptions)
    java = chosen.job_server_java_launcher
    if shutil.which(java) is None:
        raise DfpipeError(
            f"{java} cannot be run, which Flink's job server needs: install Java 17, name it as "
            f"--job_server_java_launcher, {ELSE}"
        )
    jar = options.view_as(FlinkRunnerOptions).flink_job_server_jar
    if jar and "://" not in jar and not os.path.isfile(jar):
        raise UsageError(f"--flink_job_server_jar={jar} is no file: give the job server's jar")
    chosen.artifacts_dir = chosen.artifacts_dir or folder
    # It takes a while to import.
    from apache_beam.runners.portability.flink_runner import FlinkJarJobServer

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(NETWORK_SECONDS)
    try:
        words, _ = FlinkJarJobServer(options).subprocess_cmd_and_endpoint()
    # There are many reasons: no network, a page that is absent, a disk that is full.
    except Exception as error:
        raise DfpipeError(
            f"Flink's job server cannot be had: {_line(error)}: name its jar as "
            f"--flink_job_server_jar, {ELSE}"
        ) from error
    finally:
        socket.setdefaulttimeout(before)
    return [str(word) for word in words]


@contextmanager
def _guarded(words: Sequence[str], verbose: bool) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the guard; at the end wait until it has cleaned up, and tell what it could not."""
    guard = subprocess.Popen(  # noqa: S603 - the user's own choice
        [sys.executable, "-I", flink_guard.__file__, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=sys.stderr if verbose else subprocess.DEVNULL,
        process_group=0,  # where it does not see the Ctrl-C of a terminal
    )
    with guard:
        try:
            yield guard
        finally:
            _say(_end(guard))


def _check_job_server(guard: "subprocess.Popen[bytes]", error: DfpipeError) -> None:
    """If the job server has ended, tell of that in place of the errors which it leads to."""
    with suppress(subprocess.TimeoutExpired):
        guard.wait(1)
    if guard.returncode:
        raise DfpipeError(
            f"Flink's job server ended with {guard.returncode} in the middle of the run: {SEE}"
        ) from error


def _tell(guard: "subprocess.Popen[bytes]") -> None:
    """From now on there may be a job."""
    assert guard.stdin
    with suppress(BrokenPipeError):
        guard.stdin.write(b"\n")
        guard.stdin.flush()


def _end(guard: "subprocess.Popen[bytes]") -> str:
    said, _ = guard.communicate()  # it does not take long by itself
    return said.decode().strip()


def _say(text: str) -> None:
    if text:
        click.echo(f"dfpipe: {text}", err=True)


def _say_where(endpoint: str | None, job: str) -> None:
    if endpoint:  # else the cluster was in the job server that was started here
        _say(
            f"the job {job} may go on on the cluster of {endpoint}: cancel it there, or give "
            "--flink_master with the next one, and it is cancelled with its run"
        )
