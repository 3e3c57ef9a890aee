import doctest
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dfpipe.warehouse import Warehouse, connect, named_queries
from dfpipe.warehouse import notes as module
from dfpipe.warehouse.notes import different_settings, notes_on
from dfpipe.warehouse.tables import WORD_COOCCUR, WORD_COUNTS, Run, WordCooccur, WordCount
from tests.support.warehouses import TS, a_run

DAY = timedelta(days=1)


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return connect(f"duckdb:///{tmp_path / 'results.duckdb'}")


def notes(warehouse: Warehouse, name: str, **params: object) -> list[str]:
    query = named_queries.load(name)
    return notes_on(warehouse, query, query.bind(params), warehouse.query(name, **params))


def differing(warehouse: Warehouse, runs: list[Run], name: str, **params: object) -> list[str]:
    for run in runs:
        warehouse.replace_run(run, {})
    query = named_queries.load(name)
    return different_settings(query, query.bind(params), warehouse.query("latest_runs"))


def test_the_queries_that_compare_runs() -> None:
    loaded = map(named_queries.load, named_queries.names())
    compares = {query.name: query.compares for query in loaded if query.compares}
    assert compares == {
        "emerging_pairs": "older",
        "story_history": "all",
        "word_history": "all",
        "pair_history": "all",
        "link_findings": "all",
        "story_findings": "all",
        "word_findings": "all",
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"text_mode": "classic", "languages": ""}, ["text_mode", "languages"]),
        ({"stop_words": "abc"}, ["stop_words"]),
        ({"top_words": 7, "top_urls": 7, "top_pairs": 7}, ["top_words", "top_urls", "top_pairs"]),
        ({"window_start": TS - 9 * DAY}, ["days"]),
        ({"recent_start": TS - 2 * DAY}, ["recent"]),
        ({"settings": "other"}, ["settings"]),
        ({"stop_words": None, "top_words": None}, []),
        ({"runner": "Prism", "version": "9", "seconds": 7.0, "tweets": 0}, []),
    ],
)
def test_settings_that_change_a_ranking_are_named(
    warehouse: Warehouse, changes: dict[str, Any], expected: list[str]
) -> None:
    alike: dict[str, Any] = {
        "languages": "en",
        "stop_words": "f",
        "top_words": 5,
        "top_urls": 5,
        "top_pairs": 5,
    }
    alike["settings"] = "digest"
    earlier = a_run(TS - DAY, **alike, recent_start=TS - 2 * DAY)
    runs = [earlier, a_run(TS, **{**alike, "recent_start": TS - DAY, **changes})]
    assert differing(warehouse, runs, "emerging_pairs") == expected


def test_only_the_runs_that_are_compared_count(warehouse: Warehouse) -> None:
    counts = [(0, 5), (1, 6), (2, 5), (3, 5)]  # how many days ago, and top_words
    runs = [a_run(TS - n * DAY, top_words=top) for n, top in counts]
    assert differing(warehouse, runs, "emerging_pairs") == ["top_words"]
    assert differing(warehouse, [], "emerging_pairs", since=25) == []
    assert differing(warehouse, [], "emerging_pairs", ts=TS - DAY) == ["top_words"]
    assert differing(warehouse, [], "emerging_pairs", ts=TS - 2 * DAY) == []
    assert differing(warehouse, [], "emerging_pairs", ts=TS - 9 * DAY) == []
    assert differing(warehouse, [], "word_history", word="a") == ["top_words"]


def test_words_that_no_run_has_ranked(warehouse: Warehouse) -> None:
    words = [WordCount(TS, 1, "harbour", 9, 9.0), WordCount(TS, 2, "storm", 8, 8.0)]
    pairs = [WordCooccur(TS, 1, "harbour", "storm", 5, 5.0)]
    warehouse.replace_run(a_run(), {WORD_COUNTS: words, WORD_COOCCUR: pairs})

    assert notes(warehouse, "word_history", word="harbour") == []
    assert notes(warehouse, "word_history", word="HARBOUR") == [
        "no run has ranked 'HARBOUR': did you mean harbour?"
    ]
    assert notes(warehouse, "word_history", word="zzz") == ["no run has ranked 'zzz'"]
    assert notes(warehouse, "pair_history", w1="storm", w2="Harbor") == [
        "no run has ranked 'storm' and 'Harbor': did you mean harbour?"
    ]


def test_nothing_is_said_of_a_warehouse_without_runs(warehouse: Warehouse) -> None:
    warehouse.prepare()
    assert notes(warehouse, "word_history", word="harbour") == []
    assert notes(warehouse, "emerging_pairs") == []


def test_doctests() -> None:
    assert doctest.testmod(module).failed == 0
