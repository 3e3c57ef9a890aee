"""The collector's measurements: `ingest`, posts that are pushed, and `timeline`, 800 accounts.

`python benchmarks/collector.py ingest --help` tells the options of one.
"""

import importlib
import sys
from pathlib import Path

# Not this folder, where a file has the package's name.
sys.path[0] = str(Path(__file__).parents[1])

PARTS = ("ingest", "timeline")


def main() -> None:
    """Measure the part that is named, or each of them."""
    words = sys.argv[1:]
    if words and words[0] not in PARTS:
        raise SystemExit(f"{words[0]!r} is no part: give one of {', '.join(PARTS)}, or none")
    for part in words[:1] or PARTS:
        sys.argv = [f"collector.py {part}", *words[1:]]
        print(part)
        importlib.import_module(f"benchmarks.collector_{part}").main()


if __name__ == "__main__":
    main()
