"""How many stages a second workflows run, and what many of them cost.

`served`: a dispatcher process sends the tasks to a gunicorn with the blueprint; all on one embedded
store. `local`: one process that takes the tasks itself, as `workflow run` does.
"""

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

# Not this folder, where a file has the package's name.
ROOT = Path(__file__).parents[1]
sys.path[0] = str(ROOT)

import psutil  # noqa: E402  # after the path

import taskqueue  # noqa: E402  # the same
import workflow  # noqa: E402  # the same
from taskqueue import TaskQueueService  # noqa: E402  # the same
from tests.support.processes import free_port, process, wait_until  # noqa: E402  # the same
from tests.support.workflow_stages import Deep, Many, Tail  # noqa: E402  # the same
from workflow.engine.engine import Engine  # noqa: E402  # the same
from workflow.engine.local import LocalRunner  # noqa: E402  # the same

YAML = """
queue:
- {name: default, rate: 500/s, bucket_size: 500, max_concurrent_requests: 32}
"""
TOKEN = "token-of-the-benchmark"
LONGEST = 3600.0  # seconds


class Memory(threading.Thread):
    """Watches how much memory the largest of this process's children takes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0.0
        self._end = threading.Event()

    def run(self) -> None:
        """Look five times a second."""
        while not self._end.wait(0.2):
            for child in [psutil.Process(), *psutil.Process().children(recursive=True)]:
                with suppress(psutil.Error):
                    self.most = max(self.most, child.memory_info().rss / 2**20)

    def stop(self) -> float:
        """The most that there was, in MB."""
        self._end.set()
        self.join()
        return self.most


class Bench:
    """A store and the engine that this process starts workflows with."""

    def __init__(self, folder: str) -> None:
        self.store = f"sqlite:///{folder}/store.db"
        self.yaml = Path(folder, "queue.yaml")
        self.yaml.write_text(YAML)
        self.engine = Engine(TaskQueueService(self.store, self.yaml))
        taskqueue.bind(self.engine.service)
        workflow.bind(self.engine)

    @contextmanager
    def served(self, workers: int, threads: int) -> Iterator[None]:
        """A gunicorn and a dispatcher."""
        port = free_port()
        env = {
            **os.environ,
            "DFPIPE_TASK_TOKEN": TOKEN,
            "TASKQUEUE_STORE": self.store,
            "WORKFLOW_QUEUE_YAML": str(self.yaml),
            "WORKFLOW_LOG_LEVEL": "ERROR",
        }
        options = ["--workers", str(workers), "--threads", str(threads), "--log-level", "critical"]
        options += ["--worker-class", "gthread", "--bind", f"127.0.0.1:{port}"]
        dispatch = ["--store", self.store, "--queue-yaml", str(self.yaml), "--log-level", "ERROR"]
        dispatch += ["--target", f"http://127.0.0.1:{port}", "--poll-secs", "0.1"]
        with process("-m", "gunicorn", *options, "workflow.web.server:create_app()", env=env):
            time.sleep(3)
            with process("-m", "taskqueue", "dispatch", *dispatch, env=env):
                time.sleep(1)
                yield

    def is_over(self, stage: Any) -> bool:
        """Whether a workflow is over."""
        record = self.engine.record(stage.pipeline_id)
        return record is not None and record.is_over

    def finish(self, stage: Any, is_served: bool) -> tuple[float, float]:
        """Run a workflow to its end; the seconds, and those of the processors."""
        begin, used = time.perf_counter(), processor_seconds()
        stage.start()
        if is_served:
            wait_until(lambda: self.is_over(stage), LONGEST)
        else:
            runner = LocalRunner(self.engine)
            while runner.step():
                pass
        assert self.is_over(stage)
        return time.perf_counter() - begin, processor_seconds() - used


def processor_seconds() -> float:
    """What this process and its children have used."""
    each = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(sum(child.cpu_times()[:2]) for child in each)


def measure(name: str, stage: Any, stages: int, args: argparse.Namespace, is_served: bool) -> None:
    """Run one workflow on a new store and print a row."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(folder)
        memory = Memory()
        memory.start()
        if is_served:
            with bench.served(args.workers, args.threads):
                seconds, used = bench.finish(stage, is_served)
        else:
            seconds, used = bench.finish(stage, is_served)
        most = memory.stop()
        bench.engine.client.close()
    print(
        f"| {'served' if is_served else 'local'} | {name} | {stages:,} | {seconds:.1f} "
        f"| {stages / seconds:,.0f} | {1000 * used / stages:.2f} | {most:.0f} |",
        flush=True,
    )


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=[100, 1000, 10000])
    parser.add_argument("--depth", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--how", choices=["served", "local", "both"], default="both")
    args = parser.parse_args()
    print("| how | workflow | stages | seconds | stages a second | CPU ms a stage | most MB |")
    print("|---|---|---|---|---|---|---|")
    for is_served in (True, False):
        if args.how not in ("both", "served" if is_served else "local"):
            continue
        for size in args.sizes:
            measure("fan-out and fan-in", Many(size), size + 2, args, is_served)
        if args.depth:
            deep, tail = Deep(args.depth), Tail(args.depth)
            measure("recursion", deep, 2 * args.depth + 1, args, is_served)
            measure("tail recursion", tail, args.depth + 1, args, is_served)


if __name__ == "__main__":
    main()
