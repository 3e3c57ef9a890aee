"""Measure what `dfpipe run` gains by a second core: the same posts on one core and on all.

`python -m benchmarks.cores ARCHIVE`. Each run is a process of its own, from its start to its end;
the numbers of cores take turns, and all runs must write the same rows, or else this fails.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import pipeline
from benchmarks.pipeline import DFPIPE, HERE, Measured, Work

COPIES = (1, 10, 30)

Figures = dict[int, dict[int, Measured]]  # by copies, then by cores


@contextmanager
def on_cores(cores: Sequence[int]) -> Iterator[None]:
    """Let processes that start meanwhile use these cores alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def compare(work: Work, choices: Sequence[Sequence[int]], repeat: int) -> dict[int, Measured]:
    """Run on each choice of cores in turns; end where two runs do not find the same."""
    measured = {len(cores): Measured() for cores in choices}
    output = work.posts_file.with_suffix(".duckdb")
    expected = None
    for _ in range(repeat):
        for cores in choices:
            output.unlink(missing_ok=True)
            with on_cores(cores):
                figures = pipeline.measure(work.command("a", output))
            measured[len(cores)].add(*figures)
            label = f"{work.copies:3} x on {len(cores)} of the cores"
            print(label, "{:6.2f} s {:6.2f} s CPU {:5.0f} MB".format(*figures), flush=True)
            found = pipeline.results(output)
            expected = expected or found
            if different := pipeline.difference(expected, found):
                sys.exit(f"{len(cores)} cores differ from {len(choices[0])}: {different}")
    return measured


def report(measured: Figures, n_posts: int, args: argparse.Namespace) -> str:
    """Return the figures as Markdown."""
    rows = [
        f"| {copies} | {copies * n_posts:,} | {cores} | {one.time:.2f} "
        f"({min(one.seconds):.2f} to {max(one.seconds):.2f}) | {one.cpu:.2f} | {one.memory:.0f} |"
        for copies, by_cores in measured.items()
        for cores, one in by_cores.items()
    ]
    factors = [
        f"| {copies} | {by_cores[min(by_cores)].time / by_cores[max(by_cores)].time:.2f} |"
        for copies, by_cores in measured.items()
    ]
    most = max(next(iter(measured.values())))
    return f"""# Results of benchmarks/cores.py

{args.date}, on {pipeline.machine()}.
{pipeline.versions()}.

`{args.posts_file.name}`: {n_posts:,} posts, a window of {args.days:g} days until {args.until},
text mode {args.text}, {args.repeat} runs of each, taking turns. Every run wrote the same rows. A
copy of the posts has other ids and times.

`dfpipe run` was left to choose the number of its processes, which is that of the cores it may use.
Seconds are those of whole processes, their start and imports included.

| copies | posts | cores | seconds: median (range) | seconds of CPU | peak MB |
|---|---|---|---|---|---|
{chr(10).join(rows)}

From 1 to {most} cores the time falls by a factor of

| copies | ratio of the medians |
|---|---|
{chr(10).join(factors)}
"""


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the words of the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("posts_file", type=Path, help="any archive that `dfpipe import` reads")
    parser.add_argument("--until", help="end of the window (default: after the newest post)")
    parser.add_argument("--days", type=float, default=4.0)
    parser.add_argument("--text", choices=pipeline.MODES, default=pipeline.MODES[0])
    parser.add_argument("--copies", type=int, nargs="+", default=COPIES)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--output", type=Path, default=HERE / "RESULTS-cores.md")
    parser.add_argument("--date", default=f"{datetime.now(UTC):%Y-%m-%d}")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and write the results."""
    args = arguments(argv)
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        sys.exit("this process may use one core only: there is nothing to compare")
    with tempfile.TemporaryDirectory(prefix="dfpipe-benchmark-") as name:
        folder = Path(name)
        store, posts = f"sqlite:///{folder / 'given.db'}", folder / "given.jsonl"
        pipeline.run_quietly([*DFPIPE, "import", str(args.posts_file), "--to", store])
        pipeline.run_quietly([*DFPIPE, "export", "--from", store, "--output", str(posts)])
        lines = posts.read_bytes().splitlines()
        args.until = args.until or pipeline.after(lines[-1])
        measured: Figures = {}
        for copies in args.copies:
            posts_file, store = pipeline.prepare(lines, copies, folder)
            work = Work(copies, store, posts_file, args.until, args.days, args.text)
            measured[copies] = compare(work, (usable[:1], usable), args.repeat)
    text = report(measured, len(lines), args)
    args.output.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
