"""How long /launchpipeline takes under gunicorn: slots that are known, new ones, and 50 at once."""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Not this folder, where a file has the package's name.
sys.path[0] = str(ROOT)

import psutil  # noqa: E402  # after the path

from benchmarks.launcher_pages import cpu_seconds, is_up, told  # noqa: E402  # the same
from tests.support.processes import free_port, wait_until  # noqa: E402  # the same

TOKEN = "token-of-the-benchmark"
FIRST = datetime(2020, 1, 7, 10, tzinfo=UTC)


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, "psutil.Process"]]:
    """The launcher under gunicorn with two processes, each of them warm."""
    port = free_port()
    env = {
        **os.environ,
        "DFPIPE_STORE": f"sqlite:///{folder / 'store.db'}",
        "DFPIPE_TASK_TOKEN": TOKEN,
        "LAUNCHER_JOBS_FOLDER": str(folder / "jobs"),
    }
    words = ["-m", "launcher", "serve", "--port", str(port), "--workers", "2"]
    words += ["--log_level", "ERROR"]
    child = subprocess.Popen([sys.executable, *words], env=env, cwd=ROOT)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: is_up(url), 120)
        for _ in range(20):
            call(f"{url}/launchpipeline")
        yield url, psutil.Process(child.pid)
    finally:
        child.terminate()
        child.wait(30)


def call(url: str, body: bytes | None = None) -> float:
    """How long an answer takes, in milliseconds."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, body, headers)
    start = time.perf_counter()
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()
    return (time.perf_counter() - start) * 1000


def new_slot(number: int) -> bytes:
    """The body that asks for a slot that nobody has asked for."""
    slot = FIRST + number * timedelta(hours=5)
    return f'{{"slot": "{slot:%Y-%m-%dT%H:%M:%SZ}"}}'.encode()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=300)
    number = parser.parse_args().requests
    with tempfile.TemporaryDirectory() as name, serving(Path(name)) as (url, master):
        start = cpu_seconds(master)
        took = [call(f"{url}/launchpipeline") for _ in range(number)]
        told("a slot that is known", took, cpu_seconds(master) - start)
        start = cpu_seconds(master)
        took = [call(f"{url}/api/executions", new_slot(each)) for each in range(number)]
        told("a new slot each time", took, cpu_seconds(master) - start)
        start = cpu_seconds(master)
        with ThreadPoolExecutor(50) as pool:
            body = new_slot(number)
            took = list(pool.map(lambda _: call(f"{url}/api/executions", body), range(50)))
        told("50 at once, a new slot", took, cpu_seconds(master) - start)


if __name__ == "__main__":
    main()
