"""What every warehouse does: replace a run whole, touch no other, answer from complete runs."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from dfpipe.errors import DfpipeError
from dfpipe.warehouse import connect
from dfpipe.warehouse.tables import (
    RUNS,
    TABLES,
    URLS,
    WORD_COOCCUR,
    WORD_COUNTS,
    UrlCount,
    WordCooccur,
    WordCount,
)
from tests.support.warehouses import DATASETS, TS, a_run, execute, expected, some_rows, stored

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


def test_every_value_comes_back_as_it_was(sink: str) -> None:
    rows = {
        WORD_COUNTS: [WordCount(TS, i, text, 2**62 + i, 0.1) for i, text in enumerate(HOSTILE, 1)],
        URLS: [UrlCount(TS, i, text, i) for i, text in enumerate(HOSTILE, 1)],
        WORD_COOCCUR: [WordCooccur(TS, i, "a", str(x), i, x) for i, x in enumerate(FLOATS, 1)],
    }
    run = a_run(window_start=TS - timedelta(microseconds=1), seconds=0.1 + 0.2)

    connect(sink).replace_run(run, rows)

    assert stored(sink) == expected(run, rows)


def test_a_run_replaces_its_own_rows_and_no_others(sink: str) -> None:
    earlier, later = TS - timedelta(seconds=1), TS + timedelta(days=400)
    for ts in (earlier, TS, later):
        connect(sink).replace_run(a_run(ts), some_rows(ts, "old", 4))

    connect(sink).replace_run(a_run(tweets=8), some_rows(TS, "new", 2))

    assert stored(sink) == expected(a_run(tweets=8), some_rows(TS, "new", 2))
    for ts in (earlier, later):
        assert stored(sink, ts) == expected(a_run(ts), some_rows(ts, "old", 4))


def test_the_same_run_twice_is_the_run_once(sink: str) -> None:
    warehouse = connect(sink)
    for _ in range(2):
        warehouse.prepare()
        warehouse.replace_run(a_run(), some_rows(TS, "same", 3))

    assert stored(sink) == expected(a_run(), some_rows(TS, "same", 3))


def test_several_queries_may_go_together(sink: str) -> None:
    warehouse = connect(sink)
    with warehouse.reading(), pytest.raises(DfpipeError, match="write a run to it"):
        warehouse.query("latest_runs")
    warehouse.replace_run(a_run(), {})
    with warehouse.reading():
        together = [warehouse.query(name) for name in ("latest_runs", "popular_words")]
    assert [len(answer.rows) for answer in together] == [1, 0]
    warehouse.replace_run(a_run(TS + timedelta(hours=5)), {})
    assert len(warehouse.query("latest_runs").rows) == 2


def test_an_empty_run_leaves_its_row_only(sink: str) -> None:
    connect(sink).replace_run(a_run(), some_rows(TS, "old", 2))

    connect(sink).replace_run(a_run(tweets=0), {})

    assert stored(sink) == expected(a_run(tweets=0), {})


def test_many_rows(sink: str) -> None:
    rows = {WORD_COUNTS: [WordCount(TS, i, f"word{i}", 5, i / 7) for i in range(20_000)]}

    connect(sink).replace_run(a_run(), rows)

    assert stored(sink) == expected(a_run(), rows)


def test_a_row_of_another_run_is_refused_and_nothing_written(sink: str) -> None:
    connect(sink).prepare()
    urls = [UrlCount(TS + timedelta(hours=1), 1, "https://a.org/", 1)]

    with pytest.raises(DfpipeError, match=r"^urls: got a row with ts .*01:00.* only its own rows"):
        connect(sink).replace_run(a_run(), {URLS: urls})

    assert stored(sink) == {table.name: [] for table in TABLES}


def typed(sink: str, googlesql: str) -> str:
    """A column's type in the dialect of a warehouse."""
    duckdb = {
        "INT64": "BIGINT",
        "STRING": "VARCHAR",
        "FLOAT64": "DOUBLE",
        "TIMESTAMP": "TIMESTAMPTZ",
    }
    return duckdb[googlesql] if sink.startswith("duckdb") else googlesql


def make_again(sink: str, table: str, columns: str) -> None:
    """Replace a table by one with other columns, given as `name TYPE, ...` in GoogleSQL."""
    defined = [column.split(" ", 1) for column in columns.split(", ")]
    kinds = [(name, *kind.split(" ", 1)) for name, kind in defined]
    texts = [" ".join([name, typed(sink, kind), *rest]) for name, kind, *rest in kinds]
    execute(sink, f"DROP TABLE {table}")
    execute(sink, f"CREATE TABLE {table} ({', '.join(texts)})")


URL_COLUMNS = "ts TIMESTAMP, rank INT64, url STRING, count INT64"
WORD_COLUMNS = "ts TIMESTAMP, rank INT64, word STRING, count INT64, percent FLOAT64"


