"""Measure what the cache saves: `python -m benchmarks.incremental ARCHIVE`; see `--help`.

A store has the posts of a window but for its last hour and one in a hundred, at random. A run with
an empty cache, and a second one, are compared with a run an hour later, when the posts of that hour
have come, and with one after the late posts, which are of all hours. Each has a twin without a
cache, and the last hour also one as SQL in DuckDB. They take turns and must write the same rows.

If DATASTORE_EMULATOR_HOST names Google's emulator, the runs at the fewest copies also read from
there: start it with no posts of the project `benchmark`.
"""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import duckdb
import orjson

from benchmarks import lab
from benchmarks.pipeline import SQL, Posts, SameRows, arguments, copies_of
from dfpipe.datastore import connect

EMBEDDED, EMULATOR = "embedded", "Datastore emulator"
COLD, AGAIN, LATER, LATE = "empty cache", "same moment", "one hour later", "1 % late posts"
WITH, WITHOUT = "with the cache", "without"
KEPT = {COLD: "after-cold", LATER: "after-later"}  # what caches are kept as
Row = Sequence[object]
Cpu = dict[tuple[str, str], float]  # seconds, by moment and variant
HOUR = timedelta(hours=1)
READS_FOR_A_PRICE = 100_000
RUNS_A_MONTH, WINDOW_DAYS, HOURS_READ = 144, 4, 5.5


class Moment(NamedTuple):
    """What arrives before it, the end of the window, and the cache that an earlier run has left."""

    name: str
    arrives: list[bytes]  # posts as JSON lines
    until: str
    cache: str | None = None


@dataclass(frozen=True)
class Stage:
    """Where the runs of a benchmark find their store: by one name, which slices depend on."""

    posts: Posts
    folder: Path
    source: str

    def command(self, until: str, cache: str) -> list[str]:
        """Return what follows `dfpipe` in the command of a run."""
        ends = [f"--store={self.source}", f"--sink=duckdb:///{self.sink}"]
        return ["run", *ends, f"--until={until}", f"--days={self.posts.days}", f"--cache={cache}"]

    @property
    def sink(self) -> Path:
        """The DuckDB file that runs write to."""
        return self.folder / "r.duckdb"

    @property
    def lines(self) -> Path:
        """All posts of the store, as the analysis as SQL reads them."""
        return self.folder / "posts.jsonl"

    @property
    def cache(self) -> Path:
        """The folder of slices."""
        return self.folder / "cache"

    def add(self, lines: Sequence[bytes]) -> None:
        """Import posts."""
        file = self.folder / "given.jsonl"
        file.write_bytes(b"".join(lines))
        lab.measure([*lab.DFPIPE, "import", str(file), "--store", self.source])

    def enter(self, moment: Moment) -> None:
        """Remove the tables, and let the cache be what the moment begins with."""
        self.sink.unlink(missing_ok=True)
        shutil.rmtree(self.cache, ignore_errors=True)
        if moment.cache:
            shutil.copytree(self.folder / moment.cache, self.cache)

    def run(self, moment: Moment, cache: str) -> lab.Sample:
        """Measure a run at a moment."""
        self.enter(moment)
        return lab.measure([*lab.DFPIPE, *self.command(moment.until, cache)])

    def sql(self) -> Sequence[str]:
        """Return the command of the analysis as SQL."""
        return replace(self.posts, lines=self.lines).command(SQL, "modern", self.sink)

    def queries(self, moment: Moment) -> int:
        """Return how many queries a run with the cache makes, and keep its cache."""
        self.enter(moment)
        program = [sys.executable, "-m", "benchmarks.queries", "--processes=1"]
        command = [*program, *self.command(moment.until, str(self.cache))[1:]]
        found = subprocess.run(command, check=True, cwd=lab.HERE.parent, capture_output=True)
        if kept := KEPT.get(moment.name):
            shutil.copytree(self.cache, self.folder / kept, dirs_exist_ok=True)
        return int(found.stdout.split()[-1])

    def start_up(self) -> lab.Sample:
        """Measure a run over an empty window, while the store has no posts."""
        connect(self.source).close()
        return lab.measure([*lab.DFPIPE, *self.command(self.posts.until, "none")])


def moments(posts: Posts) -> list[Moment]:
    """Return the moments in their order."""
    end = datetime.fromisoformat(posts.until)
    last_hour: list[bytes] = []
    late: list[bytes] = []
    rest: list[bytes] = []
    chance = random.Random(5)
    for line in posts.lines.read_bytes().splitlines(keepends=True):
        is_new = datetime.fromisoformat(orjson.loads(line)["created_at"]) >= end - HOUR
        (last_hour if is_new else late if chance.random() < 0.01 else rest).append(line)
    early = f"{end - HOUR:%Y-%m-%dT%H:%M:%SZ}"
    return [
        Moment(COLD, rest, early),
        Moment(AGAIN, [], early, KEPT[COLD]),
        Moment(LATER, last_hour, posts.until, KEPT[COLD]),
        Moment(LATE, late, posts.until, KEPT[LATER]),
    ]


