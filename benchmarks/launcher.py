"""The launcher's measurements: `start`, the call of cron, and `pages`, what people see.

`python benchmarks/launcher.py start --help` tells the options of one.
"""

import importlib
import sys
from pathlib import Path

# Not this folder, where a file has the package's name.
sys.path[0] = str(Path(__file__).parents[1])

PARTS = ("start", "pages")


def main() -> None:
    """Measure the part that is named, or each of them."""
    words = sys.argv[1:]
    if words and words[0] not in PARTS:
        raise SystemExit(f"{words[0]!r} is no part: give one of {', '.join(PARTS)}, or none")
    for part in words[:1] or PARTS:
        sys.argv = [f"launcher.py {part}", *words[1:]]
        print(part)
        importlib.import_module(f"benchmarks.launcher_{part}").main()


if __name__ == "__main__":
    main()
