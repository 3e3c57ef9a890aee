"""Measure what `dfpipe run` gains from more cores: `python -m benchmarks.cores ARCHIVE`.

The numbers of cores take turns, and all runs must write the same rows.
"""

import os
import sys
from collections.abc import Sequence

from benchmarks import lab
from benchmarks.pipeline import OURS, SameRows, arguments, copies_of


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
            sink = posts.lines.with_suffix(".duckdb")
            check = SameRows(sink)
            command = posts.command(OURS, "modern", sink)
            variants = [
                lab.Variant(str(len(cores)), command, cores, check)
                for cores in (usable[:1], usable)
            ]
            one, all_of_them = lab.take_turns(variants, args.repeat).values()
            rows += [[posts.copies, 1, lab.figures(one)]]
            rows += [[posts.copies, len(usable), lab.figures(all_of_them)]]
            gains[f"{posts.copies} copies"] = lab.median(one) / lab.median(all_of_them)
    lab.write(
        args,
        "cores.py",
        f"""`{args.archive.name}`, a window of {args.days:g} days, text mode modern.
{args.repeat} runs of each, taking turns. `dfpipe run` chose the number of its processes itself.

{lab.table(["copies", "cores", *lab.FIGURES], rows)}

Time on one core / time on {len(usable)}:

{lab.ratios(gains)}
""",
    )


if __name__ == "__main__":
    main()
