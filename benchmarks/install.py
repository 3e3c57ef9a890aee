"""`make demo` from nothing: seconds by part, packages, and what is downloaded and kept.

Run it on a quiet machine, from a clone: python -m benchmarks.install [--python python3.13]
Nothing comes from a cache: every wheel is downloaded.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

# What a part prints when it ends: the first word of the line, and the part.
ENDS = {
    "Using": "environment, and uv by pip",
    "Resolved": "resolving",
    "Prepared": "downloading",
    "Installed": "installing",
    "Stored": "demo: synthetic posts stored",
    "Today:": "demo: two analyses",
}


def main() -> None:
    """Install and run the demo once, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="the Python to install for")
    python = parser.parse_args().python
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begun = time.perf_counter()
        last, cpu = begun, os.times()
        for part in parts(python, folder):
            now = time.perf_counter()
            print(f"{part:32} {now - last:6.1f} s")
            last = now
        used = os.times()
        seconds = (used.children_user - cpu.children_user) + (
            used.children_system - cpu.children_system
        )
        print(f"{'all':32} {last - begun:6.1f} s, {seconds:.1f} s of CPU")
        packages = list(folder.glob("venv/lib/*/site-packages/*.dist-info"))
        # uv links files of its cache where it can: both are counted as if they were alone.
        print(f"{len(packages)} packages; {size(folder / 'venv'):.0f} MB on disk")


def parts(python: str, folder: Path) -> Iterator[str]:
    """Run `make demo`, and give the name of each part when it has ended."""
    cold = {"UV_CACHE_DIR": str(folder / "cache"), "PIP_NO_CACHE_DIR": "1"}
    process = subprocess.Popen(
        ["make", "demo", f"PYTHON={python}", f"VENV={folder / 'venv'}"],
        env={**os.environ, **cold, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    for line in process.stdout:
        if part := ENDS.get(line.split(" ")[0]):
            yield part
    if process.wait():
        sys.exit("make demo failed: run it to see why")
    yield "demo: its tables"


def size(folder: Path) -> float:
    """The size of a folder's files in MB."""
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


if __name__ == "__main__":
    main()
