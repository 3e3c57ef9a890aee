"""Measure what `dfpipe run` gains from more cores: `python -m benchmarks.cores ARCHIVE`.

Without a cache, with an empty one, and with the slices of all hours: then processes that read ahead
are not started. The numbers of cores take turns, and all runs must write the same rows.
"""

import os
import shutil
import sys
from collections.abc import Sequence

from benchmarks import lab
from benchmarks.pipeline import OURS, Posts, SameRows, arguments, copies_of

NONE, EMPTY, FULL = CACHES = ("no cache", "an empty cache", "a full cache")


def name_of(cache: str, cores: int) -> str:
    """Return the name of a variant."""
    return f"{cache}, {cores} cores"


def variants(posts: Posts, choices: Sequence[Sequence[int]]) -> list[lab.Variant]:
    """Return the variants; the full cache is made by a run that is not measured."""
    sink = posts.lines.with_suffix(".duckdb")
    check = SameRows(sink)
    folder = posts.lines.with_suffix(".cache")
    command = posts.command(OURS, "modern", sink)

    def emptied() -> None:
        check()
        shutil.rmtree(folder / EMPTY)

    lab.measure([*command, f"--cache={folder / FULL}"])
    check()
    ways = {NONE: ("none", check), EMPTY: (folder / EMPTY, emptied), FULL: (folder / FULL, check)}
    return [
        lab.Variant(name_of(name, len(cores)), [*command, f"--cache={cache}"], cores, then)
        for name, (cache, then) in ways.items()
        for cores in choices
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and write the report."""
    parser = arguments(__doc__, "RESULTS-cores.md")
    parser.set_defaults(copies=(1, 10, 30))
    args = parser.parse_args(argv)
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        sys.exit("this process may use one core only: there is nothing to compare")
    rows: list[Sequence[object]] = []
    gains = {}
    with copies_of(args.archive, args) as copies:
        for posts in copies:
            found = lab.take_turns(variants(posts, (usable[:1], usable)), args.repeat)
            for cache in CACHES:
                one, more = (found[name_of(cache, n)] for n in (1, len(usable)))
                rows += [[posts.copies, cache, 1, lab.figures(one)]]
                rows += [[posts.copies, cache, len(usable), lab.figures(more)]]
                gains[f"{posts.copies} copies, {cache}"] = lab.median(one) / lab.median(more)
    lab.write(
        args,
        "cores.py",
        f"""`{args.archive.name}`, a window of {args.days:g} days, text mode modern.
{args.repeat} runs of each, taking turns. `dfpipe run` chose the number of its processes itself.

{lab.table(["copies", "cache", "cores", *lab.FIGURES], rows)}

Time on one core / time on {len(usable)}:

{lab.ratios(gains)}
""",
    )


if __name__ == "__main__":
    main()
