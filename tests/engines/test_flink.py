"""The pipeline on a Flink cluster: a job manager and two task managers, each a process."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from tests.support.engine_cases import CASES, Case, name_of, random_posts
from tests.support.engines import Reference, emulators, fill, run
from tests.support.flink import FLINK, SECONDS, Cluster
from tests.support.flink_gate import Gate
from tests.support.processes import wait_until

# A run takes half a minute on a quiet machine: Prism's tests have all the cases.
NAMES = {"real-modern", "random-classic", "second-pass-of-all", "empty-window", "one-post"}
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


@pytest.mark.parametrize("case", [case for case in CASES if case.name in NAMES], ids=name_of)
def test_same_tables(
    case: Case, reference: Reference, cluster: Cluster, ends: tuple[str, str]
) -> None:
    expected = reference.tables(case)
    fill(ends[0], case, reference.data)
    assert run(case, *ends, *cluster.options(emulators())) == expected


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("server", LIMITS)
def test_killed_in_the_middle(
    server: str, victim: str, reference: Reference, cluster: Cluster, ends: tuple[str, str]
) -> None:
    """The server holds its answers, to workers alone, until the victim is dead."""
    expected = reference.tables(KILLED)
    fill(ends[0], KILLED, reference.data)
    known = emulators()
    scheme, _, address = known[server].rpartition("//")
    with Gate(address, LIMITS[server]) as gate, ThreadPoolExecutor(1) as pool:
        options = cluster.options({**known, server: f"{scheme}//{gate.host}".removeprefix("//")})
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
