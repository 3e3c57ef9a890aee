"""Job servers: programs beside this process that take a pipeline over the network and run it."""

import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dfpipe.errors import DfpipeError

NETWORK_SECONDS = 10.0  # for each answer of the network
START_SECONDS = 120.0
PAUSE = 0.02


def reach(endpoint: str, expected: str) -> None:
    """Raise DfpipeError, with what is expected, where nothing answers at --job_endpoint."""
    host, _, port = endpoint.rpartition(":")
    try:
        socket.create_connection((host, int(port)), NETWORK_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DfpipeError(
            f"--job_endpoint={endpoint} does not answer ({reason}): give {expected}"
        ) from error


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


class _Stderr:
    """Standard error without what is printed while it is `shut`, and by other threads ever after.

    With all else it is the stream itself.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.shut = True

    def write(self, text: str) -> int:
        """Write, or drop."""
        if self.shut or threading.current_thread() is not threading.main_thread():
            return len(text)
        return int(self._stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def quiet() -> Iterator[None]:
    """Let the worker in this process print nothing: the runner tells its error once more.

    Its threads outlive the block, fail one after another and lose their connections.
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
