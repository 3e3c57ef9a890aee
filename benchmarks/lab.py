"""What the benchmarks share: processes that are measured, variants that take turns, and reports."""

import argparse
import importlib.metadata
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil

HERE = Path(__file__).parent
DFPIPE = (sys.executable, "-m", "dfpipe")
PAUSE = 0.1  # seconds between two samples of memory


@dataclass(slots=True)
class Sample:
    """One process: wall and CPU seconds, and the peak bytes of it and its children together.

    `own` and `children` are peaks of anonymous memory, without the pages of mapped files, which the
    kernel can take back.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak: int = 0
    own: int = 0
    children: dict[int, int] = field(default_factory=dict)

    @property
    def worker(self) -> int:
        """The highest peak of anonymous memory of a child, in bytes."""
        return max(self.children.values(), default=0)

    def look(self, pid: int) -> None:
        """Sample the memory of a process and its children."""
        try:
            process = psutil.Process(pid)
            children = process.children(recursive=True)
            self.peak = max(self.peak, sum(p.memory_full_info().pss for p in (process, *children)))
        except psutil.Error:
            return  # one of them has just ended
        self.own = max(self.own, anonymous(pid))
        for child in children:
            self.children[child.pid] = max(self.children.get(child.pid, 0), anonymous(child.pid))


def anonymous(pid: int) -> int:
    """Return the bytes of anonymous memory of a process; 0 if it has just ended."""
    try:
        found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def measure(command: Sequence[str]) -> Sample:
    """Run a command to its end; exit with its output if it fails."""
    sample = Sample()
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=HERE.parent)
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            sample.look(process.pid)
            time.sleep(PAUSE)
        _, status, usage = os.wait4(process.pid, 0)
        sample.seconds = time.perf_counter() - started
        sample.cpu_seconds = usage.ru_utime + usage.ru_stime
        # Sampling misses the peak of a short process; the kernel does not.
        sample.peak = max(sample.peak, usage.ru_maxrss * 1024)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            sys.exit(f"{' '.join(command)} failed:\n{output.read().decode(errors='replace')}")
    return sample


@contextmanager
def on_cores(cores: Iterable[int] | None) -> Iterator[None]:
    """Restrict processes that start meanwhile to these cores; None restricts nothing."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before if cores is None else cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True)
class Variant:
    """One of the commands that are compared; `run` may check what the command has made."""

    name: str
    command: Sequence[str]
    cores: Sequence[int] | None = None
    check: Callable[[], None] = lambda: None


def take_turns(variants: Sequence[Variant], repeat: int) -> dict[str, list[Sample]]:
    """Run the variants in turn, so that changes of the machine's speed affect all of them."""
    samples: dict[str, list[Sample]] = {variant.name: [] for variant in variants}
    for _ in range(repeat):
        for variant in variants:
            with on_cores(variant.cores):
                sample = measure(variant.command)
            variant.check()
            samples[variant.name].append(sample)
            print(f"{variant.name:24} {figures([sample])}", flush=True)
    return samples


def median(samples: Sequence[Sample]) -> float:
    """Return the median of the wall seconds."""
    return statistics.median(sample.seconds for sample in samples)


def median_cpu(samples: Sequence[Sample]) -> float:
    """Return the median of the CPU seconds."""
    return statistics.median(sample.cpu_seconds for sample in samples)


def peak(samples: Sequence[Sample]) -> float:
    """Return the highest peak in MB."""
    return max(sample.peak for sample in samples) / 1e6


def figures(samples: Sequence[Sample]) -> str:
    """Return median and range of seconds, CPU seconds and peak MB, as cells of a table."""
    seconds = [sample.seconds for sample in samples]
    spread = f" ({min(seconds):.2f} to {max(seconds):.2f})" if len(samples) > 1 else ""
    return f"{median(samples):.2f}{spread} | {median_cpu(samples):.2f} | {peak(samples):.0f}"


FIGURES = ("seconds: median (range)", "CPU seconds", "peak MB")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; whole numbers get separators of thousands.

    >>> print(table(["posts", "s"], [[1000, "1.5"]]))
    | posts | s |
    |---|---|
    | 1,000 | 1.5 |
    """
    lines = [head, ["---"] * len(head)]
    text = ["| " + " | ".join(line) + " |" for line in lines[:1]]
    text.append("|" + "|".join(lines[1]) + "|")
    for row in rows:
        cells = (f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row)
        text.append("| " + " | ".join(cells) + " |")
    return "\n".join(text)


def ratios(rows: Mapping[str, float]) -> str:
    """Return a table of ratios."""
    return table(["ratio", ""], [(name, f"{value:.2f}") for name, value in rows.items()])


def machine() -> str:
    """Return what the machine is, without its name, and the versions of what is measured."""
    model = platform.processor() or platform.machine()
    if (cpuinfo := Path("/proc/cpuinfo")).exists():
        found = re.search(r"^model name\s*: (.+)$", cpuinfo.read_text(encoding="utf-8"), re.M)
        model = found[1] if found else model
    gigabytes = psutil.virtual_memory().total / 2**30
    libraries = {"Apache Beam": "apache-beam", "DuckDB": "duckdb", "numpy": "numpy"}
    versions = [f"{name} {importlib.metadata.version(x)}" for name, x in libraries.items()]
    return (
        f"{model}, {os.cpu_count()} cores, {gigabytes:.0f} GiB of memory, {platform.system()}.\n"
        + ", ".join([f"Python {platform.python_version()}", *versions])
    )


def parser(description: str | None, output: str) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark with a report has."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--repeat", type=int, default=3, help="runs of each variant")
    made.add_argument("--output", type=Path, default=HERE / output, help="the report")
    return made


def write(args: argparse.Namespace, title: str, text: str) -> None:
    """Print a report and write it to --output."""
    head = f"# Results of benchmarks/{title}\n\n{datetime.now(UTC):%Y-%m-%d}, on {machine()}.\n\n"
    print(f"\n{head}{text}")
    args.output.write_text(f"{head}{text.rstrip()}\n", encoding="utf-8")


def cpu_of(*processes: psutil.Process) -> float:
    """Return the CPU seconds that processes and their children have used."""
    tree = [each for one in processes for each in (one, *one.children(recursive=True))]
    return float(sum(sum(each.cpu_times()[:2]) for each in tree))


def largest(*processes: psutil.Process) -> float:
    """Return the MB of the largest process among these and their children, at its peak."""
    tree = [each for one in processes for each in (one, *one.children(recursive=True))]
    status = [Path(f"/proc/{each.pid}/status").read_text() for each in tree]
    return max(int(text.partition("VmHWM:")[2].split()[0]) for text in status) / 1024


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that `percent` percent of the values do not exceed.

    >>> percentile([4, 1, 3, 2], 50)
    2
    """
    return sorted(values)[max(0, -int(-len(values) * percent // 100) - 1)]


def milliseconds(seconds: Sequence[float]) -> str:
    """Return median, 99th percentile and worst of some seconds, as cells of a table."""
    worst = max(seconds)
    return " | ".join(
        f"{1000 * value:.1f}" for value in (percentile(seconds, 50), percentile(seconds, 99), worst)
    )
