"""Time and memory of a run on a local Flink cluster, against the in-process runner.

`python -m benchmarks.flink ARCHIVE`, after `make engines`; both must write the same rows. Memory of
the workers is anonymous memory.
"""

import threading
from collections.abc import Sequence

import psutil

from benchmarks import lab
from benchmarks.pipeline import OURS, SameRows, arguments, copies_of
from tests.support.flink import Cluster
from tests.support.processes import wait_until

PAUSE = 0.2  # seconds between two samples of the workers' memory
MINUTES = 10  # that workers may take to end


class WorkerWatch(threading.Thread):
    """Samples the memory of each Python worker during a run."""

    def __init__(self, cluster: Cluster) -> None:
        """Prepare to watch."""
        super().__init__(daemon=True)
        self.cluster = cluster
        self.peaks: dict[int, int] = {}  # bytes by process
        self.ended = threading.Event()

    def run(self) -> None:
        """Sample until the run has ended."""
        while not self.ended.wait(PAUSE):
            for name in self.cluster.task_managers():
                for worker in self.cluster.workers(name):
                    size = lab.anonymous(worker.pid)
                    self.peaks[worker.pid] = max(size, self.peaks.get(worker.pid, 0))


def cpu_seconds(cluster: Cluster) -> float:
    """The CPU seconds that the cluster and its workers have used, once the workers have ended."""
    names = cluster.task_managers()
    wait_until(lambda: not any(map(cluster.workers, names)), MINUTES * 60)
    return sum(sum(psutil.Process(one.pid).cpu_times()[:4]) for one in cluster.processes.values())


def on_flink(command: Sequence[str], cluster: Cluster) -> list[str]:
    """Run a command on the cluster; return seconds, CPU seconds and the workers' peaks in MB."""
    before = cpu_seconds(cluster)
    watch = WorkerWatch(cluster)
    watch.start()
    sample = lab.measure([*command, *cluster.options({})])
    watch.ended.set()
    watch.join()
    cpu = sample.cpu_seconds + cpu_seconds(cluster) - before
    peaks = " and ".join(f"{peak / 1e6:.0f}" for peak in sorted(watch.peaks.values())[-2:])
    return [f"{sample.seconds:.2f}", f"{cpu:.2f}", peaks]


def main(argv: Sequence[str] | None = None) -> None:
    """Start a cluster, and measure."""
    parser = arguments(__doc__, "RESULTS-flink.md")
    parser.set_defaults(copies=(1, 10))
    args = parser.parse_args(argv)
    rows: list[Sequence[object]] = []
    with copies_of(args.archive, args) as copies:
        for posts in copies:
            folder = posts.lines.with_suffix(".cluster")
            folder.mkdir()
            cluster = Cluster(folder)
            try:
                cluster.start()
                sink = posts.lines.with_suffix(".duckdb")
                check, command = SameRows(sink), posts.command(OURS, "modern", sink)
                here = lab.figures([lab.measure(command)]).split(" | ")
                check()
                rows.append([posts.copies, "in process", *here])
                rows.append([posts.copies, "Flink", *on_flink(command, cluster)])
                check()
            finally:
                cluster.stop()
    lab.write(args, "flink.py", lab.table(["copies", "runner", *lab.FIGURES], rows))


if __name__ == "__main__":
    main()
