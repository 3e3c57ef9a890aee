"""Measure the launcher under gunicorn: the call of cron, and pages with 1,000 runs in DuckDB.

`python -m benchmarks.launcher`. One person clicks: mostly on the newest run, now and then on an
older one, a list or a history. Each worker process caches its own answers, so some clicks are the
first of their kind.
"""

import os
import random
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import duckdb
import psutil

from benchmarks import lab
from dfpipe import datastore, warehouse
from dfpipe.posts.post import Post, to_entity
from tests.support.processes import free_port, process, wait_until

TOKEN = "token-of-the-benchmark"
NEWEST = datetime(2026, 1, 7, 10, tzinfo=UTC)
SLOT = timedelta(hours=5)
FILL = (
    "INSERT INTO word_counts SELECT {ts} AS ts, rank, 'word' || ((rank * 7 + run * 3) % 2000), "
    "5000 - rank * 5, (5000 - rank * 5) / 200.0 FROM range({runs}) a(run), range(1, 501) b(rank)",
    "INSERT INTO urls SELECT {ts} AS ts, rank, 'https://host' || (rank % 40) || '.example/page/' "
    "|| ((rank * 7 + run) % 3000), 900 - rank FROM range({runs}) a(run), range(1, 301) b(rank)",
    "INSERT INTO word_cooccur SELECT {ts} AS ts, rank, 'a' || ((rank * 3 + run) % 900), 'b' || "
    "((rank * 11 + run * 2) % 900), 700 - rank, 9000.5 - rank * 20 "
    "FROM range({runs}) a(run), range(1, 301) b(rank)",
    "INSERT INTO rising_words SELECT {ts} AS ts, rank, 'word' || ((rank * 7 + run * 3) % 2000), "
    "900 - rank, rank, 10.5, 0.5, 9000.5 / rank, 0.001 "
    "FROM range({runs}) a(run), range(1, 101) b(rank)",
    "INSERT INTO rising_pairs SELECT {ts} AS ts, rank, 'a' || ((rank * 3 + run) % 900), 'b' || "
    "((rank * 11 + run * 2) % 900), 300 - rank, rank, 900.5 / rank, 0.001 "
    "FROM range({runs}) a(run), range(1, 301) b(rank)",
    # A story has mostly the words of the one of the same rank in the run before.
    "INSERT INTO stories SELECT {ts} AS ts, rank, 'a' || rank, 'b' || rank, "
    "(SELECT string_agg('s' || (rank * 100 + (run // 10 + i) % 90), ' ') FROM range(8) w(i)), "
    "2000 - rank * 20, 900 - rank * 10, 300, 1700 - rank * 20, 90.5 - rank, 0.001, 12, "
    "{ts} - INTERVAL 3 DAY, {ts} FROM range({runs}) a(run), range(1, 51) b(rank)",
    "INSERT INTO story_posts SELECT {ts} AS ts, story, rank, story * 5 + rank, 30 - rank "
    "FROM range({runs}) a(run), range(1, 51) b(story), range(1, 6) c(rank)",
    "INSERT INTO story_urls SELECT {ts} AS ts, story, rank, 'https://host' || rank || '.example/' "
    "|| story, 60 - rank FROM range({runs}) a(run), range(1, 51) b(story), range(1, 6) c(rank)",
    "INSERT INTO story_timeline SELECT {ts} AS ts, story, {ts} - INTERVAL 1 HOUR * (96 - part), "
    "1 + (part * story) % 40 FROM range({runs}) a(run), range(1, 51) b(story), range(96) c(part)",
    "INSERT INTO timeline SELECT {ts} AS ts, {ts} - INTERVAL 1 HOUR * (96 - part), 100 + part % 90 "
    "FROM range({runs}) a(run), range(96) b(part)",
    "INSERT INTO runs BY NAME SELECT {ts} AS ts, {ts} - INTERVAL 4 DAY AS window_start, "
    "{ts} AS window_end, {ts} - INTERVAL 1 DAY AS recent_start, 5000 AS recent, "
    "20000 AS tweets, 3 AS skipped, 30000 AS words, 4000 AS urls, "
    "'modern' AS text_mode, 'FnApiRunner' AS runner, '0.1.0' AS version, 12.5 + run AS seconds "
    "FROM range({runs}) a(run)",
)


def make_warehouse(path: Path, runs: int) -> str:
    """Fill a warehouse with runs of full size; return its URL."""
    url = f"duckdb:///{path}"
    warehouse.connect(url).prepare()
    ts = f"(TIMESTAMPTZ '{NEWEST.isoformat()}' - INTERVAL 1 HOUR * 5 * run)"
    with duckdb.connect(path) as connection:
        for statement in FILL:
            # As if the runs were written one after the other.
            connection.execute(statement.format(ts=ts, runs=runs) + " ORDER BY ts")
    return url


