import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from dfpipe.errors import DfpipeError
from dfpipe.warehouse import connect, duckdb_warehouse
from dfpipe.warehouse.duckdb_warehouse import (
    LONG_PATIENCE,
    SHORT_PATIENCE,
    STALE,
    DuckDBWarehouse,
)
from dfpipe.warehouse.tables import URLS, UrlCount
from tests.support.warehouses import TS, a_run, some_rows

HOLDER = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
sys.stdin.readline()
"""
WRITER = """
import sys
from dfpipe.warehouse import connect
print("ready", flush=True)
sys.stdin.readline()
connect(sys.argv[1]).prepare()
"""


@contextmanager
def process(program: str, word: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that has said its first line."""
    running = subprocess.Popen(
        [sys.executable, "-c", program, word],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[4],
    )
    try:
        assert running.stdout is not None
        assert running.stdout.readline()
        yield running
    finally:
        running.kill()
        running.communicate()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "results.duckdb"
    DuckDBWarehouse(path).replace_run(a_run(), some_rows(TS, "old", 2))
    return path


@pytest.mark.parametrize(
    ("call", "patience"),
    [
        (lambda warehouse: warehouse.query("latest_runs"), SHORT_PATIENCE),
        (lambda warehouse: warehouse.prepare(), SHORT_PATIENCE),
        (lambda warehouse: warehouse.replace_run(a_run(), {}), LONG_PATIENCE),
    ],
)
def test_a_held_file_is_waited_for_and_its_holder_named(
    path: Path,
    call: Callable[[DuckDBWarehouse], object],
    patience: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    # Each try to open the file takes longer than the pauses, which nobody waits for here.
    monkeypatch.setattr(duckdb_warehouse, "PAUSE", 1.0)
    with (
        process(HOLDER, str(path)) as holder,
        pytest.raises(DfpipeError, match=rf"results.duckdb is open in .*PID {holder.pid}\)"),
    ):
        call(DuckDBWarehouse(path, pauses.append))
    assert sum(pauses) == pytest.approx(patience)
    assert set(pauses) == {1.0}


def test_a_file_that_is_released_in_time_is_written(path: Path) -> None:
    with process(HOLDER, str(path)) as holder:
        waiting = DuckDBWarehouse(path, lambda _: holder.communicate("\n") and None)
        waiting.replace_run(a_run(tweets=8), some_rows(TS, "new", 1))
    assert [row[3] for row in DuckDBWarehouse(path).query("latest_runs").rows] == [8]


def test_a_reader_does_not_hinder_another(path: Path) -> None:
    with process(HOLDER.replace("[1])", "[1], read_only=True)"), str(path)):
        assert len(DuckDBWarehouse(path).query("popular_words").rows) == 2


def test_another_connection_of_this_process_is_an_error_in_one_line(path: Path) -> None:
    with duckdb.connect(path), pytest.raises(DfpipeError, match=r"^.*results.duckdb: [^\n]+$"):
        DuckDBWarehouse(path).query("latest_runs")


@pytest.mark.parametrize("content", ["", "no database", "x" * 20_000])
def test_another_file_is_refused_and_left_as_it_was(tmp_path: Path, content: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(content)
    for call in (DuckDBWarehouse(path).prepare, lambda: DuckDBWarehouse(path).query("top_urls")):
        with pytest.raises(DfpipeError, match=r"^cannot open .*notes.txt, give another --sink: "):
            call()
    assert path.read_text() == content


@pytest.mark.parametrize("name", ["posts.jsonl", "posts.json", "posts.csv"])
def test_a_file_that_duckdb_reads_as_tables_is_no_warehouse(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text('{"a": 1}\n')
    with pytest.raises(DfpipeError, match=r"^cannot open .*, give another --sink: it is not a D"):
        DuckDBWarehouse(path).prepare()


@pytest.mark.parametrize("name", [":memory:", "md:results", "sqlite:results"])
def test_every_name_is_a_file_s(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    connect(f"duckdb:///{name}").replace_run(a_run(), some_rows(TS, "kept", 1))
    assert len(connect(f"duckdb:///{name}").query("popular_words").rows) == 1
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_folder_is_no_warehouse(tmp_path: Path) -> None:
    with pytest.raises(DfpipeError, match=r"^cannot open .*, give another --sink: Is a directory"):
        DuckDBWarehouse(tmp_path).prepare()


def test_an_absent_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DfpipeError, match=r"^the folder .*nowhere of the warehouse does not exist"):
        DuckDBWarehouse(tmp_path / "nowhere" / "results.duckdb").prepare()
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    with pytest.raises(DfpipeError, match=r"^cannot create .*xxx: "):
        DuckDBWarehouse(tmp_path / ("x" * 300)).prepare()


def test_an_absent_file_is_named_and_not_created(tmp_path: Path) -> None:
    with pytest.raises(DfpipeError, match=r"^there is no warehouse .*none.duckdb: write a run to"):
        DuckDBWarehouse(tmp_path / "none.duckdb").query("latest_runs")
    assert not list(tmp_path.iterdir())


def test_a_database_without_the_tables_says_what_to_do(tmp_path: Path) -> None:
    duckdb.connect(tmp_path / "other.duckdb").close()
    with pytest.raises(DfpipeError, match=r"other.duckdb holds no results: write a run to it with"):
        DuckDBWarehouse(tmp_path / "other.duckdb").query("latest_runs")


def test_a_relative_file_is_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    connect("duckdb:///results.duckdb").prepare()
    assert [path.name for path in tmp_path.iterdir()] == ["results.duckdb"]


@pytest.mark.parametrize("milliseconds", [5, 25, 50])
def test_a_writer_killed_at_the_creation_hinders_no_later_one(
    tmp_path: Path, milliseconds: int
) -> None:
    sink = f"duckdb:///{tmp_path / 'results.duckdb'}"
    with process(WRITER, sink) as writer:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
        try:
            writer.wait(milliseconds / 1000)
        except subprocess.TimeoutExpired:
            writer.kill()
            writer.wait()

        connect(sink).replace_run(a_run(), {})

    assert len(connect(sink).query("latest_runs").rows) == 1


def test_threads_of_one_process_take_turns(path: Path) -> None:
    names = ["a", "b", "c", "d"]
    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(lambda name: write_and_read(path, name), names * 3):
            pass

    words = {row[2] for row in DuckDBWarehouse(path).query("popular_words").rows}
    assert words in [{f"{name}{i}" for i in range(1, 6)} for name in names]


def write_and_read(path: Path, name: str) -> None:
    DuckDBWarehouse(path).replace_run(a_run(runner=name), some_rows(TS, name, 5))
    assert len(DuckDBWarehouse(path).query("popular_words").rows) == 5


def test_a_host_may_have_more_posts_than_fit_a_byte(tmp_path: Path) -> None:
    urls = [UrlCount(TS, n, f"https://news{n % 3}.example/{n}", 90 // n + 1) for n in range(1, 21)]
    warehouse = DuckDBWarehouse(tmp_path / "results.duckdb")
    warehouse.replace_run(a_run(), {URLS: urls})
    counts = [row[-1] for row in warehouse.query("top_hosts").rows]
    assert counts == [155, 104, 79]


def test_what_a_killed_creation_left_is_removed(tmp_path: Path) -> None:
    stale, fresh = tmp_path / ".a.duckdb.x", tmp_path / ".a.duckdb.y"
    for each in (stale, fresh):
        each.mkdir()
        (each / "new.duckdb").touch()
    old = fresh.stat().st_mtime - 2 * STALE
    os.utime(stale, (old, old))
    connect(f"duckdb:///{tmp_path}/a.duckdb").prepare()
    assert sorted(each.name for each in tmp_path.iterdir()) == [".a.duckdb.y", "a.duckdb"]
