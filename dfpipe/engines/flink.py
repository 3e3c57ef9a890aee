"""Flink: starts Beam's job server for one run, and leaves no job when the run ends."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress

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
from dfpipe.engines.job_server import (
    NotFetchedError,
    command_of,
    line_of,
    quiet,
    reach,
    wait_until_serving,
)
from dfpipe.errors import DfpipeError, UsageError

IN_THE_JOB_SERVER = {"[local]", "[auto]"}
ELSE = "or use a running job server: --runner=PortableRunner --job_endpoint=HOST:PORT"
SEE = "run it again with --verbose to see its log"


@contextmanager
def serving(options: PipelineOptions, verbose: bool = False) -> Iterator[None]:
    """If the options select Flink, start a job server if needed, and set them to use it.

    A job that is still running when the block ends is cancelled, also if this process is killed.
    Beam can start the job server too, but then leaves it running, and always leaves the job.
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
        reach(endpoint, "the HOST:PORT of a job server")
    google = options.view_as(GoogleCloudOptions)
    # The name finds the job on the cluster.
    google.job_name = f"{google.job_name or 'dfpipe'}-{uuid.uuid4().hex[:12]}"
    with _folder() as folder:
        # With this option Beam itself submits the job, as a jar, to Flink's REST API.
        served = endpoint or (master and flink.flink_submit_uber_jar)
        command = [] if served else _command(options, folder)
        args = [master, google.job_name, folder, *command]
        with _guarded(args, verbose) as guard:
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
    """Make a folder for all temporary files, because Beam does not remove all of its own."""
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
    """Return the URL of Flink's REST API, which must answer; empty if it is not known here."""
    given = options.flink_master.strip()
    if given in IN_THE_JOB_SERVER:
        return ""
    url = given if re.match("https?://", given) else f"http://{given}"
    url = options.flink_master = url.rstrip("/")
    expected = "give the address of Flink's REST API, such as http://HOST:8081"
    try:
        version = flink_guard.rest(url, "config")["flink-version"]
    # Any server may be there and answer with any text, so any error is possible.
    except Exception as error:
        raise DfpipeError(
            f"--flink_master={given} does not answer as Flink does ({line_of(error)}): {expected}"
        ) from error
    return url if version else ""


def _command(options: PipelineOptions, folder: str) -> list[str]:
    """Return the command that starts the job server; Beam downloads it if none is named."""
    chosen = options.view_as(JobServerOptions)
    java = chosen.job_server_java_launcher
    if shutil.which(java) is None:
        raise DfpipeError(
            f"Flink's job server needs Java, but cannot run {java}: install Java 17, name it with "
            f"--job_server_java_launcher, {ELSE}"
        )
    jar = options.view_as(FlinkRunnerOptions).flink_job_server_jar
    if jar and "://" not in jar and not os.path.isfile(jar):
        raise UsageError(f"--flink_job_server_jar={jar} is not a file: give the job server's jar")
    chosen.artifacts_dir = chosen.artifacts_dir or folder
    # Imported here because it takes long.
    from apache_beam.runners.portability.flink_runner import FlinkJarJobServer

    try:
        return command_of(FlinkJarJobServer(options))
    except NotFetchedError as error:
        raise DfpipeError(
            f"cannot get Flink's job server: {error}: name its jar with "
            f"--flink_job_server_jar, {ELSE}"
        ) from error


@contextmanager
def _guarded(args: Sequence[str], verbose: bool) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the guard; at the end wait until it has cleaned up, and print what it could not do."""
    guard = subprocess.Popen(  # noqa: S603 - the user's own choice
        [sys.executable, "-I", flink_guard.__file__, *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=sys.stderr if verbose else subprocess.DEVNULL,
        process_group=0,  # so that Ctrl-C in a terminal does not reach it
    )
    with guard:
        try:
            yield guard
        finally:
            _say(_end(guard))


def _check_job_server(guard: "subprocess.Popen[bytes]", error: DfpipeError) -> None:
    """If the job server has ended, raise that instead of the errors that follow from it."""
    with suppress(subprocess.TimeoutExpired):
        guard.wait(1)
    if guard.returncode:
        raise DfpipeError(
            f"Flink's job server exited with status {guard.returncode} during the run: {SEE}"
        ) from error


def _tell(guard: "subprocess.Popen[bytes]") -> None:
    """Tell the guard that there may be a job from now on."""
    assert guard.stdin
    with suppress(BrokenPipeError):
        guard.stdin.write(b"\n")
        guard.stdin.flush()


def _end(guard: "subprocess.Popen[bytes]") -> str:
    said, _ = guard.communicate()  # its work is limited in time
    return said.decode().strip()


def _say(text: str) -> None:
    if text:
        click.echo(f"dfpipe: {text}", err=True)


def _say_where(endpoint: str | None, job: str) -> None:
    if endpoint:  # otherwise the cluster was in the job server that was started here
        _say(
            f"the job {job} may still be running on the cluster of {endpoint}: cancel it there "
            "(with --flink_master, jobs are cancelled when their run ends)"
        )