def put_examples(url: str) -> None:
    """Store the example posts of all stories."""
    client = datastore.connect(url)
    text = "A post of some length, as people write them, about what a story is about"
    posts = [Post(tid, f"user{tid}", f"{text} {tid}", NEWEST) for tid in range(1, 256)]
    client.put_multi([to_entity(post, client, NEWEST) for post in posts])


@contextmanager
def serving(folder: Path, sink: str) -> Iterator[tuple[str, psutil.Process]]:
    """Start the launcher with two worker processes; give its address and the master process."""
    port = free_port()
    env = {
        **os.environ,
        "DFPIPE_STORE": f"sqlite:///{folder / 'store.db'}",
        "DFPIPE_SINK": sink,
        "DFPIPE_TASK_TOKEN": TOKEN,
        "DFPIPE_PAGE_ACCESS": "loopback",
        "LAUNCHER_JOBS_FOLDER": str(folder / "jobs"),
    }
    options = ["--port", str(port), "--workers", "2", "--log-level", "ERROR"]
    with process("-m", "launcher", "serve", *options, env=env) as child:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: is_up(url), 120)
        yield url, psutil.Process(child.pid)


def is_up(url: str) -> bool:
    """Whether the service answers."""
    try:
        return fetch(f"{url}/healthz") > 0
    except OSError:
        return False


def fetch(url: str, body: bytes | None = None) -> float:
    """Return how many seconds an answer takes."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    start = time.perf_counter()
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as answer:
        answer.read()
        seconds = time.perf_counter() - start
        if answer.url != url:  # as a redirect to the login would be: another page is measured
            raise SystemExit(f"{url} was answered by {answer.url}")
    return seconds


def clicks(count: int, runs: int) -> Iterator[str]:
    """Yield the paths that a person asks for."""
    rng = random.Random(6)
    for _ in range(count):
        moment = f"{NEWEST - rng.randrange(min(runs, 100)) * SLOT:%Y-%m-%dT%H:%M:%SZ}"
        kinds = {
            "/": 74,
            f"/?run={moment}": 8,
            f"/timeline/word?word=word{rng.randrange(2000)}": 6,
            story(moment, rng.randrange(1, 51)): 6,
            f"/timeline/rankings/popular_words?run={moment}": 3,
            "/timeline/runs": 3,
        }
        yield from rng.choices(list(kinds), list(kinds.values()))


def story(moment: str, rank: int) -> str:
    """Return the path of a story."""
    return f"/timeline/story?w1=a{rank}&w2=b{rank}&ts={moment}"


def new_slot(number: int) -> bytes:
    """Return the body that asks for a slot that has not been asked for."""
    slot = NEWEST - timedelta(days=2000) + number * SLOT
    return f'{{"slot": "{slot:%Y-%m-%dT%H:%M:%SZ}"}}'.encode()


def requests(url: str, requests: int, runs: int) -> dict[str, Callable[[], list[float]]]:
    """Return what is measured, by name."""
    start, old = f"{url}/api/executions", [NEWEST - n * SLOT for n in range(200, 240)]

    def at_once() -> list[float]:
        with ThreadPoolExecutor(50) as pool:
            return list(pool.map(partial(fetch, start), [new_slot(requests)] * 50))

    return {
        "a known slot": lambda: [fetch(f"{url}/launchpipeline") for _ in range(requests)],
        "a new slot each time": lambda: [fetch(start, new_slot(n)) for n in range(requests)],
        "50 at once for a new slot": at_once,
        "a person's clicks": lambda: [fetch(url + path) for path in clicks(requests, runs)],
        "runs never asked for": lambda: [
            fetch(f"{url}/?run={moment:%Y-%m-%dT%H:%M:%SZ}") for moment in old
        ],
        "stories never asked for": lambda: [
            fetch(url + story(f"{moment:%Y-%m-%dT%H:%M:%SZ}", n + 1))
            for n, moment in enumerate(old)
        ],
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and write the report."""
    parser = lab.parser(__doc__, "RESULTS-launcher.md")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=600)
    args = parser.parse_args(argv)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        sink = make_warehouse(Path(name, "results.duckdb"), args.runs)
        put_examples(f"sqlite:///{Path(name, 'store.db')}")
        with serving(Path(name), sink) as (url, master):
            for _ in range(20):
                fetch(f"{url}/launchpipeline")
            for what, measured in requests(url, args.requests, args.runs).items():
                before = lab.cpu_of(master)
                took = measured()
                cpu = 1000 * (lab.cpu_of(master) - before) / len(took)
                rows.append([what, len(took), lab.milliseconds(took), f"{cpu:.1f}"])
    text = f"""gunicorn with two processes, the embedded store, and DuckDB with {args.runs:,}
runs of 500 words, 300 links, 300 pairs and 50 stories each. Times are in milliseconds.

{lab.table(["requests", "number", "p50", "p99", "worst", "CPU each"], rows)}
"""
    lab.write(args, "launcher.py", text)


if __name__ == "__main__":
    main()
