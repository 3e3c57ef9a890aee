"""Time and memory of a run on a local Flink cluster, against the in-process runner.

`python -m benchmarks.flink POSTS`, after `make engines`; both must write the same rows. With
`--made_up N` the posts are made up (synthetic.py). Memory of the workers is anonymous memory: the
pages of the store's file, which the kernel lends and takes back, are not in it.
"""

import argparse
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks import pipeline, scale, synthetic
from tests.support.flink import Cluster
from tests.support.processes import wait_until

PAUSE = 0.2  # seconds between two looks at the memory of the workers
MINUTES = 10  # that workers may take to end


class WorkerWatch(threading.Thread):
    """Looks at the memory of each Python worker while a run goes on."""

    def __init__(self, cluster: Cluster) -> None:
        """Prepare to watch."""
        super().__init__(daemon=True)
        self.cluster = cluster
        self.peaks: dict[int, int] = {}  # bytes by process
        self.ended = threading.Event()

    def run(self) -> None:
        """Look again and again."""
        while not self.ended.wait(PAUSE):
            for name in self.cluster.task_managers():
                for worker in self.cluster.workers(name):
                    size = scale.anonymous(worker.pid)
                    self.peaks[worker.pid] = max(size, self.peaks.get(worker.pid, 0))


def cpu_seconds(cluster: Cluster) -> float:
    """The seconds of CPU that the cluster has taken, with its workers, once they have ended."""
    names = cluster.task_managers()
    wait_until(lambda: not any(map(cluster.workers, names)), MINUTES * 60)
    return sum(sum(psutil.Process(one.pid).cpu_times()[:4]) for one in cluster.processes.values())


def compare(work: pipeline.Work, cluster: Cluster, folder: Path) -> None:
    """Print a row of figures for either way of running."""
    here, there = folder / "here.duckdb", folder / "there.duckdb"
    for output in (here, there):
        output.unlink(missing_ok=True)
    row = "| {:,} | {} | {:.1f} | {:.1f} | {} |".format
    seconds, cpu, peak = pipeline.measure(work.command("a", here))
    posts = pipeline.results(here)["runs"][0][0]
    print(row(posts, "in process", seconds, cpu, f"{peak:.0f}"), flush=True)
    before = cpu_seconds(cluster)
    watch = WorkerWatch(cluster)
    watch.start()
    seconds, cpu, _ = pipeline.measure([*work.command("a", there), *cluster.options({})])
    watch.ended.set()
    watch.join()
    cpu += cpu_seconds(cluster) - before
    peaks = " and ".join(f"{peak / 1e6:.0f}" for peak in sorted(watch.peaks.values())[-2:])
    print(row(posts, "Flink", seconds, cpu, peaks), flush=True)
    if different := pipeline.difference(pipeline.results(here), pipeline.results(there)):
        sys.exit(f"Flink differs from the in-process runner: {different}")


def works(args: argparse.Namespace, folder: Path) -> Iterator[pipeline.Work]:
    """Make the stores, one after another."""
    if args.posts:
        given, store = folder / "given.jsonl", f"sqlite:///{folder / 'given.db'}"
        pipeline.run_quietly([*pipeline.DFPIPE, "import", str(args.posts), "--to", store])
        pipeline.run_quietly([*pipeline.DFPIPE, "export", "--from", store, "--output", str(given)])
        lines = given.read_bytes().splitlines()
        until = pipeline.after(lines[-1])
        for copies in args.copies:
            _, store = pipeline.prepare(lines, copies, folder)
            yield pipeline.Work(copies, store, given, until, 4.0, "modern")
    for n in args.made_up:
        with scale.made_store(n, args.folder or folder) as path:
            store = f"sqlite:///{path}"
            yield pipeline.Work(1, store, path, synthetic.until(), 4.0, "modern")


def main() -> None:
    """Start a cluster, make posts, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "posts", type=Path, nargs="?", help="any archive that `dfpipe import` reads"
    )
    parser.add_argument("--copies", type=int, nargs="+", default=[1, 10], help="of the archive")
    parser.add_argument(
        "--made_up", type=int, nargs="+", default=[], metavar="N", help="so many made-up posts"
    )
    parser.add_argument("--folder", type=Path, help="where stores of made-up posts are, as N.db")
    args = parser.parse_args()
    if not args.posts and not args.made_up:
        parser.error("give an archive, or --made_up N")
    with tempfile.TemporaryDirectory(prefix="dfpipe-flink-") as name:
        folder = Path(name)
        (folder / "cluster").mkdir()
        cluster = Cluster(folder / "cluster")
        try:
            cluster.start()
            print("| posts | runner | seconds | seconds of CPU | peak MB |\n|---|---|---|---|---|")
            for work in works(args, folder):
                compare(work, cluster, folder)
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
