"""Compare `dfpipe run` with a plain Beam pipeline and with SQL in DuckDB, on an archive of posts.

`python -m benchmarks.pipeline ARCHIVE`. (a) `dfpipe run`, (b) plain_beam.py: the same analysis on
the same runner, with one element for each word and each pair, from the same store, (c)
duckdb_sql.py: the same analysis as SQL with two threads, from JSON lines. Whole processes take
turns, and all must write the same rows; (b) has no stories.

`--earlier PYTHON` adds (d), `dfpipe run` of the environment of that Python: give one in which a
version from before stories is installed, to see what these cost. Its rows are not compared.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import orjson

from benchmarks import lab

OURS, BEAM, SQL, EARLIER = "dfpipe run", "plain Beam", "DuckDB SQL", "earlier dfpipe run"
COPIES = (1, 3, 10)
MODES = ("modern", "classic")
TABLES = {
    "word_counts": "rank, word, count, percent",
    "urls": "rank, url, count",
    "word_cooccur": "rank, w1, w2, count, log_weight",
    "rising_words": "rank, word, recent, before, percent_recent, percent_before, score, p_value",
    "rising_pairs": "rank, w1, w2, recent, before, score, p_value",
    "stories": "rank, w1, w2, words, posts, users, recent, before, score, p_value, pairs, "
    "first_seen, last_seen",
    "story_posts": "story, rank, tid, copies",
    "story_urls": "story, rank, url, count",
    "story_timeline": "story, part_start, count",
    "timeline": "part_start, count",
    "runs": "tweets, skipped, words, urls",
}
WITHOUT_STORIES = ("word_counts", "urls", "word_cooccur", "runs")
Tables = dict[str, list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Posts:
    """The same posts as a store and as JSON lines, and the window they are in."""

    copies: int
    store: str
    lines: Path
    until: str
    days: float
    earlier: Sequence[str]  # the command `dfpipe` of an earlier version; empty for none

    @property
    def earlier_store(self) -> str:
        """The store of the earlier version, which may have another form."""
        return self.store.replace(".db", "-earlier.db")

    def command(self, name: str, text: str, sink: Path) -> Sequence[str]:
        """Return the command of a variant that writes to a new DuckDB file."""
        window = [f"--until={self.until}", f"--days={self.days}", f"--text={text}"]
        if name == SQL:
            script = [sys.executable, "-m", "benchmarks.duckdb_sql"]
            return [*script, str(self.lines), str(sink), *window]
        window.append(f"--sink=duckdb:///{sink}")
        if name == EARLIER:
            return [*self.earlier, "run", f"--source={self.earlier_store}", *window]
        plain = [sys.executable, "-m", "benchmarks.plain_beam"]
        program = plain if name == BEAM else [*lab.DFPIPE, "run", "--cache=none"]
        return [*program, f"--store={self.store}", *window]


class SameRows:
    """Fails as soon as two variants have written different rows."""

    def __init__(self, sink: Path) -> None:
        self.sink = sink
        self.expected: Tables = {}

    def __call__(self, name: str = OURS) -> None:
        """Compare the rows of a variant with those of earlier ones, and remove the file."""
        found = results(self.sink, TABLES if name in (OURS, SQL) else WITHOUT_STORIES)
        self.sink.unlink()
        if different := difference(self.expected, found):
            sys.exit(f"the rows of {name} differ from those before: {different}")
        self.expected = found | self.expected


def results(sink: Path, tables: Iterable[str] = TABLES) -> Tables:
    """Read the tables of a DuckDB file that holds one run."""
    with duckdb.connect(str(sink), read_only=True) as connection:
        return {
            name: connection.execute(f"SELECT {TABLES[name]} FROM {name} ORDER BY ALL").fetchall()
            for name in tables
        }


def difference(ours: Tables, theirs: Tables) -> str | None:
    """Return where the tables of both results first differ, None if nowhere."""
    for name in ours.keys() & theirs.keys():
        rows = ours[name]
        if len(rows) != len(theirs[name]):
            return f"{name}: {len(rows)} rows and {len(theirs[name])} rows"
        for mine, other in zip(rows, theirs[name], strict=True):
            if mine != other:
                return f"{name}: {mine} and {other}"
    return None


def shifted(lines: Sequence[bytes], copies: int) -> Iterator[bytes]:
    """Yield JSON lines of posts several times: with other ids, each copy a second later.

    A time after that of the newest post becomes that, so that all stay in the window.
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


