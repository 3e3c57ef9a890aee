"""Measure what the cache saves: `python -m benchmarks.incremental ARCHIVE`; see `--help`.

A store has the posts of a window but for its last hour and one in a hundred, at random. A run with
an empty cache, and a second one, are compared with a run an hour later, when the posts of that hour
have come, and with one after the late posts, which are of all hours. Each has a twin without a
cache, and the last hour also one as SQL in DuckDB. They take turns and must write the same rows.
"""

import random
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import orjson

from benchmarks import lab
from benchmarks.pipeline import SQL, Posts, SameRows, arguments, copies_of
from dfpipe.datastore import connect

LINES = "later.jsonl"  # all posts of that moment
COLD, AGAIN, LATER, LATE = "empty cache", "same moment", "one hour later", "1 % late posts"
WITH, WITHOUT = "with the cache", "without"
Cpu = dict[tuple[str, str], float]  # seconds, by moment and variant
HOUR = timedelta(hours=1)
READS_FOR_A_PRICE = 100_000
RUNS_A_MONTH, WINDOW_DAYS, HOURS_READ = 144, 4, 5.5


@dataclass(frozen=True)
class Moment:
    """A state of the store, the end of the window, and the cache that an earlier run has left."""

    name: str
    store: Path
    until: str
    cache: str | None = None


@dataclass(frozen=True)
class Stage:
    """Where the runs of a benchmark find their store: by one name, which slices depend on."""

    posts: Posts
    folder: Path

    def command(self, moment: Moment, has_cache: bool) -> list[str]:
        """Return the command of a run."""
        cache = self.folder / "cache" if has_cache else "none"
        ends = [f"--store=sqlite:///{self.folder}/p.db", f"--sink=duckdb:///{self.sink}"]
        window = [f"--until={moment.until}", f"--days={self.posts.days}", f"--cache={cache}"]
        return [*lab.DFPIPE, "run", *ends, *window]

    @property
    def sink(self) -> Path:
        """The DuckDB file that runs write to."""
        return self.folder / "r.duckdb"

    def enter(self, moment: Moment) -> None:
        """Put store and cache into the state of a moment."""
        for name in ("p.db-wal", "p.db-shm", "r.duckdb"):
            (self.folder / name).unlink(missing_ok=True)
        shutil.copy(moment.store, self.folder / "p.db")
        shutil.rmtree(self.folder / "cache", ignore_errors=True)
        if moment.cache:
            shutil.copytree(self.folder / moment.cache, self.folder / "cache")

    def keep_cache(self, name: str) -> None:
        """Keep the cache as a later moment finds it."""
        shutil.rmtree(self.folder / name, ignore_errors=True)
        shutil.copytree(self.folder / "cache", self.folder / name)


def moments(posts: Posts, folder: Path) -> list[Moment]:
    """Make the stores of the moments, each from the one before."""
    end = datetime.fromisoformat(posts.until)
    last_hour: list[bytes] = []
    late: list[bytes] = []
    rest: list[bytes] = []
    chance = random.Random(5)
    for line in posts.lines.read_bytes().splitlines(keepends=True):
        is_new = datetime.fromisoformat(orjson.loads(line)["created_at"]) >= end - HOUR
        (last_hour if is_new else late if chance.random() < 0.01 else rest).append(line)
    (folder / LINES).write_bytes(b"".join([*rest, *last_hour]))
    stores: list[Path] = []
    for name, lines in (("early", rest), ("later", last_hour), ("late", late)):
        store, given = folder / f"{name}.db", folder / "given.jsonl"
        if stores:
            shutil.copy(stores[-1], store)
        given.write_bytes(b"".join(lines))
        lab.measure([*lab.DFPIPE, "import", str(given), "--store", f"sqlite:///{store}"])
        stores.append(store)
    early = f"{end - HOUR:%Y-%m-%dT%H:%M:%SZ}"
    return [
        Moment(COLD, stores[0], early),
        Moment(AGAIN, stores[0], early, "after-cold"),
        Moment(LATER, stores[1], posts.until, "after-cold"),
        Moment(LATE, stores[2], posts.until, "after-later"),
    ]