@pytest.mark.parametrize(
    ("table", "columns", "fault"),
    [
        ("urls", "id INT64, page INT64", "it has no column ts .TIMESTAMP.; it has no column rank"),
        ("word_counts", WORD_COLUMNS.replace("FLOAT64", "INT64"), "percent is INT64, not FLOAT64"),
        ("urls", URL_COLUMNS.replace("count INT64", "count STRING"), "count is STRING, not INT64"),
        ("urls", f"{URL_COLUMNS}, size INT64 NOT NULL", "size is required, but dfpipe does not"),
    ],
)
def test_a_table_that_cannot_hold_the_rows_is_refused_before_the_work(
    sink: str, table: str, columns: str, fault: str
) -> None:
    connect(sink).prepare()
    make_again(sink, table, columns)

    with pytest.raises(DfpipeError, match=rf"cannot write to table {table}: {fault}.*: rename or"):
        connect(sink).prepare()


def test_a_view_in_the_place_of_a_table_is_refused_before_the_work(sink: str) -> None:
    connect(sink).prepare()
    execute(sink, "DROP TABLE urls")
    execute(sink, "CREATE VIEW urls AS SELECT ts, rank, word AS url, count FROM word_counts")

    with pytest.raises(DfpipeError, match=r"urls is a view, not a table: rename or drop it, or "):
        connect(sink).prepare()


def test_columns_in_another_order_and_columns_of_others_are_used_as_they_are(sink: str) -> None:
    connect(sink).prepare()
    make_again(sink, "urls", "note STRING, url STRING, count INT64, rank INT64, ts TIMESTAMP")

    connect(sink).replace_run(a_run(), some_rows(TS, "a", 2))

    assert stored(sink) == expected(a_run(), some_rows(TS, "a", 2))


FIRST_COLUMNS = [name for name, column in RUNS.columns.items() if not column.nullable]


def make_old(sink: str) -> None:
    """Take away what later versions brought."""
    execute(sink, "DROP TABLE word_cooccur")
    execute(sink, f"CREATE TABLE old AS SELECT {', '.join(FIRST_COLUMNS)} FROM runs")
    execute(sink, "DROP TABLE runs")
    execute(sink, "CREATE TABLE runs AS SELECT * FROM old")


def test_a_warehouse_of_an_older_version_gets_what_it_lacks(sink: str) -> None:
    old, new = TS - timedelta(hours=6), a_run(languages="en", top_words=5)
    rows = {WORD_COUNTS: some_rows(old, "a", 3)[WORD_COUNTS]}
    connect(sink).replace_run(a_run(old), rows)
    make_old(sink)

    for _ in range(2):
        connect(sink).replace_run(new, some_rows(TS, "b", 2))

    assert stored(sink) == expected(new, some_rows(TS, "b", 2))
    assert stored(sink, old) == expected(a_run(old), rows)
    assert [run[0] for run in connect(sink).query("latest_runs").rows] == [TS, old]


def test_preparing_brings_a_warehouse_up_to_date(sink: str) -> None:
    connect(sink).prepare()
    make_old(sink)

    connect(sink).prepare()

    assert connect(sink).query("latest_runs").rows == ()


@pytest.mark.parametrize("query", ["latest_runs", "interesting_pairs"])
def test_who_reads_a_warehouse_of_an_older_version_learns_what_to_do(sink: str, query: str) -> None:
    connect(sink).replace_run(a_run(), some_rows(TS, "a", 3))
    make_old(sink)

    with pytest.raises(
        DfpipeError, match=r"^\S+ was written by an older version .* with `dfpipe ru"
    ):
        connect(sink).query(query)
    assert len(connect(sink).query("popular_words").rows) == 3


def test_a_run_without_its_row_is_in_no_answer(sink: str) -> None:
    rows = some_rows(TS, "done", 2)
    connect(sink).replace_run(a_run(), rows)
    half = TS + timedelta(days=2)
    connect(sink).replace_run(a_run(half), some_rows(half, "half", 3))
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
from dfpipe.warehouse.duckdb_warehouse import DUCKDB_TYPES
from tests.support.warehouses import a_run, some_rows, TS
sink, names, times = sys.argv[1], sys.argv[2].split(), int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for i in range(times):
    name = names[i % len(names)]
    connect(sink).replace_run(a_run(runner=name), some_rows(TS, name, 50 * len(name)))
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
    connect(sink).replace_run(a_run(runner="a"), some_rows(TS, "a", 50))
    writer = start_writer(sink, "bb a", 1_000)

    go(writer)
    with pytest.raises(subprocess.TimeoutExpired):
        writer.wait(milliseconds / 1000)
    writer.kill()
    writer.communicate()

    one_whole_run(sink, "a bb")
    connect(sink).replace_run(a_run(runner="ccc"), some_rows(TS, "ccc", 150))
    assert stored(sink) == expected(a_run(runner="ccc"), some_rows(TS, "ccc", 150))


def test_two_writers_of_one_run_leave_one_whole_run(sink: str) -> None:
    writers = [start_writer(sink, name, 3) for name in ("a", "bb")]
    for writer in writers:
        go(writer)

    assert [writer.wait(60) for writer in writers] == [0, 0]

    one_whole_run(sink, "a bb")
