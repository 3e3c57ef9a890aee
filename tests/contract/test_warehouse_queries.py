"""Every named query against its definition in plain Python, on random runs, in both warehouses."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from dfpipe.warehouse import connect, named_queries, tables
from dfpipe.warehouse.tables import (
    WORD_COOCCUR,
    WORD_COUNTS,
    Run,
    UrlCount,
    WordCooccur,
    WordCount,
)
from tests.support.warehouses import DATASETS, a_run, execute

FIRST = datetime(2015, 1, 11, tzinfo=UTC)
WORDS = ["apple", "Zebra", "café", "日本", "ёлка", "'n'", "😀x"]
PAIRS = [(a, b) for a in WORDS for b in WORDS if a < b]
URLS = [
    "https://a.org/",
    "http://a.org:80/x",
    "https://me:pw@b.org/?q=http://c.org",
    "http://[::1]:8080/",
    "https://B.org",
    "not a url",
    "ftp://d.org/",
    "https://e.org#f@g.org",
]


@dataclass(frozen=True)
class Results:
    """The complete runs, newest first, and the rows of each table by run."""

    runs: list[Run]
    words: dict[datetime, list[WordCount]]
    urls: dict[datetime, list[UrlCount]]
    pairs: dict[datetime, list[WordCooccur]]

    def newest(self, until: datetime | None) -> Run | None:
        return next((run for run in self.runs if until is None or run.ts <= until), None)

    def before(self, newest: Run, since: int) -> Run | None:
        latest = newest.ts - timedelta(hours=since)
        return next((r for r in self.runs if r.ts <= latest and r.ts < newest.ts), None)


# An example is small as it is, and making it smaller would take minutes.
SLOW = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
NO_RUN = Results([], {}, {}, {})


@st.composite
def results(draw: st.DrawFn) -> Results:
    """Runs an hour or days apart, with rows that overlap and ties in every measure."""
    hours = draw(st.sets(st.sampled_from([0, 1, 23, 24, 25, 47, 48, 49]), min_size=1, max_size=4))
    runs = [a_run(FIRST + timedelta(hours=h), tweets=h) for h in sorted(hours, reverse=True)]
    words, urls, pairs = {}, {}, {}
    percents, weights = st.sampled_from([0.1, 12.5, 100 / 3]), st.sampled_from([0.3, 7.7])
    for ts in [run.ts for run in runs]:
        words[ts] = [
            WordCount(ts, i, word, draw(st.integers(1, 3)), draw(percents))
            for i, word in enumerate(draw(st.lists(st.sampled_from(WORDS), unique=True)), 1)
        ]
        urls[ts] = [
            UrlCount(ts, i, url, draw(st.integers(1, 3)))
            for i, url in enumerate(draw(st.lists(st.sampled_from(URLS), unique=True)), 1)
        ]
        pairs[ts] = [
            WordCooccur(ts, i, *pair, draw(st.integers(1, 3)), draw(weights))
            for i, pair in enumerate(draw(st.lists(st.sampled_from(PAIRS), unique=True)), 1)
        ]
    return Results(runs, words, urls, pairs)


def latest_runs(found: Results) -> list[tuple[Any, ...]]:
    return [astuple(run) for run in found.runs]


def popular_words(found: Results, ts: datetime | None = None) -> list[tuple[Any, ...]]:
    newest = found.newest(ts)
    return [astuple(row) for row in found.words[newest.ts]] if newest else []


def top_urls(found: Results, ts: datetime | None = None) -> list[tuple[Any, ...]]:
    newest = found.newest(ts)
    return [astuple(row) for row in found.urls[newest.ts]] if newest else []


def top_hosts(found: Results, ts: datetime | None = None) -> list[tuple[Any, ...]]:
    urls, counts = Counter[str](), Counter[str]()
    for _, _, url, count in top_urls(found, ts):
        authority = re.match("https?://([^/?#]+)", url)
        if authority:
            host = re.sub(r":\d+$", "", authority[1].rpartition("@")[2])
            urls[host] += 1
            counts[host] += count
    hosts = sorted(counts, key=lambda host: (-counts[host], host))
    newest = found.newest(ts)
    return [(newest.ts, host, urls[host], counts[host]) for host in hosts if newest]


def interesting_pairs(found: Results, ts: datetime | None = None) -> list[tuple[Any, ...]]:
    newest = found.newest(ts)
    return [astuple(row) for row in found.pairs[newest.ts]] if newest else []


def emerging_pairs(
    found: Results, since: int = 24, ts: datetime | None = None
) -> list[tuple[Any, ...]]:
    newest = found.newest(ts)
    if newest is None:
        return []
    limit = newest.ts - timedelta(hours=since)
    old = {(r.w1, r.w2) for run in found.runs if run.ts < limit for r in found.pairs[run.ts]}
    return [astuple(row) for row in found.pairs[newest.ts] if (row.w1, row.w2) not in old]


def rising_words(
    found: Results, since: int = 24, ts: datetime | None = None
) -> list[tuple[Any, ...]]:
    newest = found.newest(ts)
    before = newest and found.before(newest, since)
    if newest is None or before is None:
        return []
    earlier = {row.word: row.percent for row in found.words[before.ts]}
    rows = [
        (*astuple(row), earlier.get(row.word), row.percent - earlier.get(row.word, 0))
        for row in found.words[newest.ts]
    ]
    return sorted((row for row in rows if row[-1] > 0), key=lambda row: (-row[-1], row[1]))


def rising_pairs(
    found: Results, since: int = 24, ts: datetime | None = None
) -> list[tuple[Any, ...]]:
    newest = found.newest(ts)
    before = newest and found.before(newest, since)
    if newest is None or before is None:
        return []
    earlier = {(row.w1, row.w2): row.rank for row in found.pairs[before.ts]}
    rows = []
    for row in found.pairs[newest.ts]:
        previous = earlier.get((row.w1, row.w2))
        rows.append((*astuple(row), previous, (previous or len(earlier) + 1) - row.rank))
    return sorted((row for row in rows if row[-1] > 0), key=lambda row: (-row[-1], row[1]))


def word_history(found: Results, word: str) -> list[tuple[Any, ...]]:
    rows = []
    for run in reversed(found.runs):
        hits = [(r.rank, r.count, r.percent) for r in found.words[run.ts] if r.word == word]
        rows.append((run.ts, *(hits[0] if hits else (None, None, None))))
    return rows


def pair_history(found: Results, w1: str, w2: str) -> list[tuple[Any, ...]]:
    rows = []
    for run in reversed(found.runs):
        pairs = found.pairs[run.ts]
        hits = [(r.rank, r.count, r.log_weight) for r in pairs if {r.w1, r.w2} == {w1, w2}]
        rows.append((run.ts, *(hits[0] if hits else (None, None, None))))
    return rows


def popular_not_interesting(found: Results, ts: datetime | None = None) -> list[tuple[Any, ...]]:
    pairs = interesting_pairs(found, ts)
    paired = {word for row in pairs for word in row[2:4]}
    return [row for row in popular_words(found, ts) if row[2] not in paired]


TS, SINCE = {"ts": "2015-01-12T01:30:00+00:30"}, {"since": 0}
ASKED: list[tuple[Callable[..., list[tuple[Any, ...]]], dict[str, Any]]] = [
    (latest_runs, {}),
    *[(f, p) for f in (popular_words, top_urls, top_hosts, interesting_pairs) for p in ({}, TS)],
    (popular_not_interesting, {}),
    (popular_not_interesting, TS),
    *[
        (f, p)
        for f in (emerging_pairs, rising_words, rising_pairs)
        for p in ({}, SINCE, {"since": 23}, {**TS, "since": 1})
    ],
    (word_history, {"word": "日本"}),
    (word_history, {"word": "Café"}),
    (pair_history, {"w1": "apple", "w2": "Zebra"}),
    (pair_history, {"w1": "Zebra", "w2": "apple"}),
    (pair_history, {"w1": "Zebra", "w2": "Zebra"}),
]


def compare(sink: str, found: Results) -> None:
    warehouse = connect(sink)
    warehouse.prepare()
    for run in found.runs:
        ts = run.ts
        rows = {
            WORD_COUNTS: found.words[ts],
            tables.URLS: found.urls[ts],
            WORD_COOCCUR: found.pairs[ts],
        }
        warehouse.replace_run(run, rows)
    orphan = "TIMESTAMP '2015-01-10 12:00:00+00'"  # of a run that has no row in runs
    execute(
        sink,
        f"INSERT INTO word_counts (ts, rank, word, count, percent) "
        f"VALUES ({orphan}, 1, 'apple', 1, 1.0)",
    )
    for definition, params in ASKED:
        name = definition.__name__
        values = {k: datetime.fromisoformat(v) if k == "ts" else v for k, v in params.items()}
        assert list(warehouse.query(name, **params).rows) == definition(found, **values), name


def test_every_query_is_asked() -> None:
    assert sorted({definition.__name__ for definition, _ in ASKED}) == named_queries.names()


@given(found=results())
@example(found=NO_RUN)
@settings(SLOW, max_examples=8)
def test_the_answers_of_duckdb(tmp_path_factory: pytest.TempPathFactory, found: Results) -> None:
    compare(f"duckdb:///{tmp_path_factory.mktemp('sink') / 'results.duckdb'}", found)


@pytest.fixture
def _emulator(bigquery_emulator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", bigquery_emulator)


@pytest.mark.usefixtures("_emulator")
@given(found=results())
@example(found=NO_RUN)
@settings(SLOW, max_examples=2)
def test_the_answers_of_bigquery(found: Results) -> None:
    compare(f"bigquery://queries/results{next(DATASETS)}", found)
