import doctest
import re
import sys
from datetime import timedelta
from types import ModuleType

import pytest

from dfpipe.errors import DfpipeError, UsageError
from dfpipe.warehouse import KINDS, Kind, connect, tables
from dfpipe.warehouse.tables import (
    RUNS,
    TABLES,
    WORD_COUNTS,
    WordCount,
    in_writing_order,
)
from tests.support.warehouses import TS, a_run

# As the specification has them.
SPECIFIED = {
    "word_counts": "ts TIMESTAMP, rank INT64, word STRING, count INT64, percent FLOAT64",
    "urls": "ts TIMESTAMP, rank INT64, url STRING, count INT64",
    "word_cooccur": "ts TIMESTAMP, rank INT64, w1 STRING, w2 STRING, count INT64, "
    "log_weight FLOAT64",
    "rising_words": "ts TIMESTAMP, rank INT64, word STRING, recent INT64, before INT64, "
    "percent_recent FLOAT64, percent_before FLOAT64, score FLOAT64, p_value FLOAT64",
    "rising_pairs": "ts TIMESTAMP, rank INT64, w1 STRING, w2 STRING, recent INT64, before INT64, "
    "score FLOAT64, p_value FLOAT64",
    "stories": "ts TIMESTAMP, rank INT64, w1 STRING, w2 STRING, words STRING, posts INT64, "
    "users INT64, recent INT64, before INT64, score FLOAT64, p_value FLOAT64, pairs INT64, "
    "first_seen TIMESTAMP, last_seen TIMESTAMP",
    "story_posts": "ts TIMESTAMP, story INT64, rank INT64, tid INT64, copies INT64",
    "story_urls": "ts TIMESTAMP, story INT64, rank INT64, url STRING, count INT64",
    "story_timeline": "ts TIMESTAMP, story INT64, part_start TIMESTAMP, count INT64",
    "timeline": "ts TIMESTAMP, part_start TIMESTAMP, count INT64",
    "runs": "ts TIMESTAMP, window_start TIMESTAMP, window_end TIMESTAMP, tweets INT64, "
    "skipped INT64, words INT64, urls INT64, text_mode STRING, runner STRING, version STRING, "
    "seconds FLOAT64, languages STRING, stop_words STRING, top_words INT64, top_urls INT64, "
    "top_pairs INT64, recent_start TIMESTAMP, recent INT64, settings STRING, "
    "posts_read INT64, posts_cached INT64",
}


def test_doctests() -> None:
    assert doctest.testmod(tables).failed == 0


def test_the_schemas_are_those_of_the_specification() -> None:
    found = {t.name: ", ".join(f"{n} {c.kind}" for n, c in t.columns.items()) for t in TABLES}
    assert found == SPECIFIED
    assert {t.name: t.clustered_by for t in TABLES if t.clustered_by} == {
        "word_counts": ("word",),
        "urls": ("url",),
        "word_cooccur": ("w1", "w2"),
        "rising_words": ("word",),
        "rising_pairs": ("w1", "w2"),
        "stories": ("w1", "w2"),
        "story_posts": ("story",),
        "story_urls": ("story",),
        "story_timeline": ("story",),
    }


def test_the_row_of_the_run_is_written_last() -> None:
    assert in_writing_order(a_run(), {})[-1] == (RUNS, [a_run()])


def test_rows_turn_into_columns() -> None:
    words = [WordCount(TS, 1, "a", 3, 60.0), WordCount(TS, 2, "b", 2, 40.0)]
    assert TABLES[0].transpose(words) == [[TS, TS], [1, 2], ["a", "b"], [3, 2], [60.0, 40.0]]
    assert TABLES[0].transpose([]) == [[], [], [], [], []]


def test_a_row_of_another_run_is_an_error() -> None:
    message = (
        "word_counts: got a row with ts 2015-01-12 00:00:00+00:00 for the run "
        "2015-01-11 00:00:00+00:00: a run can replace only its own rows"
    )
    with pytest.raises(DfpipeError, match=f"^{re.escape(message)}$"):
        in_writing_order(
            a_run(), {WORD_COUNTS: [WordCount(TS + timedelta(days=1), 1, "a", 1, 1.0)]}
        )


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("results.duckdb", "'results.duckdb' is not the URL of a warehouse: give duckdb:///FILE"),
        ("sqlite:///x.db", "'sqlite:///x.db' is not the URL of a warehouse: give duckdb:///FILE"),
        ("duckdb:///", "the warehouse 'duckdb:///' does not name a file: give duckdb:///FILE"),
        ("duckdb://x.duckdb", "the warehouse 'duckdb://x.duckdb' does not name a file: give"),
        ("bigquery://project", "the warehouse 'bigquery://project' does not name a dataset: giv"),
        ("bigquery:///d", "the warehouse 'bigquery:///d' does not name a dataset: giv"),
        ("bigquery://p/d/t", "the warehouse 'bigquery://p/d/t' does not name a dataset: giv"),
        (
            "bigquery://[",
            r"the warehouse 'bigquery://\[' does not name a dataset: Invalid IPv6 URL",
        ),
        (
            "bigquery://p/d?zone=a",
            "the warehouse 'bigquery://p/d\\?zone=a' does not name a dataset",
        ),
        ("", "'' is not the URL of a warehouse: give duckdb:///FILE or bigquery://PROJECT"),
    ],
)
def test_a_url_of_another_form_is_an_error(url: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}"):
        connect(url)


def test_another_kind_of_warehouse_is_a_module_and_an_entry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = ModuleType("memory_warehouse")
    module.from_url = lambda url: f"opened {url}"
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(KINDS, "memory", Kind(module.__name__, "memory://NAME", "postgres"))

    assert connect("memory://results") == "opened memory://results"
