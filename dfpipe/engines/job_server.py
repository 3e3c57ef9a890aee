"""Job servers: programs that take a pipeline over the network and run it."""

import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO
from urllib.error import HTTPError

from dfpipe.errors import DfpipeError

if TYPE_CHECKING:  # which takes long
    from apache_beam.runners.portability.job_server import SubprocessJobServer

NETWORK_SECONDS = 10.0  # for each answer of the network
START_SECONDS = 120.0
PAUSE = 0.02


def reach(endpoint: str, expected: str) -> None:
    """Raise DfpipeError, which says what is expected, if --job_endpoint does not answer."""
    host, _, port = endpoint.rpartition(":")
    try:
        socket.create_connection((host, int(port)), NETWORK_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DfpipeError(
            f"--job_endpoint={endpoint} does not answer ({reason}): give {expected}"
        ) from error


class NotFetchedError(DfpipeError):
    """The program of a job server cannot be had; the cause is Beam's own error."""


def command_of(server: "SubprocessJobServer") -> list[str]:
    """Return the command that starts a job server; Beam downloads it if its program is not given.

    Raises NotFetchedError.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(NETWORK_SECONDS)
    try:
        command, _ = server.subprocess_cmd_and_endpoint()
    # Beam raises many kinds: no network, a missing page, a broken archive, a full disk.
    except Exception as error:
        raise NotFetchedError(line_of(error)) from error
    finally:
        socket.setdefaulttimeout(before)
    return [str(part) for part in command]


def line_of(error: Exception) -> str:
    """Return the reason of an error, which may be one of the network, in one line."""
    if not isinstance(error, HTTPError):
        error = getattr(error, "reason", error)  # of a URLError
    text = getattr(error, "strerror", None) or error
    return (str(text).strip().splitlines() or [type(error).__name__])[0]


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
    status = process.returncode
    what = "did not answer in time" if status is None else f"exited with status {status}"
    raise DfpipeError(f"{program} {what} after it was started: {remedy}")


class _Stderr:
    """Standard error that drops output while it is `shut`, and from other threads also later.

    Everything else goes to the stream itself.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.shut = True

    def write(self, text: str) -> int:
        """Write the text, or drop it; return its length."""
        if self.shut or threading.current_thread() is not threading.main_thread():
            return len(text)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the worker in this process: the runner reports its error again.

    Its threads outlive the block, then lose their connections and fail one after another.
    """
    before = threading.excepthook

    def hook(error: threading.ExceptHookArgs) -> None:
        frames = traceback.extract_tb(error.exc_traceback)
        if not any("apache_beam" in frame.filename for frame in frames):
            before(error)

    threading.excepthook = hook
    stream = _Stderr(sys.stderr)
    sys.stderr = stream
    try:
        yield
    finally:
        stream.shut = False
