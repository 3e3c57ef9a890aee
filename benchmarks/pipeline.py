"""Measure `dfpipe run` against a plain Beam pipeline and against SQL in DuckDB, on a posts file.

(a) `dfpipe run`, (b) plain_beam.py: the same analysis on the same runner with one element for each
word and each pair, from the same store, (c) duckdb_sql.py: the same analysis as SQL in DuckDB with
two threads, from JSON lines. Each is a process of its own, from its start to its end; they take
turns; and all must write the same rows, or else this fails.
"""

import argparse
import importlib.metadata
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import orjson
import psutil

HERE = Path(__file__).parent
DFPIPE = (sys.executable, "-m", "dfpipe")
VARIANTS = {"a": "dfpipe run", "b": "plain Beam", "c": "DuckDB SQL"}
COPIES = (1, 3, 10)
MODES = ("modern", "classic")
PAUSE = 0.1  # seconds between two looks at a process's memory
TABLES = {
    "word_counts": "rank, word, count, percent",
    "urls": "rank, url, count",
    "word_cooccur": "rank, w1, w2, count, log_weight",
    "runs": "tweets, skipped, words, urls",
}


@dataclass(frozen=True)
class Work:
    """What is analysed: the same posts as a store and as JSON lines, and the window."""

    copies: int
    store: str
    posts_file: Path
    until: str
    days: float
    text: str

    def command(self, variant: str, output: Path) -> list[str]:
        """Return the words of a variant that writes to a new DuckDB file."""
        window = [f"--until={self.until}", f"--days={self.days}", f"--text={self.text}"]
        if variant == "c":
            words = [HERE / "duckdb_sql.py", self.posts_file, output]
            return [sys.executable, *map(str, words), *window]
        program = [*DFPIPE, "run"] if variant == "a" else [sys.executable, HERE / "plain_beam.py"]
        return [*map(str, program), f"--source={self.store}", f"--sink=duckdb:///{output}", *window]


@dataclass
class Measured:
    """The figures of each run of a variant."""

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)

    def add(self, seconds: float, cpu_seconds: float, megabytes: float) -> None:
        """Add a run."""
        self.seconds.append(seconds)
        self.cpu_seconds.append(cpu_seconds)
        self.megabytes.append(megabytes)

    @property
    def time(self) -> float:
        """The median of the seconds."""
        return statistics.median(self.seconds)

    @property
    def cpu(self) -> float:
        """The median of the seconds of CPU."""
        return statistics.median(self.cpu_seconds)

    @property
    def memory(self) -> float:
        """The highest peak."""
        return max(self.megabytes)


def shifted(lines: Sequence[bytes], copies: int) -> Iterator[bytes]:
    """Yield JSON lines of posts several times: with other ids, and later by a second each time.

    A time after the newest post's becomes that, so that all stay in the window.
    """
    posts = [orjson.loads(line) for line in lines]
    times = [datetime.fromisoformat(post["created_at"]) for post in posts]
    span = max(post["tid"] for post in posts) - min(post["tid"] for post in posts) + 1
    newest = max(times)
    for copy in range(copies):
        for post, created_at in zip(posts, times, strict=True):
            moved = min(created_at + timedelta(seconds=copy), newest)
            post = {**post, "tid": post["tid"] + copy * span, "created_at": moved}
            yield orjson.dumps(post, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE)


def after(line: bytes) -> str:
    """Return the time of the second after a post."""
    created_at = datetime.fromisoformat(orjson.loads(line)["created_at"])
    return f"{created_at + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"


def prepare(lines: Sequence[bytes], copies: int, folder: Path) -> tuple[Path, str]:
    """Make JSON lines and a store of so many copies of the posts; return where they are."""
    posts_file = folder / f"{copies}.jsonl"
    with posts_file.open("wb") as out:
        out.writelines(shifted(lines, copies))
    store = f"sqlite:///{folder / f'{copies}.db'}"
    run_quietly([*DFPIPE, "import", str(posts_file), "--to", store])
    return posts_file, store


def run_quietly(command: Sequence[str]) -> None:
    """Run a command; show what it said where it fails, and end."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def measure(command: Sequence[str]) -> tuple[float, float, float]:
    """Run a command; return its seconds, seconds of CPU and peak megabytes, with its children."""
    with tempfile.TemporaryFile() as said:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=said, stderr=said)
        watch = Watch(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            sys.exit(f"{' '.join(command)} failed:\n{said.read().decode(errors='replace')}")
    # The kernel misses no peak of a single process, the watch adds up several.
    peak = max(watch.stop(), usage.ru_maxrss * 1024)
    return seconds, usage.ru_utime + usage.ru_stime, peak / 1e6


class Watch(threading.Thread):
    """Looks at the memory of a process and its children together, while they live."""

    def __init__(self, pid: int) -> None:
        """Begin to watch."""
        super().__init__(daemon=True)
        self.process = psutil.Process(pid)
        self.peak = 0
        self.ended = threading.Event()
        self.start()

    def run(self) -> None:
        """Look again and again."""
        while not self.ended.wait(PAUSE):
            self.peak = max(self.peak, memory_of_tree(self.process))

    def stop(self) -> int:
        """End, and return the highest sum in bytes."""
        self.ended.set()
        self.join()
        return self.peak


def memory_of_tree(process: psutil.Process) -> int:
    """Return the bytes that a process and its children hold; what they share counts once."""
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            total += one.memory_full_info().pss
    except psutil.Error:
        return 0  # one of them has just ended: the next look tells
    return total


def results(output: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Read the tables of a DuckDB file that holds one run."""
    with duckdb.connect(str(output), read_only=True) as connection:
        return {
            table: connection.execute(f"SELECT {columns} FROM {table} ORDER BY ALL").fetchall()
            for table, columns in TABLES.items()
        }