def compare(
    stage: Stage, moment: Moment, repeat: int
) -> tuple[dict[str, list[lab.Sample]], int, int]:
    """Let the variants of a moment take turns; return samples, posts read and bytes cached."""
    names = {WITH: True, WITHOUT: False}
    samples: dict[str, list[lab.Sample]] = {name: [] for name in names}
    rows, read, cached = SameRows(stage.sink), 0, 0
    for _ in range(repeat):
        for name, has_cache in names.items():
            stage.enter(moment)
            samples[name].append(lab.measure(stage.command(moment, has_cache)))
            if has_cache:
                read = posts_read(stage.sink)
                after = {COLD: "after-cold", LATER: "after-later"}.get(moment.name)
                cached = size(stage.folder / "cache")
                if after:
                    stage.keep_cache(after)
            rows(name)
            print(f"{moment.name:16} {name:16} {lab.figures(samples[name][-1:])}", flush=True)
        if moment.name == LATER:
            stage.sink.unlink(missing_ok=True)
            sql = stage.posts.command(SQL, "modern", stage.sink)
            samples.setdefault(SQL, []).append(lab.measure(sql))
            rows(SQL)
            print(f"{moment.name:16} {SQL:16} {lab.figures(samples[SQL][-1:])}", flush=True)
    return samples, read, cached


def posts_read(sink: Path) -> int:
    """Return how many posts a run read from the store."""
    with duckdb.connect(str(sink), read_only=True) as connection:
        ((read,),) = connection.execute("SELECT posts_read FROM runs").fetchall()
    return int(read)


def size(folder: Path) -> int:
    """Return the bytes of the files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


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


def start_up(folder: Path) -> lab.Sample:
    """Measure a run over an empty window."""
    connect(f"sqlite:///{folder}/empty.db").close()
    ends = [f"--store=sqlite:///{folder}/empty.db", f"--sink=duckdb:///{folder}/empty.duckdb"]
    return lab.measure([*lab.DFPIPE, "run", *ends, "--cache=none"])


def ratios_of(copies: int, cpu: Cpu, start: float) -> dict[str, float]:
    """Return what a run an hour later costs beside others; CPU seconds."""
    later, cold = cpu[LATER, WITH], cpu[COLD, WITH]
    return {
        f"{copies} copies: one hour later / empty cache, without start-up": (later - start)
        / (cold - start),
        f"{copies} copies: one hour later / {SQL}": later / cpu[LATER, SQL],
        f"{copies} copies: empty cache / without a cache": cold / cpu[COLD, WITHOUT],
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and write the report; with --bill, print what runs cost on Datastore instead."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["--bill"]:
        print(bill(float(argv[1]) if argv[1:] else 0.06))
        return
    parser = arguments(__doc__, "RESULTS-incremental.md")
    parser.set_defaults(copies=(1, 10, 30))
    args = parser.parse_args(argv)
    rows: list[Sequence[object]] = []
    ratios: dict[str, float] = {}
    with copies_of(args.archive, args) as copies:
        for posts in copies:
            folder = posts.lines.parent / f"stage-{posts.copies}"
            folder.mkdir()
            start = start_up(folder).cpu_seconds
            stage = Stage(replace(posts, lines=folder / LINES), folder)
            cpu: Cpu = {}
            for moment in moments(posts, folder):
                samples, read, cached = compare(stage, moment, args.repeat)
                for name, some in samples.items():
                    cpu[moment.name, name] = lab.median_cpu(some)
                    more = (read, cached) if name == WITH else ("", "")
                    rows.append([posts.copies, moment.name, name, lab.figures(some), *more])
            ratios |= ratios_of(posts.copies, cpu, start)
            store = (folder / "late.db").stat().st_size
            ratios[f"{posts.copies} copies: bytes of the cache / of the store"] = cached / store
    head = ["copies", "moment", "variant", *lab.FIGURES, "posts read", "bytes of the cache"]
    lab.write(
        args,
        "incremental.py",
        f"""`{args.archive.name}`, a window of {args.days:g} days, {args.repeat} runs of each
variant, taking turns. All variants of a moment wrote the same rows. Seconds are those of whole
processes. Ratios are of CPU seconds, unless they say otherwise.

{lab.table(head, rows)}

{lab.ratios(ratios)}
""",
    )


if __name__ == "__main__":
    main()
