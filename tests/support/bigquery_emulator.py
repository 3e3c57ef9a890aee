"""A real BigQuery emulator, started once for the session from an environment of its own."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.support.missing import missing

ENVIRONMENT = Path(__file__).parents[2] / ".venv-emulator"
START_SECONDS = 60


@pytest.fixture(scope="session")
def bigquery_emulator() -> Iterator[str]:
    """The emulator's address, for BIGQUERY_EMULATOR_HOST; it is empty at first and in memory."""
    command = ENVIRONMENT / "bin" / "bqemulator"
    if not (ENVIRONMENT / "made").exists():
        missing("the BigQuery emulator", "run `make emulators`")
    port = free_port()
    server = subprocess.Popen(
        [command, "start", f"--rest-port={port}", "--grpc-port=0", "--log-level=error"],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(ENVIRONMENT),  # where its DuckDB finds its extension
            "BQEMU_ENABLE_FORMAT_EXTENSIONS": "false",
            "BQEMU_QUERY_CACHE_TTL_SECONDS": "0",
        },
        cwd=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(server, address)
        yield address
    finally:
        server.terminate()
        server.wait(timeout=30)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until_ready(server: subprocess.Popen[bytes], address: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            pytest.fail(f"the BigQuery emulator ended with {server.returncode}: `make emulators`")
        try:
            with urlopen(f"{address}/readyz", timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"the BigQuery emulator is not ready after {START_SECONDS} s")
