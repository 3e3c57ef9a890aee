"""What every warehouse does: replace a run whole, touch no other, answer from complete runs."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import astuple, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from dfpipe.errors import DfpipeError
from dfpipe.warehouse import connect
from dfpipe.warehouse.tables import TABLES, Run, UrlCount, WordCooccur, WordCount

TS = datetime(2015, 1, 11, tzinfo=UTC)
HOSTILE = ["it's", 'a "b"', "line\nfeed\r", "tab\t\\", "nul\0nul", "❤️café日本", "\x1b[2J", ""]
FLOATS = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, 2.0**53 + 2, 100.0, 33.333333333333336]


@pytest.fixture(params=["duckdb", "bigquery"])
def sink(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The URL of a warehouse that is not there yet."""
    if request.param == "duckdb":
        yield f"duckdb:///{tmp_path / 'results.duckdb'}"
    else:
        address = request.getfixturevalue("bigquery_emulator")
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", address)
        yield f"bigquery://contract/results{next(DATASETS)}"


DATASETS = count()


def execute(sink: str, sql: str) -> list[tuple[Any, ...]]:
    """Run a statement past the seam."""
    if sink.startswith("duckdb"):
        with duckdb.connect(sink.removeprefix("duckdb:///")) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()
    _, _, project, dataset = sink.split("/")
    with bigquery.Client(project, AnonymousCredentials()) as client:
        config = bigquery.QueryJobConfig(default_dataset=f"{project}.{dataset}")
        return [row.values() for row in client.query(sql, config).result()]


def stored(sink: str, ts: datetime = TS) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of a run in every table, times in UTC."""
    found = {table.name: execute(sink, f"SELECT * FROM {table.name}") for table in TABLES}
    return {name: sorted(row for row in rows if row[0] == ts) for name, rows in found.items()}


def a_run(ts: datetime = TS, **changes: Any) -> Run:
    run = Run(ts, ts - timedelta(days=4), ts, 7, 1, 3, 2, "modern", "FnApiRunner", "0.1.0", 1.5)
    return replace(run, **changes)


def some_rows(ts: datetime, name: str, n: int) -> tuple[Any, Any, Any]:
    return (
        [WordCount(ts, i, f"{name}{i}", 9, 9.5) for i in range(1, n + 1)],
        [UrlCount(ts, i, f"https://{name}.org/{i}", 9) for i in range(1, n + 1)],
        [WordCooccur(ts, i, f"{name}{i}", f"{name}{i}b", 9, 9.5) for i in range(1, n + 1)],
    )


def expected(run: Run, rows: tuple[Any, Any, Any]) -> dict[str, list[tuple[Any, ...]]]:
    tables = zip(TABLES, (*rows, [run]), strict=True)
    return {table.name: sorted(map(astuple, each)) for table, each in tables}


def test_every_value_comes_back_as_it_was(sink: str) -> None:
    rows = (
        [WordCount(TS, i, text, 2**62 + i, 0.1) for i, text in enumerate(HOSTILE, 1)],
        [UrlCount(TS, i, text, i) for i, text in enumerate(HOSTILE, 1)],
        [WordCooccur(TS, i, "a", str(x), i, x) for i, x in enumerate(FLOATS, 1)],
    )
    run = a_run(window_start=TS - timedelta(microseconds=1), seconds=0.1 + 0.2)

    connect(sink).replace_run(run, *rows)

    assert stored(sink) == expected(run, rows)


def test_a_run_replaces_its_own_rows_and_no_others(sink: str) -> None:
    earlier, later = TS - timedelta(seconds=1), TS + timedelta(days=400)
    for ts in (earlier, TS, later):
        connect(sink).replace_run(a_run(ts), *some_rows(ts, "old", 4))

    connect(sink).replace_run(a_run(tweets=8), *some_rows(TS, "new", 2))

    assert stored(sink) == expected(a_run(tweets=8), some_rows(TS, "new", 2))
    for ts in (earlier, later):
        assert stored(sink, ts) == expected(a_run(ts), some_rows(ts, "old", 4))


def test_the_same_run_twice_is_the_run_once(sink: str) -> None:
    warehouse = connect(sink)
    for _ in range(2):
        warehouse.prepare()
        warehouse.replace_run(a_run(), *some_rows(TS, "same", 3))

    assert stored(sink) == expected(a_run(), some_rows(TS, "same", 3))


def test_several_queries_may_go_together(sink: str) -> None:
    warehouse = connect(sink)
    with warehouse.reading(), pytest.raises(DfpipeError, match="write a run to it"):
        warehouse.query("latest_runs")
    warehouse.replace_run(a_run(), [], [], [])
    with warehouse.reading():
        together = [warehouse.query(name) for name in ("latest_runs", "popular_words")]
    assert [len(answer.rows) for answer in together] == [1, 0]
    warehouse.replace_run(a_run(TS + timedelta(hours=5)), [], [], [])
    assert len(warehouse.query("latest_runs").rows) == 2


def test_an_empty_run_leaves_its_row_only(sink: str) -> None:
    connect(sink).replace_run(a_run(), *some_rows(TS, "old", 2))

    connect(sink).replace_run(a_run(tweets=0), [], [], [])

    assert stored(sink) == expected(a_run(tweets=0), ([], [], []))


def test_many_rows(sink: str) -> None:
    words = [WordCount(TS, i, f"word{i}", 5, i / 7) for i in range(20_000)]

    connect(sink).replace_run(a_run(), words, [], [])

    assert stored(sink) == expected(a_run(), (words, [], []))


def test_a_row_of_another_run_is_refused_and_nothing_written(sink: str) -> None:
    connect(sink).prepare()
    urls = [UrlCount(TS + timedelta(hours=1), 1, "https://a.org/", 1)]

    with pytest.raises(DfpipeError, match=r"^urls: a row of ts .*01:00.* a run replaces its own"):
        connect(sink).replace_run(a_run(), [], urls, [])

    assert stored(sink) == {table.name: [] for table in TABLES}


def test_a_table_with_other_columns_is_refused_before_the_work(sink: str) -> None:
    connect(sink).prepare()
    execute(sink, "DROP TABLE urls")
    integer = "BIGINT" if sink.startswith("duckdb") else "INT64"
    execute(sink, f"CREATE TABLE urls (id {integer}, page {integer})")

    with pytest.raises(DfpipeError, match=r"table urls with the columns id, page, where ts, rank"):
        connect(sink).prepare()


def test_a_run_without_its_row_is_in_no_answer(sink: str) -> None:
    rows = some_rows(TS, "done", 2)
    connect(sink).replace_run(a_run(), *rows)
    half = TS + timedelta(days=2)
    connect(sink).replace_run(a_run(half), *some_rows(half, "half", 3))
    execute(sink, "DELETE FROM runs WHERE ts > TIMESTAMP '2015-01-12 00:00:00+00'")

    warehouse = connect(sink)

    assert [row[2] for row in warehouse.query("popular_words").rows] == ["done1", "done2"]
    assert [row[0] for row in warehouse.query("latest_runs").rows] == [TS]
    assert [row[0] for row in warehouse.query("word_history", word="half1").rows] == [TS]


def test_asking_creates_nothing_and_says_what_to_do(sink: str) -> None:
    for _ in range(2):
        with pytest.raises(DfpipeError, match=r"write a run to it with `dfpipe run --sink "):
            connect(sink).query("latest_runs")


WRITER = """
import sys
from dfpipe.warehouse import connect
from tests.contract.test_warehouse import a_run, some_rows, TS
sink, names, times = sys.argv[1], sys.argv[2].split(), int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for i in range(times):
    name = names[i % len(names)]
    connect(sink).replace_run(a_run(runner=name), *some_rows(TS, name, 50 * len(name)))
