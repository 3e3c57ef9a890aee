"""Measure `dfpipe run` over 10^3 to 10^7 made-up posts, and a model that tells the cost of more.

Each size is run twice. (a) In one process, with a probe that counts what goes from step to step
(shuffled.py): the time, and the memory of a runner that keeps everything. (b) On worker processes
of their own, which Beam's in-process runner starts: the memory of a worker, at two values of
--held_texts. The model (scale_model.py) is fitted to the sizes before the largest, which it has
to predict. Times are seconds of CPU, which other programs on the machine change little. Memory is
anonymous memory: without the pages of the store's file, which the kernel lends and takes back.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import orjson
import psutil

from benchmarks import scale_model, synthetic
from benchmarks.pipeline import HERE, machine, versions
from benchmarks.scale_model import Measured, Model

SMALLEST = 1_000
FITTED = 3  # sizes before the largest
CANDIDATES, HELD = 2048, 500_000  # the defaults of dfpipe run
FEW = 50_000  # the other value of --held_texts
WORKERS = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
PAUSE = 0.05  # seconds between two looks at the memory of processes
# What a figure of the model is called, and the step that it is measured at.
STEPS = {
    "set_bytes": ("words of the posts, as numbers", "ReadTokens/", "list"),
    "word_bytes": ("partial counts of words", "CountWords/GatherShards", "group"),
    "url_bytes": ("partial counts of URLs", "CountUrls/GatherShards", "group"),
    "pair_bytes": ("partial counts of pairs", "PairRankings/RankLikely/GatherPairs", "group"),
}


@dataclass(slots=True)
class Processes:
    """A command and the processes it has started: peaks in bytes, and the command's seconds."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    command: int = 0
    workers: dict[int, int] = field(default_factory=dict)

    @property
    def worker(self) -> int:
        """The highest peak of a worker."""
        return max(self.workers.values(), default=0)


@dataclass(frozen=True, slots=True)
class Step:
    """What went to a step: `gathered` is the most in one place."""

    name: str
    kind: str
    elements: int
    bytes: int
    gathered: int


@dataclass(frozen=True, slots=True)
class Size:
    """The figures of one number of posts."""

    measured: Measured
    store_bytes: int
    one: Processes
    many: Processes
    few_held: Processes
    steps: list[Step]


def run(command: Sequence[str]) -> Processes:
    """Run a command, and look at it and its children as long as it lives."""
    seen = Processes()
    with tempfile.TemporaryFile() as said:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=said, stderr=said, cwd=HERE.parent)
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            look(process.pid, seen)
            time.sleep(PAUSE)
        _, status, usage = os.wait4(process.pid, 0)
        seen.seconds = time.perf_counter() - started
        seen.cpu_seconds = usage.ru_utime + usage.ru_stime
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            sys.exit(f"{' '.join(command)} failed:\n{said.read().decode(errors='replace')}")
    return seen


def look(pid: int, seen: Processes) -> None:
    """Note the memory of a process and its children."""
    seen.command = max(seen.command, anonymous(pid))
    try:
        for child in psutil.Process(pid).children(recursive=True):
            seen.workers[child.pid] = max(seen.workers.get(child.pid, 0), anonymous(child.pid))
    except psutil.Error:
        pass  # it has just ended


