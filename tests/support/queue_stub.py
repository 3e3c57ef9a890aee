"""The old library's in-memory queues as a fixture, in a process of their own."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.missing import missing
from tests.support.taskqueues import YAML

ENVIRONMENT = Path(__file__).parents[2] / ".venv-stub"
SERVER = Path(__file__).with_name("queue_stub_server.py")


class QueueStub:
    """Operations on the old queues, answered with a result or the name of an exception."""

    def __init__(self, queue_yaml: Path) -> None:
        self.process = subprocess.Popen(
            [ENVIRONMENT / "bin" / "python", SERVER, queue_yaml],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def call(self, *line: Any) -> dict[str, Any]:
        """Do what the line says; see the server."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


@pytest.fixture(scope="session")
def queue_stub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueueStub]:
    """The old queues, with those of tests.support.taskqueues."""
    if not (ENVIRONMENT / "made").exists():
        missing("the old task queue library", "run `make emulators`")
    file = tmp_path_factory.mktemp("stub") / "queue.yaml"
    file.write_text(YAML)
    stub = QueueStub(file)
    yield stub
    stub.process.kill()
    stub.process.wait()
