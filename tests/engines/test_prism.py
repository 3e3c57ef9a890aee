"""The pipeline on Prism, which DirectRunner is where Prism's program can be had."""

import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import duckdb
import psutil
import pytest

from tests.support.command import DFPIPE, dfpipe, environment
from tests.support.engine_cases import CASES, Case, name_of
from tests.support.engines import Reference, run, run_with_cache, tables
from tests.support.processes import free_port, wait_until

PRISM = Path(__file__).parents[2] / ".engines" / "prism"
SMALL = next(case for case in CASES if case.name == "random-modern")
REAL = next(case for case in CASES if case.name == "real-modern")
MANY_SLICES = "--slices=10000"  # so that it reads for a minute
SECONDS = 120


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Path]:
    """Prism's program, by a name of the test's own; no process of it may be left."""
    if not PRISM.exists():
        pytest.skip("Prism is not here: `make engines` builds it, with Go and a network")
    link = tmp_path / "prism"
    link.symlink_to(PRISM)
    yield link
    wait_until(lambda: not running(link), SECONDS)


@pytest.fixture
def prism(program: Path) -> list[str]:
    return ["--runner=PrismRunner", f"--prism_location={program}"]


def running(program: Path) -> list[psutil.Process]:
    """The processes of a program that have not ended."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cmdline()[:1] == [str(program)]:
                found.append(process)
        except psutil.Error:
            pass  # it has just ended
    return found


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_same_tables(case: Case, reference: Reference, prism: list[str], tmp_path: Path) -> None:
    expected = reference.tables(case)
    found = run(case, reference.store(case), f"duckdb:///{tmp_path}/r.duckdb", *prism)
    assert found == expected


def test_its_workers_share_the_cache(
    reference: Reference, prism: list[str], tmp_path: Path
) -> None:
    ends = reference.store(REAL), f"duckdb:///{tmp_path}/r.duckdb"
    cache = f"--cache={tmp_path}/cache"
    run_with_cache(REAL, reference.tables(REAL), ends, cache, *prism)


@pytest.mark.parametrize(
    "argv",
    [
        ["--runner=DirectRunner"],
        ["--runner=Direct", "--processes=1"],
        [
            "--runner=DirectRunner",
            "--direct_num_workers=2",
            "--direct_running_mode=multi_threading",
        ],
        ["--runner=prism", "--environment_type=LOOPBACK", "--sdk_worker_parallelism=2"],
        # Beam's own runner gives a run up after so many seconds.
        ["--runner=PrismRunner", "--job_server_timeout=1", "--slices=2000"],
    ],
    ids=" ".join,
)
def test_other_ways_to_ask_for_it(
    argv: list[str], reference: Reference, program: Path, tmp_path: Path
) -> None:
    sink = f"duckdb:///{tmp_path}/r.duckdb"
    options = [*argv, f"--prism_location={program}"]
    assert run(SMALL, reference.store(SMALL), sink, *options) == reference.tables(SMALL)
    assert engine_of(tmp_path / "r.duckdb") == "PrismRunner"


def test_one_that_runs_already(reference: Reference, program: Path, tmp_path: Path) -> None:
    port = free_port()
    server = subprocess.Popen(
        [program, f"--job_port={port}", "--serve_http=false"], stderr=subprocess.DEVNULL
    )
    try:
        argv = ["--runner=PrismRunner", f"--job_endpoint=localhost:{port}"]
        for name in ("a", "b"):
            sink = f"duckdb:///{tmp_path}/{name}.duckdb"
            assert run(SMALL, reference.store(SMALL), sink, *argv) == reference.tables(SMALL)
        assert server.poll() is None
    finally:
        server.kill()
        server.wait()


def test_it_prints_one_line(reference: Reference, prism: list[str], tmp_path: Path) -> None:
    ends = [f"--store={reference.store(SMALL)}", f"--sink=duckdb:///{tmp_path}/r.duckdb"]
    done = dfpipe("run", *ends, *SMALL.argv, *prism)
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
    verbose = dfpipe("run", "--verbose", *ends, *SMALL.argv, *prism)
    assert verbose.returncode == 0
    assert "pipeline done!" in verbose.stderr  # Prism's own words


@pytest.mark.parametrize("breaks", ["store", "sink"])
def test_an_error_of_a_step_is_that_of_the_in_process_runner(
    breaks: str, reference: Reference, prism: list[str], tmp_path: Path
) -> None:
    store, sink = copy_of(reference.store(SMALL), tmp_path), tmp_path / "r.duckdb"
    (break_store if breaks == "store" else break_sink)(tmp_path)
    argv = ["run", f"--store={store}", f"--sink=duckdb:///{sink}", *SMALL.argv]
    expected = dfpipe(*argv)
    assert expected.stderr.startswith("dfpipe: the run failed: ")
    done = dfpipe(*argv, *prism)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == expected.stderr
    assert done.stderr.count("\n") == 1
    assert not any(tables(f"duckdb:///{sink}").values())


def copy_of(store: str, folder: Path) -> str:
    path = Path(store.removeprefix("sqlite:///"))
    with sqlite3.connect(path) as posts, sqlite3.connect(folder / "p.db") as copy:
        posts.backup(copy)
    return f"sqlite:///{folder}/p.db"


def break_store(folder: Path) -> None:
    """Make a post in the middle unreadable."""
    with sqlite3.connect(folder / "p.db") as connection:
        found = connection.execute("SELECT path FROM entity LIMIT 1 OFFSET 1000")
        connection.execute("UPDATE entity SET data = x'c1' WHERE path = ?", found.fetchone())


def break_sink(folder: Path) -> None:
    """Let the last table refuse the run's row."""
    path = folder / "r.duckdb"
    done = dfpipe("run", "--store=sqlite:///p.db", f"--sink=duckdb:///{path}", cwd=folder)
    assert done.returncode == 0, done.stderr
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE strict AS FROM runs LIMIT 0")
        connection.execute("DROP TABLE runs")
        columns = connection.execute("DESCRIBE strict").fetchall()
        listed = ", ".join(f"{name} {kind}" for name, kind, *_ in columns)
        connection.execute(f"CREATE TABLE runs ({listed}, CHECK (tweets < 0))")
        for table in ("word_counts", "urls", "word_cooccur", "strict"):
            connection.execute(f"DELETE FROM {table}")