def anonymous(pid: int) -> int:
    """Return the bytes of a process that are of no file; 0 if it has just ended."""
    try:
        found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def measure(n: int, stores: Path, folder: Path) -> Size:
    """Run over n posts in both ways."""
    with made_store(n, stores) as store:
        sink, traffic = folder / f"{n}.duckdb", folder / f"{n}.json"
        words = [f"--source=sqlite:///{store}", f"--sink=duckdb:///{sink}", "--runner=FnApiRunner"]
        words += [f"--until={synthetic.until()}", "--processes=1"]
        one = run([sys.executable, "-m", "benchmarks.shuffled", str(traffic), *words])
        print(f"{n:>11,} posts: {one.seconds:.1f} s, {one.cpu_seconds:.1f} s CPU", flush=True)
        command = [sys.executable, "-m", "dfpipe", "run", *words, *WORKERS]
        many = run(command)
        few_held = run([*command, f"--held_texts={FEW}"])
        peaks = ", ".join(f"{p.worker / 1e6:.0f} MB" for p in (many, few_held))
        print(f"{'':17} a worker holds {peaks}", flush=True)
        steps = [Step(*values) for values in orjson.loads(traffic.read_bytes())]
        distinct = distinct_texts(sink)
        return Size(
            measured=Measured(n, one.cpu_seconds, *distinct, **sizes(steps)),
            store_bytes=store.stat().st_size,
            one=one,
            many=many,
            few_held=few_held,
            steps=steps,
        )


@contextmanager
def made_store(n: int, folder: Path) -> Iterator[Path]:
    """Give a store of n posts, for as long as it is needed; one that is in the folder is kept."""
    store = folder / f"{n}.db"
    if store.exists():
        yield store
        return
    started = time.process_time()
    synthetic.make_store(store, n)
    print(f"{n:>11,} posts made in {time.process_time() - started:.1f} s CPU", flush=True)
    try:
        yield store
    finally:
        for file in folder.glob(f"{store.name}*"):
            file.unlink()


def distinct_texts(sink: Path) -> tuple[int, int]:
    """Return how many words and URLs a run has found."""
    with duckdb.connect(str(sink), read_only=True) as connection:
        (row,) = connection.execute("SELECT words, urls FROM runs").fetchall()
        return row[0], row[1]


def sizes(steps: Sequence[Step]) -> dict[str, int]:
    """Return the bytes of the steps of STEPS."""
    return {
        figure: sum(s.bytes for s in steps if s.name.startswith(step) and s.kind == kind)
        for figure, (_, step, kind) in STEPS.items()
    }


def report(found: Sequence[Size], date: str) -> str:
    """Return all figures as Markdown."""
    fitted = [size.measured for size in found[-1 - FITTED : -1]]
    model = scale_model.fit(fitted, CANDIDATES)
    return f"""# Results of benchmarks/scale.py

{date}, on {machine()}.
{versions()}.

Made-up posts with the statistics of real ones (benchmarks/synthetic.py), in an SQLite store of some
{found[-1].store_bytes / found[-1].measured.posts:.0f} bytes a post; text mode modern, every option
at its default unless named. CPU is that of one process that does everything, its start and imports
included. Memory is anonymous memory at its peak.

## Sizes

{sizes_table(found)}

## Model

{model_text(model, found)}

## Prediction of the largest size, which the model was not fitted to

{check_table(model, found[-1].measured)}

## Prediction of more

{prediction_table(model)}

## What goes from step to step, at {found[-1].measured.posts:,} posts

Ways of more than {BIG / 1000:.0f} kB in one process, which is one bundle for each step.

{steps_table(found[-1])}
"""


def sizes_table(found: Sequence[Size]) -> str:
    """Return the time and the memory at each size."""
    head = f"""| posts | CPU s | words | URLs | MB: one process | MB: a worker \
| MB: a worker with --held_texts={FEW} | MB: the runner beside workers |
|---|---|---|---|---|---|---|---|
"""
    return head + "\n".join(
        f"| {size.measured.posts:,} | {size.one.cpu_seconds:.1f} | {size.measured.words:,} "
        f"| {size.measured.urls:,} | {size.one.command / 1e6:.0f} | {size.many.worker / 1e6:.0f} "
        f"| {size.few_held.worker / 1e6:.0f} | {size.many.command / 1e6:.0f} |"
        for size in found
    )