@contextmanager
def copies_of(archive: Path, args: argparse.Namespace) -> Iterator[Iterator[Posts]]:
    """Give the copies of an archive that --copies asks for, each made when it is needed."""
    with tempfile.TemporaryDirectory(prefix="dfpipe-benchmark-") as name:
        store, given = f"sqlite:///{name}/given.db", Path(name, "given.jsonl")
        lab.measure([*lab.DFPIPE, "import", str(archive), "--store", store])
        lab.measure([*lab.DFPIPE, "export", "--store", store, "--output", str(given)])
        yield (_copy(given.read_bytes().splitlines(), n, args, Path(name)) for n in args.copies)


def _copy(given: Sequence[bytes], n: int, args: argparse.Namespace, folder: Path) -> Posts:
    last = datetime.fromisoformat(orjson.loads(given[-1])["created_at"])
    until = args.until or f"{last + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"
    lines, store = folder / f"{n}.jsonl", f"sqlite:///{folder}/{n}.db"
    with lines.open("wb") as out:
        out.writelines(shifted(given, n))
    lab.measure([*lab.DFPIPE, "import", str(lines), "--store", store])
    earlier = (str(args.earlier), "-P", "-m", "dfpipe") if args.earlier else ()
    posts = Posts(n, store, lines, until, args.days, earlier)
    if earlier:
        lab.measure([*earlier, "import", str(lines), "--to", posts.earlier_store])
    return posts


def compare(posts: Posts, text: str, names: Sequence[str], repeat: int) -> list[list[lab.Sample]]:
    """Let variants take turns; return the samples of each."""
    sink = posts.lines.with_suffix(".duckdb")
    rows = SameRows(sink)
    # An earlier version may define words in another way.
    checks = {name: sink.unlink if name == EARLIER else partial(rows, name) for name in names}
    variants = [
        lab.Variant(name, posts.command(name, text, sink), check=checks[name]) for name in names
    ]
    return list(lab.take_turns(variants, repeat).values())


def arguments(description: str | None, output: str) -> argparse.ArgumentParser:
    """Return a parser for benchmarks that run over copies of an archive."""
    parser = lab.parser(description, output)
    parser.add_argument("archive", type=Path, help="any archive that `dfpipe import` reads")
    parser.add_argument("--until", help="end of the window (default: after the newest post)")
    parser.add_argument("--days", type=float, default=4.0)
    parser.add_argument("--earlier", type=Path, metavar="PYTHON", help="see above")
    parser.add_argument("--copies", type=int, nargs="+", default=COPIES)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and write the report."""
    parser = arguments(__doc__, "RESULTS.md")
    parser.add_argument("--text", choices=MODES, nargs="+", default=MODES, help="text modes")
    args = parser.parse_args(argv)
    rows: list[Sequence[object]] = []
    ratios: dict[str, float] = {}
    with copies_of(args.archive, args) as copies:
        for posts in copies:
            for text in args.text:
                names = [OURS, *([BEAM] if posts.copies == 1 else []), SQL]
                names += [EARLIER] if posts.earlier else []
                found = dict(zip(names, compare(posts, text, names, args.repeat), strict=True))
                rows += [[text, posts.copies, n, lab.figures(s)] for n, s in found.items()]
                ours = lab.median(found[OURS])
                for name, samples in list(found.items())[1:]:
                    key = f"`dfpipe run` / {name}, {text}, {posts.copies} copies"
                    ratios[key] = ours / lab.median(samples)
    lab.write(
        args,
        "pipeline.py",
        f"""`{args.archive.name}`, a window of {args.days:g} days, {args.repeat} runs of each
variant, taking turns. Every run of every variant wrote the same rows. A copy of the posts has other
ids and times. Seconds are those of whole processes, including start and imports. Memory is that of
a process and its children together.

{lab.table(["text", "copies", "variant", *lab.FIGURES], rows)}

{lab.ratios(ratios)}
""",
    )


if __name__ == "__main__":
    main()
