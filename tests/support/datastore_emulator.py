"""Google's Datastore emulator as a fixture, and stores of both kinds for the contract suites."""

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dfpipe.datastore import connect
from tests.support.missing import missing

JAR = "platform/cloud-datastore-emulator/CloudDatastore.jar"
MAIN = "com.google.cloud.datastore.emulator.CloudDatastore"
BACKENDS = ("embedded", "emulator")
SECONDS_TO_START = 60


def find_jar() -> Path:
    """The emulator's jar: DATASTORE_EMULATOR_JAR, or in the SDK that gcloud tells of."""
    named = os.environ.get("DATASTORE_EMULATOR_JAR")
    if named:
        return Path(named)
    if shutil.which("gcloud") is None or shutil.which("java") is None:
        _missing()
    command = ["gcloud", "info", "--format=value(installation.sdk_root)"]
    root = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    jar = Path(root) / JAR
    if not root or not jar.exists():
        _missing()
    return jar


def _missing() -> None:
    missing(
        "Google's Datastore emulator",
        "install google-cloud-cli-datastore-emulator and Java 17, or set DATASTORE_EMULATOR_JAR",
    )


class Emulator:
    """A running emulator; `host` is what DATASTORE_EMULATOR_HOST wants."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.host = f"127.0.0.1:{port}"
        options = ["start", "--host=127.0.0.1", f"--port={port}", "--testing"]
        self._process = subprocess.Popen(
            ["java", "-cp", str(find_jar()), MAIN, *options, "--firestore_in_datastore_mode"],
            env={**os.environ, "JAVA_TOOL_OPTIONS": "-Xmx512m"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def _wait(self) -> None:
        deadline = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < deadline:
            # The answer might be another program's on the same port: the child must be alive.
            if self._process.poll() is not None:
                pytest.fail(f"the Datastore emulator ended with {self._process.returncode}")
            try:
                urllib.request.urlopen(f"http://{self.host}/", timeout=5).close()
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
            else:
                return
        pytest.fail(f"the Datastore emulator did not answer in {SECONDS_TO_START} seconds")

    def reset(self) -> None:
        """Empty it."""
        request = urllib.request.Request(f"http://{self.host}/reset", method="POST")
        urllib.request.urlopen(request, timeout=30).close()

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@pytest.fixture(scope="session")
def datastore_emulator() -> Iterator[Emulator]:
    """One emulator for the whole session; a test that uses it resets it first."""
    emulator = Emulator()
    yield emulator
    emulator.stop()


@pytest.fixture
def emulator_url(datastore_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty store in the emulator; child processes inherit its address."""
    datastore_emulator.reset()
    monkeypatch.setenv("DATASTORE_EMULATOR_HOST", datastore_emulator.host)
    return "datastore://dfpipe-test"


@pytest.fixture(params=BACKENDS)
def store_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty store, once for each backend."""
    if request.param == "emulator":
        url: str = request.getfixturevalue("emulator_url")
        return url
    return f"sqlite:///{request.getfixturevalue('tmp_path')}/store.db"


@pytest.fixture
def client(store_url: str) -> Iterator[Any]:
    """A client of an empty store, once for each backend."""
    client = connect(store_url)
    yield client
    client.close()


@pytest.fixture
def is_embedded(store_url: str) -> bool:
    """Whether the store is the embedded one, for the few differences that a suite must tell."""
    return store_url.startswith("sqlite:")
