"""Processes beside the test: starting them, waiting for what they do, and ending them."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@contextmanager
def process(*argv: str, env: dict[str, str], cwd: Path = ROOT) -> Iterator["subprocess.Popen[Any]"]:
    """A process that is ended, and must end, with the block."""
    child = subprocess.Popen([sys.executable, *argv], env=env, cwd=cwd)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            raise
