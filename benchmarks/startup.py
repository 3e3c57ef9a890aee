"""Measure how soon services and local jobs get to work: `python -m benchmarks.startup`.

A service is imported, and `dfpipe` shows its help, in turns.
Each job is a `dfpipe run` over a store that does not exist, which it says once it has imported Beam
and read its options. Jobs with and without `launcher job-starter` take turns.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks import lab
from launcher.jobs import JobSpec, starter
from launcher.jobs.local import LocalRunner

IMPORTS = ("launcher.app", "collector.app", "workflow.web.server", "taskqueue.rest.blueprint")


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and write the report."""
    args = lab.parser(__doc__, "RESULTS-startup.md").parse_args(argv)
    seconds: dict[str, list[float]] = {"with": [], "without": []}
    with tempfile.TemporaryDirectory() as name:
        started, alone = Path(name, "with"), Path(name, "without")
        with subprocess.Popen(
            [sys.executable, "-m", "launcher", "job-starter"],
            env={**os.environ, "LAUNCHER_JOBS_FOLDER": str(started)},
        ) as process:
            while not (started / starter.PIPE).exists():
                time.sleep(lab.PAUSE)
            for number in range(args.repeat):
                seconds["with"].append(job(started, str(number)))
                seconds["without"].append(job(alone, str(number)))
            megabytes = lab.largest(psutil.Process(process.pid))
            process.terminate()
    rows = [[name, *lab.milliseconds(values).split(" | ")] for name, values in seconds.items()]
    ratio = lab.percentile(seconds["without"], 50) / lab.percentile(seconds["with"], 50)
    samples = lab.take_turns(imports(), args.repeat)
    starts = [[name, *lab.figures(found).split(" | ")] for name, found in samples.items()]
    lab.write(
        args,
        "startup.py",
        f"""{lab.table(["start", *lab.FIGURES], starts)}

Milliseconds from the launch of a local job until `dfpipe run` ends, as its store does
not exist, {args.repeat} jobs of each kind, taking turns.

{lab.table(["starter", "median", "99th percentile", "worst"], rows)}

Without / with, by the medians: {ratio:.1f}. The starter itself takes {megabytes:.0f} MB.
""",
    )


def imports() -> list[lab.Variant]:
    """Return what a process does before its service reads a setting."""
    python = (sys.executable, "-c")
    services = [lab.Variant(name, (*python, f"import {name}")) for name in IMPORTS]
    return [*services, lab.Variant("dfpipe --help", (*lab.DFPIPE, "--help"))]


def job(folder: Path, name: str) -> float:
    """Launch a job and wait for its end; return the seconds."""
    command = ["dfpipe", "run", "--store=sqlite:////nothing/posts.db", "--sink=duckdb:////x.db"]
    runner = LocalRunner(folder, {})
    began = time.perf_counter()
    runner.launch(JobSpec(name=name, kind="local", slot=datetime.now(UTC), command=command))
    while not (folder / name / "result.json").exists():
        time.sleep(0.002)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