def model_text(model: Model, found: Sequence[Size]) -> str:
    """Return the fitted formulas."""
    cpu, words, urls, pairs = model.cpu_seconds, model.words, model.urls, model.pairs
    runner = (found[-1].one.command - found[0].one.command) / found[-1].measured.posts
    return f"""Fitted to the {FITTED} sizes before the largest; n posts.

- CPU seconds: {cpu.a:.1f} + {cpu.b * 1e6:.1f} * n / 10^6
- words: {words.k:.2f} * n^{words.exponent:.3f}; URLs: {urls.k:.3f} * n^{urls.exponent:.3f}
- words of the posts, as numbers: {model.set_bytes:.1f} bytes a post
- partial counts: {model.word_bytes:.1f} bytes a word, {model.url_bytes:.1f} a URL, of each bundle
- partial counts of pairs, of each bundle: {scale_model.PAIR_BYTES} bytes of each of \
{pairs.limit:,.0f} * (1 - exp(-{pairs.rise.k:.2g} * n^{pairs.rise.exponent:.3f})) pairs
- memory of the one process, measured: {runner:.0f} bytes a post"""


def check_table(model: Model, measured: Measured) -> str:
    """Return how far the model is from a measurement."""
    predicted, actual = model.at(measured.posts, HELD), asdict(measured)
    rows = [
        f"| {name_of(figure)} | {value:,.0f} | {actual[figure]:,.0f} "
        f"| {100 * (value / actual[figure] - 1):+.1f}% |"
        for figure, value in predicted.items()
    ]
    return "| figure | predicted | measured | error |\n|---|---|---|---|\n" + "\n".join(rows)


def name_of(figure: str) -> str:
    """Return what a figure is called."""
    return f"bytes: {STEPS[figure][0]}" if figure in STEPS else figure.replace("_", " ")


def prediction_table(model: Model) -> str:
    """Return the figures of large windows, with 64 bundles."""
    rows = []
    for n in (10**7, 10**8, 10**9):
        at = model.at(n, HELD, bundles=64)
        shard = at["words"] / 16
        rows.append(
            f"| {n:,} | {at['cpu_seconds'] / 3600:.2f} | {at['words'] / 1e6:.1f} "
            f"| {at['urls'] / 1e6:.2f} | {at['set_bytes'] / 1e9:.2f} "
            f"| {at['word_bytes'] / 1e9:.2f} | {at['url_bytes'] / 1e9:.2f} "
            f"| {at['pair_bytes'] / 1e9:.2f} "
            f"| {shard * scale_model.DICTIONARY_BYTES / 1e6:.0f} |"
        )
    head = """64 bundles, one for each slice; GB are what goes between steps.

| posts | vCPU hours | million words | million URLs | GB: posts' words | GB: words | GB: URLs \
| GB: pairs | MB: words of one of 16 shards as a dictionary |
|---|---|---|---|---|---|---|---|---|
"""
    return head + "\n".join(rows)


BIG = 100_000  # bytes


def steps_table(size: Size) -> str:
    """Return what went to each step that got much."""
    rows = [
        f"| {step.name} | {step.kind} | {f'{step.elements:,}' if step.elements else ''} "
        f"| {step.bytes:,} | {f'{step.gathered:,}' if step.gathered else ''} |"
        for step in sorted(size.steps, key=lambda step: -step.bytes)
        if step.bytes > BIG
    ]
    head = ["| step | way | elements | bytes | most in one place |", "|---|---|---|---|---|"]
    return "\n".join(head + rows)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the words of the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--largest", type=int, default=10**7, help="posts, a power of ten from 10^5"
    )
    parser.add_argument(
        "--folder",
        help="where stores are made, 250 bytes a post; those that are there are used and kept",
    )
    parser.add_argument("--output", type=Path, default=HERE / "RESULTS-scale.md")
    parser.add_argument("--date", default=f"{datetime.now(UTC):%Y-%m-%d}")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and write the results."""
    args = arguments(argv)
    n, found = SMALLEST, []
    with tempfile.TemporaryDirectory(prefix="dfpipe-scale-", dir=args.folder) as name:
        while n <= args.largest:
            found.append(measure(n, Path(args.folder or name), Path(name)))
            n *= 10
    text = report(found, args.date)
    print(f"\n{text}")
    args.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