"""


def start_writer(sink: str, names: str, times: int) -> "subprocess.Popen[str]":
    """A process that has imported all and writes, in turn, as many runs as told."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, sink, names, str(times)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    return writer


def go(writer: "subprocess.Popen[str]") -> None:
    assert writer.stdin is not None
    writer.stdin.write("\n")
    writer.stdin.flush()


def one_whole_run(sink: str, names: str) -> None:
    """Compare what one statement sees: the emulator may still be at a dead writer's last job."""
    (seen,) = execute(
        sink,
        "SELECT (SELECT COUNT(*) FROM runs), (SELECT MAX(runner) FROM runs), "
        "(SELECT COUNT(DISTINCT word) FROM word_counts), (SELECT COUNT(*) FROM word_counts), "
        "(SELECT COUNT(*) FROM urls), (SELECT COUNT(*) FROM word_cooccur), "
        "(SELECT MIN(word) FROM word_counts)",
    )
    runs = [(1, name, *[50 * len(name)] * 4, f"{name}1") for name in names.split()]
    assert seen in runs


@pytest.mark.parametrize("milliseconds", [15, 90, 170])
def test_a_killed_writer_leaves_a_whole_run(sink: str, milliseconds: int) -> None:
    connect(sink).replace_run(a_run(runner="a"), *some_rows(TS, "a", 50))
    writer = start_writer(sink, "bb a", 1_000)

    go(writer)
    with pytest.raises(subprocess.TimeoutExpired):
        writer.wait(milliseconds / 1000)
    writer.kill()
    writer.communicate()

    one_whole_run(sink, "a bb")
    connect(sink).replace_run(a_run(runner="ccc"), *some_rows(TS, "ccc", 150))
    assert stored(sink) == expected(a_run(runner="ccc"), some_rows(TS, "ccc", 150))


def test_two_writers_of_one_run_leave_one_whole_run(sink: str) -> None:
    writers = [start_writer(sink, name, 3) for name in ("a", "bb")]
    for writer in writers:
        go(writer)

    assert [writer.wait(60) for writer in writers] == [0, 0]

    one_whole_run(sink, "a bb")
