import csv
import doctest
import io
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from dfpipe import cli
from dfpipe.commands import query
from dfpipe.warehouse import connect, named_queries
from dfpipe.warehouse.tables import URLS, WORD_COUNTS, UrlCount, WordCount
from tests.support.command import dfpipe
from tests.support.warehouses import TS, a_run

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    """Give the exit status, the output and the error of `dfpipe query`."""

    def call(*argv: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            cli.main(["query", *argv])
        return (int(end.value.code or 0), *capsys.readouterr())

    return call


@pytest.fixture
def sink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A warehouse of one run with 30 words, named by the environment."""
    words = [WordCount(TS, i, f"word{i}", 31 - i, 100 / (2 + i)) for i in range(1, 31)]
    urls = [UrlCount(TS, 1, "https://a.org/\x1b[2J\x9b1m\u202e\r\nend", 12_345)]
    url = f"duckdb:///{tmp_path / 'results.duckdb'}"
    connect(url).replace_run(a_run(), {WORD_COUNTS: words, URLS: urls})
    monkeypatch.setenv("DFPIPE_SINK", url)
    return url


def test_doctests() -> None:
    assert doctest.testmod(query).failed == 0


def test_the_help_is_that_of_the_list_of_commands() -> None:
    assert query.command.short_help == cli.COMMANDS["query"][1]


def test_the_list_says_what_each_answers(ask: Ask) -> None:
    status, output, _ = ask("--list")
    assert status == 0
    for name in named_queries.names():
        loaded = named_queries.load(name)
        assert f"{name}\n    {loaded.answers}\n" in output
    assert "    --param since=  hours between the runs, at least [default 24]" in output
    assert "    --param word=  the word, as stored in the tables [required]" in output


@pytest.mark.usefixtures("sink")
def test_a_table_is_rounded_and_cut(ask: Ask) -> None:
    status, output, _ = ask("popular_words")
    assert status == 0
    assert output.startswith("popular words, run 2015-01-11T00:00:00Z\n")
    assert "    1   word1       30     33.33" in output
    assert "word20 " in output
    assert "word21 " not in output
    assert output.endswith("10 more: give --limit\n")


@pytest.mark.usefixtures("sink")
def test_a_limit_that_was_given_is_not_asked_for(ask: Ask) -> None:
    assert ask("popular_words", "--limit", "22")[1].endswith("\n8 more\n")


@pytest.mark.usefixtures("sink")
def test_a_word_that_no_run_has_is_said_and_the_nearest_offered(ask: Ask) -> None:
    status, output, error = ask("word_history", "--param", "word=WORD21")
    assert status == 0
    assert output.endswith("\nno rows\n")
    assert error.startswith("dfpipe: no run has ranked 'WORD21': did you mean word21, ")
    status, output, error = ask("word_history", "--param", "word=\x1b[2J", "--format", "csv")
    assert output == "ts,rank,count,percent\n2015-01-11T00:00:00Z,,,\n"
    assert error == "dfpipe: no run has ranked '\\x1b[2J'\n"


def test_runs_made_differently_are_not_compared_silently(ask: Ask, sink: str) -> None:
    ask_emerging = ("emerging_pairs", "--format", "csv")
    earlier = a_run(TS - timedelta(days=1), languages="en")
    connect(sink).replace_run(earlier, {})
    assert ask(*ask_emerging)[2] == ""  # one of them does not say
    connect(sink).replace_run(a_run(languages="en,fr"), {})
    assert ask(*ask_emerging)[2] == (
        "dfpipe: the runs compared were made with different settings (languages): differences "
        "between them may come from that (see `dfpipe query latest_runs --format json`)\n"
    )
    assert ask("popular_words", "--format", "csv")[2] == ""


@pytest.mark.usefixtures("sink")
def test_hostile_text_does_not_reach_the_terminal(ask: Ask) -> None:
    _, output, _ = ask("top_urls")
    assert "https://a.org/\\x1b[2J\\x9b1m\\u202e\\r\\nend" in output
    assert all(char.isprintable() or char == "\n" for char in output)


@pytest.mark.usefixtures("sink")
def test_no_rows_are_said(ask: Ask) -> None:
    assert ask("interesting_pairs")[1].endswith("no rows\n")
    assert ask("interesting_pairs", "--format", "json")[1] == "[]\n"
    assert ask("interesting_pairs", "--format", "csv")[1] == "ts,rank,w1,w2,count,log_weight\n"


@pytest.mark.usefixtures("sink")
def test_json_and_csv_are_whole_and_full(ask: Ask) -> None:
    rows = json.loads(ask("popular_words", "--format", "json")[1])
    assert len(rows) == 30
    assert rows[0] == {
        "ts": "2015-01-11T00:00:00Z",
        "rank": 1,
        "word": "word1",
        "count": 30,
        "percent": 100 / 3,
    }
    read = list(csv.DictReader(io.StringIO(ask("popular_words", "--format=csv", "--limit=2")[1])))
    assert [(row["word"], float(row["percent"])) for row in read] == [
        ("word1", 100 / 3),
        ("word2", 25.0),
    ]
    assert datetime.fromisoformat(read[0]["ts"]) == TS
    (url,) = csv.DictReader(io.StringIO(ask("top_urls", "--format=csv")[1], newline=""))
    assert url["url"] == "https://a.org/\x1b[2J\x9b1m\u202e\r\nend"


@pytest.mark.usefixtures("sink")
def test_parameters_and_limits(ask: Ask) -> None:
    status, output, _ = ask(
        "word_history", "--param", "word=word3", "--limit", "1", "--format", "csv"
    )
    assert (status, output) == (0, "ts,rank,count,percent\n2015-01-11T00:00:00Z,3,28,20.0\n")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "the name of a query is required: give one of emerging_pairs, "),
        (["nope"], "there is no query 'nope': give one of emerging_pairs, "),
        (["popular_words", "--limit", "9" * 5000], "--limit must be a whole number of at least 1"),
        (["popular_words", "--limit", "0"], "--limit must be a whole number of at least 1 (got 0)"),
        (
            ["popular_words", "--limit", "-1"],
            "--limit must be a whole number of at least 1 (got -1)",
        ),
        (
            ["popular_words", "--limit", "ten"],
            "--limit must be a whole number of at least 1 (got ten)",
        ),
        (["popular_words", "--param", "ts"], "--param must be NAME=VALUE (got ts)"),
        (["popular_words", "--param", "a=1"], "query popular_words has no parameter a: its para"),
        (["emerging_pairs", "--param", "since=x"], "parameter since=x: give a whole number from 0"),
        (["word_history"], "query word_history needs word, the word, as stored in the tables"),
        (["popular_words", "--format", "xml"], "Invalid value for '--format': 'xml' is not one "),
        (["popular_words"], "--sink is required: give --sink duckdb:///FILE or bigquery://"),
        (["popular_words", "--sink", "x.db"], "'x.db' is not the URL of a warehouse: give duc"),
    ],
)
def test_wrong_words_are_one_line_and_status_2(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, argv: list[str], message: str
) -> None:
    monkeypatch.delenv("DFPIPE_SINK", raising=False)
    status, output, error = ask(*argv)
    assert (status, output) == (2, "")
    assert error.startswith(f"dfpipe: {message}")
    assert error.count("\n") == 1


def test_an_absent_sink_is_a_failure(ask: Ask, tmp_path: Path) -> None:
    status, _, error = ask("popular_words", "--sink", f"duckdb:///{tmp_path}/none.duckdb")
    assert status == 1
    assert error.startswith("dfpipe: there is no warehouse ")


def test_a_query_imports_neither_beam_nor_google_nor_the_translator(sink: str) -> None:
    answer = dfpipe("query", "popular_words", "--sink", sink, env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert answer.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in answer.stderr.splitlines()}
    assert "duckdb" in imported
    assert not {"apache_beam", "google.cloud.bigquery", "sqlglot", "numpy"} & imported


def test_a_table_shows_the_columns_that_the_query_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    named = named_queries.parse("n", "-- Words.\n-- table: word, count\nSELECT 1")
    query.print_table(named, named_queries.Result(("word", "url", "count"), (("a", "u", 1),)), None)
    shown = capsys.readouterr().out
    assert shown.split()[1:3] == ["word", "count"]
    assert "url" not in shown


@pytest.mark.parametrize("name", named_queries.names())
def test_a_table_has_its_headers_on_one_line(ask: Ask, sink: str, name: str) -> None:
    asked = [each for each in named_queries.load(name).parameters if each.default is None]
    values = {each.name: TS if each.kind == "TIMESTAMP" else "word1" for each in asked}
    columns = named_queries.load(name).table_columns or connect(sink).query(name, **values).columns
    status, output, _ = ask(name, *(f"--param={key}={value}" for key, value in values.items()))
    assert status == 0
    assert set(columns) - {"ts"} <= set(output.splitlines()[2].split())
