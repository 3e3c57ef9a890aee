"""Measure `dfpipe run` over 10^3 to 10^7 synthetic posts, and fit a model that predicts more.

`python -m benchmarks.scale`. Each size is run three times: in one process, with a probe that counts
what moves between steps (shuffled.py), and on worker processes of Beam's in-process runner, at two
values of --held-texts. The model (scale_model.py) is fitted to the sizes before the largest, which
it must predict. Times are CPU seconds; memory is anonymous memory.
"""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb
import orjson

from benchmarks import lab, scale_model, synthetic
from benchmarks.lab import Sample, measure, table
from benchmarks.scale_model import Measured, Model

SMALLEST = 1_000
FITTED = 3  # sizes before the largest
CANDIDATES, HELD = 2048, 500_000  # the defaults of dfpipe run
FEW = 50_000  # the other value of --held-texts
WORKERS = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
BIG = 100_000  # bytes between steps that are worth a row
# The model's figures, and the steps at which they are measured.
STEPS = {
    "set_bytes": ("words of the posts, as numbers", "ReadTokens/", "list"),
    "word_bytes": ("partial counts of words", "CountWords/GatherShards", "group"),
    "url_bytes": ("partial counts of URLs", "CountUrls/GatherShards", "group"),
    "pair_bytes": ("partial counts of pairs", "PairRankings/RankLikely/GatherPairs", "group"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """What moved to a step; `gathered` is the most in one place."""

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
    one: Sample
    many: Sample
    few_held: Sample
    steps: list[Step]


def measure_size(n: int, stores: Path, folder: Path) -> Size:
    """Run over n posts in the three ways."""
    with made_store(n, stores) as store:
        sink, traffic = folder / f"{n}.duckdb", folder / f"{n}.json"
        options = [f"--store=sqlite:///{store}", f"--sink=duckdb:///{sink}"]
        options += [
            f"--until={synthetic.until()}",
            "--processes=1",
            "--runner=FnApiRunner",
            "--cache=none",
        ]
        one = measure([sys.executable, "-m", "benchmarks.shuffled", str(traffic), *options])
        print(f"{n:>11,} posts: {one.seconds:.1f} s, {one.cpu_seconds:.1f} s CPU", flush=True)
        workers = [*lab.DFPIPE, "run", *options, *WORKERS]
        many, few_held = measure(workers), measure([*workers, f"--held-texts={FEW}"])
        found = orjson.loads(traffic.read_bytes())
        steps = [Step(*values) for values in found["traffic"]]
        distinct = (*distinct_texts(sink), found["counters"]["edge_sets"])
        measured = Measured(n, one.cpu_seconds, *distinct, **step_bytes(steps))
        return Size(measured, store.stat().st_size, one, many, few_held, steps)


@contextmanager
def made_store(n: int, folder: Path) -> Iterator[Path]:
    """Give a store of n posts; one that is in the folder already is used and kept."""
    store = folder / f"{n}.db"
    if store.exists():
        yield store
        return
    synthetic.make_store(store, n)
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


def step_bytes(steps: Sequence[Step]) -> dict[str, int]:
    """Return the bytes of the steps in STEPS."""
    return {
        figure: sum(s.bytes for s in steps if s.name.startswith(step) and s.kind == kind)
        for figure, (_, step, kind) in STEPS.items()
    }


def report(found: Sequence[Size]) -> str:
    """Return all figures as Markdown."""
    model = scale_model.fit([size.measured for size in found[-1 - FITTED : -1]], CANDIDATES)
    last = found[-1]
    per_post = last.store_bytes / last.measured.posts
    return f"""Synthetic posts with the statistics of real ones (benchmarks/synthetic.py), in an
SQLite store of about {per_post:.0f} bytes a post; text mode modern, every option at its default
unless named.

## Sizes

{sizes_table(found)}

## Model, fitted to the {FITTED} sizes before the largest; n posts

{model_text(model)}

## Prediction of the largest size, which the model was not fitted to

{check_table(model, last.measured)}

## Prediction of more, with 64 bundles

{prediction_table(model)}

## What moves between steps, at {last.measured.posts:,} posts

Ways of more than {BIG / 1000:.0f} kB in one process, which is one bundle for each step.

{steps_table(last)}
"""


def sizes_table(found: Sequence[Size]) -> str:
    """Return time and memory at each size."""
    megabytes = "MB: one process", "MB: a worker", f"MB: a worker, --held-texts={FEW}", "MB: runner"
    return table(
        ["posts", "CPU s", "words", "URLs", "edge sets", *megabytes],
        (
            [size.measured.posts, f"{size.one.cpu_seconds:.1f}", size.measured.words]
            + [
                size.measured.urls,
                size.measured.edge_sets,
                size.one.own // 10**6,
                size.many.worker // 10**6,
            ]
            + [size.few_held.worker // 10**6, size.many.own // 10**6]
            for size in found
        ),
    )


def model_text(model: Model) -> str:
    """Return the fitted formulas."""
    cpu, words, urls, pairs = model.cpu_seconds, model.words, model.urls, model.pairs
    sets = model.edge_sets
    return f"""- CPU seconds: {cpu.a:.1f} + {cpu.b * 1e6:.1f} * n / 10^6
- words: {words.k:.2f} * n^{words.exponent:.3f}; URLs: {urls.k:.3f} * n^{urls.exponent:.3f}
- distinct sets of edges: {sets.k:.1f} * n^{sets.exponent:.3f}
- words of the posts, as numbers: {model.set_bytes:.1f} bytes a post
- partial counts: {model.word_bytes:.1f} bytes a word, {model.url_bytes:.1f} a URL, of each bundle
- partial counts of pairs, of each bundle: {scale_model.PAIR_BYTES} bytes of each of \
{pairs.limit:,.0f} * (1 - exp(-{pairs.rise.k:.2g} * n^{pairs.rise.exponent:.3f})) pairs"""


def check_table(model: Model, measured: Measured) -> str:
    """Return how far the model is from a measurement."""
    actual = asdict(measured)
    return table(
        ["figure", "predicted", "measured", "error"],
        (
            [STEPS[figure][0] if figure in STEPS else figure.replace("_", " ")]
            + [
                f"{value:,.0f}",
                f"{actual[figure]:,.0f}",
                f"{100 * (value / actual[figure] - 1):+.1f}%",
            ]
            for figure, value in model.at(measured.posts, HELD).items()
        ),
    )


def prediction_table(model: Model) -> str:
    """Return the figures of large windows; GB are what moves between steps."""
    gigabytes = ("set_bytes", "word_bytes", "url_bytes", "pair_bytes")
    rows = []
    for n in (10**7, 10**8, 10**9):
        at = model.at(n, HELD, bundles=64)
        rows.append(
            [n, f"{at['cpu_seconds'] / 3600:.2f}", f"{at['words'] / 1e6:.1f}"]
            + [
                f"{at['urls'] / 1e6:.2f}",
                round(at["edge_sets"]),
                *(f"{at[name] / 1e9:.2f}" for name in gigabytes),
            ]
            + [f"{at['words'] / 16 * scale_model.DICTIONARY_BYTES / 1e6:.0f}"]
        )
    head = ["posts", "vCPU hours", "million words", "million URLs", "edge sets"]
    return table(
        [
            *head,
            "GB: posts' words",
            "GB: words",
            "GB: URLs",
            "GB: pairs",
            "MB: words of one of 16 shards",
        ],
        rows,
    )


def steps_table(size: Size) -> str:
    """Return what moved to each step that got much."""
    steps = sorted((s for s in size.steps if s.bytes > BIG), key=lambda step: -step.bytes)
    return table(
        ["step", "way", "elements", "bytes", "most in one place"],
        ([s.name, s.kind, s.elements or "", s.bytes, s.gathered or ""] for s in steps),
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and write the report."""
    parser = lab.parser(__doc__, "RESULTS-scale.md")
    parser.add_argument("--largest", type=int, default=10**7, help="a power of ten from 10^5")
    parser.add_argument("--folder", help="keeps the stores that are made, 250 bytes a post")
    args = parser.parse_args(argv)
    n, found = SMALLEST, []
    with tempfile.TemporaryDirectory(prefix="dfpipe-scale-", dir=args.folder) as name:
        while n <= args.largest:
            found.append(measure_size(n, Path(args.folder or name), Path(name)))
            n *= 10
    lab.write(args, "scale.py", report(found))


if __name__ == "__main__":
    main()
