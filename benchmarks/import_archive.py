"""Import a large archive of X and tell its time and memory.

`python -m benchmarks.import_archive --gigabytes 2 --posts 100000`. The zip is made up: posts in
parts as X writes them, and media that fill it to its size. `dfpipe import` reads it in a process of
its own, whose largest resident memory is printed beside that of a small archive of the same kind.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

PART = 20_000  # posts
PIECE = os.urandom(2**20)
MEDIA = 64  # pieces in a file
TEXT = "Storm over the harbour, ferries cancelled until further notice, says the port authority"


def make(path: Path, size: int, posts: int) -> None:
    """Write a zip of at least `size` bytes with so many posts."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, start in enumerate(range(0, posts, PART)):
            with archive.open(f"data/tweets-part{part}.js", "w", force_zip64=True) as file:
                file.write(b"window.YTD.tweets.part%d = [\n" % part)
                tweets = (_tweet(n) for n in range(start, min(start + PART, posts)))
                file.write(b",\n".join(tweets) + b"\n]")
        for number in range(size // (MEDIA * len(PIECE)) + 1):
            info = zipfile.ZipInfo(f"data/tweets_media/{number}.mp4")
            with archive.open(info, "w", force_zip64=True) as file:
                for _ in range(MEDIA):
                    file.write(PIECE)


def _tweet(number: int) -> bytes:
    tweet = {
        "id_str": str(17 * 10**17 + number),
        "full_text": f"{TEXT} {number}",
        "created_at": "Fri Sep 08 07:00:00 +0000 2023",
        "entities": {"urls": [{"expanded_url": f"https://news.example.com/{number % 99}"}]},
    }
    return json.dumps({"tweet": tweet}, indent=2).encode()


def measure(folder: Path, gigabytes: float, posts: int) -> str:
    """Make an archive and import it; return one line on it."""
    path = folder / "twitter.zip"
    make(path, int(gigabytes * 2**30), posts)
    began = time.perf_counter()
    store = f"sqlite:///{folder}/{gigabytes}.db"
    command = [sys.executable, "-m", "dfpipe", "import", str(path), "--store", store]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - began
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    size = path.stat().st_size / 2**30
    stored = done.stdout.splitlines()[1].split()[0]
    return f"{size:.2f} GiB: {stored} posts stored in {seconds:.1f} s, {largest:.0f} MiB at most"


def main(argv: Sequence[str] | None = None) -> None:
    """Measure a small archive, then a large one with as many posts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2)
    parser.add_argument("--posts", type=int, default=100_000)
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        for gigabytes in (0.0, given.gigabytes):
            print(measure(Path(folder), gigabytes, given.posts), flush=True)


if __name__ == "__main__":
    main()