@pytest.mark.parametrize(
    ("number", "status", "said"),
    [
        (signal.SIGINT, 130, "dfpipe: interrupted\n"),
        (signal.SIGTERM, 143, "dfpipe: terminated\n"),
        (signal.SIGKILL, -9, ""),
    ],
    ids=["SIGINT", "SIGTERM", "SIGKILL"],
)
def test_whatever_ends_it_leaves_nothing(
    number: int,
    status: int,
    said: str,
    reference: Reference,
    program: Path,
    prism: list[str],
    tmp_path: Path,
) -> None:
    sink = f"duckdb:///{tmp_path}/r.duckdb"
    process = start(reference.store(SMALL), sink, *prism)
    wait_for_the_middle(process, program)
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors.strip()) == (status, said.strip())
    wait_until(lambda: not running(program), SECONDS)
    assert not any(tables(sink).values())
    assert run(SMALL, reference.store(SMALL), sink, *prism) == reference.tables(SMALL)


def test_its_own_end_is_told(
    reference: Reference, program: Path, prism: list[str], tmp_path: Path
) -> None:
    sink = f"duckdb:///{tmp_path}/r.duckdb"
    process = start(reference.store(SMALL), sink, *prism)
    wait_for_the_middle(process, program)
    running(program)[0].kill()
    said, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, said) == (1, "")
    assert errors.startswith("dfpipe: Prism exited with status -9 during the run")
    assert "; its last line: time=" in errors
    assert errors.count("\n") == 1
    assert not any(tables(sink).values())


def start(store: str, sink: str, *argv: str) -> "subprocess.Popen[str]":
    """A run that takes long, in a process group of its own, as a terminal would start it."""
    ends = [f"--store={store}", f"--sink={sink}"]
    return subprocess.Popen(
        [*DFPIPE, "run", *ends, *SMALL.argv, *argv, MANY_SLICES],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )


def wait_for_the_middle(process: "subprocess.Popen[str]", program: Path) -> None:
    """Wait until the worker takes elements from Prism: then it has a connection more."""

    def is_there() -> bool:
        assert process.poll() is None, process.communicate()
        return any(connections(one) >= 4 for one in running(program))

    wait_until(is_there, SECONDS)


def connections(process: psutil.Process) -> int:
    try:
        return sum(c.status == psutil.CONN_ESTABLISHED for c in process.net_connections())
    except psutil.Error:
        return 0


def engine_of(file: Path) -> str:
    """What a run's row says of its engine."""
    with duckdb.connect(str(file), read_only=True) as connection:
        ((engine,),) = connection.execute("SELECT runner FROM runs").fetchall()
    return str(engine)