def difference(
    ours: dict[str, list[tuple[Any, ...]]], theirs: dict[str, list[tuple[Any, ...]]]
) -> str | None:
    """Return where two results first differ, None if nowhere."""
    for table, rows in ours.items():
        if len(rows) != len(theirs[table]):
            return f"{table}: {len(rows)} rows and {len(theirs[table])} rows"
        for mine, other in zip(rows, theirs[table], strict=True):
            if mine != other:
                return f"{table}: {mine} and {other}"
    return None


def compare(work: Work, variants: str, repeat: int, folder: Path) -> dict[str, Measured]:
    """Run the variants in turns; end where two of them do not find the same."""
    measured = {variant: Measured() for variant in variants}
    expected = None
    for _ in range(repeat):
        for variant in variants:
            output = folder / f"{variant}.duckdb"
            output.unlink(missing_ok=True)
            figures = measure(work.command(variant, output))
            measured[variant].add(*figures)
            label = f"{work.text:7} {work.copies:3} x {VARIANTS[variant]:12}"
            print(label, "{:6.2f} s {:6.2f} s CPU {:5.0f} MB".format(*figures), flush=True)
            found = results(output)
            expected = expected or found
            if different := difference(expected, found):
                sys.exit(f"{VARIANTS[variant]} differs from {VARIANTS[variants[0]]}: {different}")
    return measured


Figures = dict[int, dict[str, Measured]]  # by copies, then by variant


def report(measured: dict[str, Figures], n_posts: int, args: argparse.Namespace) -> str:
    """Return the figures of all text modes as Markdown."""
    sections = "\n".join(section(mode, figures, n_posts) for mode, figures in measured.items())
    return f"""# Results of benchmarks/pipeline.py

{args.date}, on {machine()}.
{versions()}.

`{args.posts_file.name}`: {n_posts:,} posts, a window of {args.days:g} days until {args.until},
{args.repeat} runs of each variant, taking turns. Every run of every variant wrote the same rows. A
copy of the posts has other ids and times.

Seconds are those of whole processes, their start and imports included. Memory is that of a process
and its children together. `dfpipe run` and plain Beam read an SQLite store and DuckDB reads JSON
lines; all write to a DuckDB file.
{sections}"""


def section(mode: str, measured: Figures, n_posts: int) -> str:
    """Return the figures of one text mode as Markdown."""
    rows = [
        f"| {copies} | {copies * n_posts:,} | {VARIANTS[variant]} | {one.time:.2f} "
        f"({min(one.seconds):.2f} to {max(one.seconds):.2f}) | {one.cpu:.2f} | {one.memory:.0f} |"
        for copies, variants in measured.items()
        for variant, one in variants.items()
    ]
    one, many = measured[1], measured[max(measured)]
    return f"""
## Text mode {mode}

| copies | posts | variant | seconds: median (range) | seconds of CPU | peak MB |
|---|---|---|---|---|---|
{chr(10).join(rows)}

| ratio | |
|---|---|
| plain Beam / `dfpipe run` | {one["b"].time / one["a"].time:.1f} |
| `dfpipe run` / DuckDB, 1 copy | {one["a"].time / one["c"].time:.2f} |
| `dfpipe run` / DuckDB, {max(measured)} copies | {many["a"].time / many["c"].time:.2f} |
| `dfpipe run`, {max(measured)} copies / 1 copy: time | {many["a"].time / one["a"].time:.1f} |
| `dfpipe run`, {max(measured)} copies / 1 copy: memory | {many["a"].memory / one["a"].memory:.1f} |
"""


def machine() -> str:
    """Return what the machine is, without its name."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), model)
    gigabytes = psutil.virtual_memory().total / 2**30
    return f"{model}, {os.cpu_count()} cores, {gigabytes:.0f} GiB of memory, {platform.system()}"


def versions() -> str:
    """Return the versions of what is measured."""
    libraries = {"Apache Beam": "apache-beam", "DuckDB": "duckdb", "numpy": "numpy"}
    found = [f"{name} {importlib.metadata.version(x)}" for name, x in libraries.items()]
    return ", ".join([f"Python {platform.python_version()}", *found])


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the words of the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("posts_file", type=Path, help="any archive that `dfpipe import` reads")
    parser.add_argument("--until", help="end of the window (default: after the newest post)")
    parser.add_argument("--days", type=float, default=4.0)
    parser.add_argument("--text", choices=MODES, nargs="+", default=MODES, help="text modes")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--output", type=Path, default=HERE / "RESULTS.md")
    parser.add_argument("--date", default=f"{datetime.now(UTC):%Y-%m-%d}")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and write the results."""
    args = arguments(argv)
    with tempfile.TemporaryDirectory(prefix="dfpipe-benchmark-") as name:
        folder = Path(name)
        store, posts = f"sqlite:///{folder / 'given.db'}", folder / "given.jsonl"
        run_quietly([*DFPIPE, "import", str(args.posts_file), "--to", store])
        run_quietly([*DFPIPE, "export", "--from", store, "--output", str(posts)])
        lines = posts.read_bytes().splitlines()
        args.until = args.until or after(lines[-1])
        measured: dict[str, Figures] = {mode: {} for mode in args.text}
        for copies in COPIES:
            posts_file, store = prepare(lines, copies, folder)
            for mode in args.text:
                work = Work(copies, store, posts_file, args.until, args.days, mode)
                variants = "abc" if copies == 1 else "ac"
                measured[mode][copies] = compare(work, variants, args.repeat, folder)
    text = report(measured, len(lines), args)
    print(f"\n{text}")
    args.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