def compare(
    stage: Stage, moment: Moment, has_sql: bool, repeat: int
) -> tuple[dict[str, list[lab.Sample]], int]:
    """Let the variants of a moment take turns; return samples, and the posts that were read."""
    caches = {WITH: str(stage.cache), WITHOUT: "none"}
    samples: dict[str, list[lab.Sample]] = {}
    rows, read = SameRows(stage.sink), 0

    def turn(name: str, sample: lab.Sample) -> None:
        samples.setdefault(name, []).append(sample)
        rows(name)
        print(f"{moment.name:16} {name:16} {lab.figures([sample])}", flush=True)

    for _ in range(repeat):
        for name, cache in caches.items():
            sample = stage.run(moment, cache)
            if name == WITH:
                read = posts_read(stage.sink)
            turn(name, sample)
        if moment.name == LATER and has_sql:
            turn(SQL, lab.measure(stage.sql()))
    return samples, read


def posts_read(sink: Path) -> int:
    """Return how many posts a run read from the store."""
    with duckdb.connect(str(sink), read_only=True) as connection:
        ((read,),) = connection.execute("SELECT posts_read FROM runs").fetchall()
    return int(read)


def size(folder: Path, pattern: str = "*") -> int:
    """Return the bytes of the files in a folder whose names match."""
    return sum(file.stat().st_size for file in folder.rglob(pattern) if file.is_file())


def bill(price: float) -> str:
    """Return the table of reads and prices a month in docs/explanation/incremental.md.

    Without the cache a run reads WINDOW_DAYS of posts; with it, HOURS_READ hours of them, and an
    entry of each of two indexes for all, of which 1,000 are billed as one read.
    """
    rows: list[Sequence[object]] = []
    for daily in (1_000_000, 10_000_000, 100_000_000):
        window = daily * WINDOW_DAYS
        plain = RUNS_A_MONTH * window
        cached = round(RUNS_A_MONTH * (daily * HOURS_READ / 24 + 2 * window / 1_000))
        dollars = [f"${n * price / READS_FOR_A_PRICE:,.0f}" for n in (plain, cached)]
        rows.append([daily, plain, cached, *dollars])
    head = "posts a day", "reads a month without the cache", "reads with it"
    return lab.table([*head, "price without", "price with it"], rows)


def ratios_of(key: str, cpu: Cpu, start: float) -> dict[str, float]:
    """Return what a run an hour later costs beside others; CPU seconds."""
    later, cold = cpu[LATER, WITH], cpu[COLD, WITH]
    others = {
        "one hour later / empty cache, without start-up": (later - start) / (cold - start),
        "empty cache / without a cache": cold / cpu[COLD, WITHOUT],
    }
    if (LATER, SQL) in cpu:
        others[f"one hour later / {SQL}"] = later / cpu[LATER, SQL]
    return {f"{key}: {name}": value for name, value in others.items()}


def measure(stage: Stage, store: str, repeat: int) -> tuple[list[Row], dict[str, float]]:
    """Measure all moments on a stage; return rows and ratios of the report."""
    rows: list[Row] = []
    cpu: Cpu = {}
    start = lab.median_cpu([stage.start_up() for _ in range(repeat)])
    arrived: list[bytes] = []
    for moment in moments(stage.posts):
        if moment.arrives:
            stage.add(moment.arrives)
            arrived += moment.arrives
        stage.lines.write_bytes(b"".join(arrived))
        samples, read = compare(stage, moment, store == EMBEDDED, repeat)
        more = (read, stage.queries(moment), size(stage.cache))
        for name, some in samples.items():
            cpu[moment.name, name] = lab.median_cpu(some)
            about = [store, stage.posts.copies, moment.name, name]
            rows.append([*about, lab.figures(some), *(more if name == WITH else ("", "", ""))])
    key = f"{store}, {stage.posts.copies} copies"
    ratios = ratios_of(key, cpu, start)
    if store == EMBEDDED:
        ratios[f"{key}: bytes of the cache / of the store"] = more[-1] / size(stage.folder, "p.db")
    return rows, ratios


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and write the report; with --bill, print what runs cost on Datastore instead."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["--bill"]:
        print(bill(float(argv[1]) if argv[1:] else 0.06))
        return
    parser = arguments(__doc__, "RESULTS-incremental.md")
    parser.set_defaults(copies=(1, 10, 30))
    args = parser.parse_args(argv)
    rows: list[Row] = []
    ratios: dict[str, float] = {}
    with copies_of(args.archive, args) as copies:
        for posts in copies:
            folder = posts.lines.parent / f"stage-{posts.copies}"
            stores = {EMBEDDED: f"sqlite:///{folder}/p.db"}
            if posts.copies == min(args.copies) and "DATASTORE_EMULATOR_HOST" in os.environ:
                stores[EMULATOR] = "datastore://benchmark"
            for store, source in stores.items():
                folder.mkdir()
                found, more = measure(Stage(posts, folder, source), store, args.repeat)
                rows += found
                ratios |= more
                shutil.rmtree(folder)
    head = ["store", "copies", "moment", "variant", *lab.FIGURES]
    lab.write(
        args,
        "incremental.py",
        f"""`{args.archive.name}`, a window of {args.days:g} days, {args.repeat} runs of each
variant, taking turns. All variants of a moment wrote the same rows. Seconds are those of whole
processes. Ratios are of CPU seconds, unless they say otherwise.

{lab.table([*head, "posts read", "queries", "bytes of the cache"], rows)}

{lab.ratios(ratios)}
""",
    )


if __name__ == "__main__":
    main()
