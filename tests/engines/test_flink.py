"""The pipeline on a Flink cluster: a job manager and two task managers, each a process."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from tests.support.command import DFPIPE, dfpipe, environment
from tests.support.engine_cases import CASES, Case, name_of, random_posts
from tests.support.engines import Reference, emulators, fill, run, run_with_cache, tables
from tests.support.flink import FLINK, SECONDS, Cluster
from tests.support.flink_gate import Gate
from tests.support.processes import free_port, wait_until

REAL = next(case for case in CASES if case.name == "real-modern")
KILLED = Case("killed", tuple(random_posts(7, 3_000)), top=(50, 20, 90))
NUMBERS = count()
# Bytes of answers after which a server is held: a tenth of the posts; the first of the tables.
LIMITS = {"DATASTORE_EMULATOR_HOST": 30_000, "BIGQUERY_EMULATOR_HOST": 1_500}
VICTIMS = {"task-manager": Cluster.kill_task_manager, "python-workers": Cluster.kill_workers}


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if not (FLINK / "made").exists():
        pytest.skip(
            "Flink is not here: `make engines`, with Java, Maven, Go and a network, gets it"
        )
    cluster = Cluster(tmp_path_factory.mktemp("flink"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def ends(
    emulator_url: str, bigquery_emulator: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, str]:
    """An empty store and an empty warehouse, in the emulators."""
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", bigquery_emulator)
    return emulator_url, f"bigquery://dfpipe-test/flink_{next(NUMBERS)}"


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_same_tables(
    case: Case, reference: Reference, cluster: Cluster, ends: tuple[str, str]
) -> None:
    expected = reference.tables(case)
    fill(ends[0], case, reference.data)
    assert run(case, *ends, *cluster.options(emulators())) == expected


def test_its_workers_share_the_cache(
    reference: Reference, cluster: Cluster, ends: tuple[str, str], tmp_path: Path
) -> None:
    fill(ends[0], REAL, reference.data)
    options = [f"--cache={tmp_path}/cache", *cluster.options(emulators())]
    run_with_cache(REAL, reference.tables(REAL), ends, *options)


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("server", LIMITS)
def test_killed_in_the_middle(
    server: str, victim: str, reference: Reference, cluster: Cluster, ends: tuple[str, str]
) -> None:
    """The server holds its answers, to workers alone, until the victim is dead."""
    expected = reference.tables(KILLED)
    fill(ends[0], KILLED, reference.data)
    with gate_of(server) as gate, ThreadPoolExecutor(1) as pool:
        options = cluster.options(behind(gate, server))
        running = pool.submit(run, KILLED, *ends, *options)
        wait_until(lambda: gate.held.is_set() or running.done(), SECONDS)
        assert not running.done(), f"the run did not wait for the gate: {running.result()}"
        everywhere = server == "DATASTORE_EMULATOR_HOST"
        _wait(cluster, lambda names: len(names) == 2 if everywhere else bool(names))
        VICTIMS[victim](cluster, min(cluster.at_work()))
        gate.open()
        found = running.result()
    attempts = [subtask["attempt"] for subtask in cluster.subtasks(cluster.last_job())]
    cluster.complete()
    assert found == expected
    assert max(attempts) > 0, "nothing was tried again"


def _wait(cluster: Cluster, enough: Callable[[set[str]], bool]) -> None:
    wait_until(lambda: enough(cluster.at_work()), SECONDS)


def gate_of(server: str) -> Gate:
    return Gate(emulators()[server].rpartition("//")[2], LIMITS[server])


def behind(gate: Gate, server: str) -> Mapping[str, str]:
    """The addresses of the emulators, with the gate in place of one."""
    known = emulators()
    scheme, found, _ = known[server].rpartition("//")
    return {**known, server: f"{scheme}{found}{gate.host}"}


@pytest.mark.parametrize(
    ("number", "status", "said", "server"),
    [
        (signal.SIGINT, 130, ["dfpipe: interrupted"], "DATASTORE_EMULATOR_HOST"),
        (signal.SIGTERM, 143, ["dfpipe: terminated"], "BIGQUERY_EMULATOR_HOST"),
        (signal.SIGKILL, -9, [], "BIGQUERY_EMULATOR_HOST"),
    ],
    ids=["SIGINT-reading", "SIGTERM-writing", "SIGKILL-writing"],
)
def test_whatever_ends_it_leaves_nothing(
    number: int,
    status: int,
    said: list[str],
    server: str,
    reference: Reference,
    cluster: Cluster,
    ends: tuple[str, str],
    tmp_path: Path,
) -> None:
    expected = reference.tables(KILLED)
    fill(ends[0], KILLED, reference.data)
    with gate_of(server) as gate:
        process = start(ends, cluster.runner_options(behind(gate, server)), tmp_path)
        wait_for_the_middle(process, gate, cluster)
        os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=SECONDS)
        assert (process.returncode, error_lines(errors)) == (status, said), errors
        assert "Traceback" not in errors
        wait_for_nothing(cluster, tmp_path)
        assert not any(tables(ends[1]).values())
    assert run(KILLED, *ends, *cluster.runner_options(emulators())) == expected


def test_the_end_of_the_job_server_is_told(
    cluster: Cluster, ends: tuple[str, str], reference: Reference, tmp_path: Path
) -> None:
    server = "DATASTORE_EMULATOR_HOST"
    fill(ends[0], KILLED, reference.data)
    with gate_of(server) as gate:
        process = start(ends, cluster.runner_options(behind(gate, server)), tmp_path)
        wait_for_the_middle(process, gate, cluster)
        [java] = [one for one in cluster.job_servers() if one.name() == "java"]
        java.kill()
        _, errors = process.communicate(timeout=SECONDS)
        assert process.returncode == 1
        [line] = error_lines(errors)
        assert line.startswith("dfpipe: Flink's job server exited with status 137 during the run")
        assert "Traceback" not in errors
        wait_for_nothing(cluster, tmp_path)
    assert not any(tables(ends[1]).values())


def start(ends: tuple[str, str], options: Sequence[str], folder: Path) -> "subprocess.Popen[str]":
    """A run in a process group of its own, as a terminal would start it."""
    source, sink = ends
    return subprocess.Popen(
        [*DFPIPE, "run", f"--store={source}", f"--sink={sink}", *KILLED.argv, *options],
        env=environment({**emulators(), "TMPDIR": str(folder)}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )


def wait_for_the_middle(process: "subprocess.Popen[str]", gate: Gate, cluster: Cluster) -> None:
    wait_until(lambda: gate.held.is_set() or process.poll() is not None, SECONDS)
    assert process.poll() is None, process.communicate()
    _wait(cluster, bool)


def wait_for_nothing(cluster: Cluster, folder: Path) -> None:
    """Wait until no job server is left, no job and no file."""
    wait_until(lambda: not cluster.job_servers(), SECONDS)
    wait_until(lambda: cluster.last_state() == "CANCELED", SECONDS)
    wait_until(lambda: not list(folder.iterdir()), SECONDS)


def error_lines(text: str) -> list[str]:
    """The lines that are not Beam's log."""
    return [line for line in text.splitlines() if line.startswith("dfpipe: ")]


@pytest.mark.parametrize("lacks", ["master", "java"])
def test_what_is_not_there_is_told_in_a_line(lacks: str, tmp_path: Path) -> None:
    argv = ["--runner=FlinkRunner", f"--flink_master=127.0.0.1:{free_port()}"]
    expected = f"dfpipe: {argv[1]} does not answer as Flink does (Connection refused): give the"
    path = os.environ["PATH"]
    if lacks == "java":
        argv, path = argv[:1], str(tmp_path)
        expected = "dfpipe: Flink's job server needs Java, but cannot run java: install Java"
    ends = [f"--store=sqlite:///{tmp_path}/p.db", f"--sink=duckdb:///{tmp_path}/r.duckdb"]
    done = dfpipe("run", *ends, *argv, env={"PATH": path})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(expected)
    assert done.stderr.count("\n") == 1
