"""How long the launcher's pages take with 1,000 runs in the warehouse, under gunicorn.

One person clicks: mostly on the newest run, now and then on an older one, a list or a history. Each
of two worker processes keeps its own answers, so some clicks are always the first of their kind.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Not this folder, where a file has the package's name.
sys.path[0] = str(ROOT)

import duckdb  # noqa: E402  # after the path
import psutil  # noqa: E402  # the same

from dfpipe import warehouse  # noqa: E402  # the same
from tests.support.processes import free_port, wait_until  # noqa: E402  # the same

NEWEST = datetime(2026, 1, 7, 10, tzinfo=UTC)
SLOT = timedelta(hours=5)
FILL = (
    "INSERT INTO word_counts SELECT {ts}, rank, 'word' || ((rank * 7 + run * 3) % 2000), "
    "5000 - rank * 5, (5000 - rank * 5) / 200.0 FROM range({runs}) a(run), range(1, 501) b(rank)",
    "INSERT INTO urls SELECT {ts}, rank, 'https://host' || (rank % 40) || '.example/page/' || "
    "((rank * 7 + run) % 3000), 900 - rank FROM range({runs}) a(run), range(1, 301) b(rank)",
    "INSERT INTO word_cooccur SELECT {ts}, rank, 'a' || ((rank * 3 + run) % 900), 'b' || "
    "((rank * 11 + run * 2) % 900), 700 - rank, 9000.5 - rank * 20 "
    "FROM range({runs}) a(run), range(1, 301) b(rank)",
    "INSERT INTO runs SELECT {ts}, {ts} - INTERVAL 4 DAY, {ts}, 20000, 3, 30000, 4000, 'modern', "
    "'FnApiRunner', '0.1.0', 12.5 + run FROM range({runs}) a(run)",
)


def make_warehouse(path: Path, runs: int) -> str:
    """A warehouse of so many runs in full size; returns its URL."""
    url = f"duckdb:///{path}"
    warehouse.connect(url).prepare()
    ts = f"(TIMESTAMPTZ '{NEWEST.isoformat()}' - INTERVAL 1 HOUR * 5 * run)"
    with duckdb.connect(path) as connection:
        for statement in FILL:
            connection.execute(statement.format(ts=ts, runs=runs))
    return url


@contextmanager
def serving(folder: Path, sink: str) -> Iterator[tuple[str, "psutil.Process"]]:
    """The launcher under gunicorn with two processes: its address and the master process."""
    port = free_port()
    env = {
        **os.environ,
        "DFPIPE_STORE": f"sqlite:///{folder / 'store.db'}",
        "DFPIPE_WAREHOUSE": sink,
        "LAUNCHER_JOBS_FOLDER": str(folder / "jobs"),
    }
    words = ["-m", "launcher", "serve", "--port", str(port), "--workers", "2"]
    words += ["--log_level", "ERROR"]
    child = subprocess.Popen([sys.executable, *words], env=env, cwd=ROOT)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: is_up(url), 120)
        yield url, psutil.Process(child.pid)
    finally:
        child.terminate()
        child.wait(30)


def is_up(url: str) -> bool:
    """Whether the service answers."""
    try:
        return fetch(f"{url}/healthz") > 0
    except OSError:
        return False


def fetch(url: str) -> float:
    """How long an answer takes, in milliseconds."""
    start = time.perf_counter()
    with urllib.request.urlopen(url, timeout=60) as answer:
        answer.read()
    return (time.perf_counter() - start) * 1000


def clicks(count: int, runs: int) -> Iterator[str]:
    """The paths that a person asks for."""
    rng = random.Random(6)
    for _ in range(count):
        moment = f"{NEWEST - rng.randrange(min(runs, 100)) * SLOT:%Y-%m-%dT%H:%M:%SZ}"
        kinds = {
            "/": 80,
            f"/?run={moment}": 8,
            f"/results/history?word=word{rng.randrange(2000)}": 6,
            f"/results/rankings/popular_words?run={moment}": 3,
            "/results": 3,
        }
        yield from rng.choices(list(kinds), list(kinds.values()))


def cpu_seconds(master: "psutil.Process") -> float:
    """The CPU time that the service's processes have used."""
    times = [p.cpu_times() for p in (master, *master.children(recursive=True))]
    return float(sum(t.user + t.system for t in times))


def told(name: str, took: list[float], cpu: float) -> None:
    """Print what was measured."""
    ordered = sorted(took)
    p99 = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    print(
        f"{name:<22} {len(took):>5} requests: p50 {statistics.median(took):6.1f} ms, "
        f"p99 {p99:6.1f} ms, worst {ordered[-1]:6.1f} ms, CPU {cpu / len(took) * 1000:5.1f} ms each"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=600)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sink = make_warehouse(folder / "results.duckdb", given.runs)
        with serving(folder, sink) as (url, master):
            print(f"{given.runs:,} runs in the warehouse")
            first = [fetch(url + "/") for _ in range(2)]
            told("the first pages", first, 0)
            start = cpu_seconds(master)
            took = [fetch(url + path) for path in clicks(given.requests, given.runs)]
            told("a person's clicks", took, cpu_seconds(master) - start)
            start = cpu_seconds(master)
            old = [NEWEST - n * SLOT for n in range(200, 240)]
            took = [fetch(f"{url}/?run={moment:%Y-%m-%dT%H:%M:%SZ}") for moment in old]
            told("runs never asked for", took, cpu_seconds(master) - start)


if __name__ == "__main__":
    main()
