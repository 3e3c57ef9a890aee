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

from dfpipe.times import microseconds
from dfpipe.warehouse import connect, named_queries, tables
from dfpipe.warehouse.tables import (
    WORD_COOCCUR,
    WORD_COUNTS,
    Run,
    Table,
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
    others: dict[datetime, dict[Table, list[Any]]]  # what rises, and the tables of stories

    def newest(self, until: datetime | None) -> Run | None:
        return next((run for run in self.runs if until is None or run.ts <= until), None)


# An example is small as it is, and making it smaller would take minutes.
SLOW = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
NO_RUN = Results([], {}, {}, {}, {})


@st.composite
def results(draw: st.DrawFn) -> Results:
    """Runs an hour or days apart, with rows that overlap and ties in every measure."""
    hours = draw(st.sets(st.sampled_from([0, 1, 23, 24, 25, 47, 48, 49]), min_size=1, max_size=4))
    runs = [
        a_run(FIRST + timedelta(hours=h), tweets=50 + h, recent_start=FIRST, recent=20)
        for h in sorted(hours, reverse=True)
    ]
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
    others = {run.ts: draw(story_tables(run.ts)) for run in runs}
    return Results(runs, words, urls, pairs, others)


@st.composite
def story_tables(draw: st.DrawFn, ts: datetime) -> dict[Table, list[Any]]:
    """Rows of what rises in a run, and of its stories; each has a part and an example at least."""
    words = draw(st.lists(st.sampled_from(WORDS), unique=True, max_size=3))
    edges = draw(st.lists(st.sampled_from(PAIRS), unique=True, max_size=3))
    scores, p_values = st.sampled_from([9.5, 0.0, -3.25]), st.sampled_from([0.0, 0.002, 1.0])
    rows: dict[Table, list[Any]] = {
        tables.RISING_WORDS: [
            tables.RisingWord(ts, i, word, 3, 1, 30.0, 2.0, 9.5, 0.001)
            for i, word in enumerate(words, 1)
        ],
        tables.RISING_PAIRS: [
            tables.RisingPair(ts, i, *edge, 3, 1, 9.5, 0.001) for i, edge in enumerate(edges, 1)
        ],
        tables.STORIES: [],
        tables.STORY_POSTS: [],
        tables.STORY_URLS: [],
        tables.STORY_TIMELINE: [],
        tables.TIMELINE: [
            tables.TimelinePart(ts, ts - timedelta(hours=9 - i), i + 1)
            for i in range(draw(st.integers(0, 2)))
        ],
    }
    for rank, edge in enumerate(edges, 1):
        name = " ".join(draw(st.lists(st.sampled_from(WORDS), unique=True, min_size=1)))
        before, score, p_value = draw(st.integers(0, 2)), draw(scores), draw(p_values)
        recent = 9 - before
        rows[tables.STORIES].append(
            tables.StoryRow(ts, rank, *edge, name, 9, 3, recent, before, score, p_value, 2, ts, ts)
        )
        for i in range(1, draw(st.integers(1, 3)) + 1):
            rows[tables.STORY_POSTS].append(tables.StoryPost(ts, rank, i, 2**60 + i, 7 - i))
            rows[tables.STORY_TIMELINE].append(
                tables.StoryPart(ts, rank, ts - timedelta(hours=9 - i), i)
            )
        for i in range(1, draw(st.integers(0, 2)) + 1):
            rows[tables.STORY_URLS].append(tables.StoryUrl(ts, rank, i, f"https://a.org/{i}", 3))
    return rows


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
    older = [run.ts for run in found.runs if run.ts <= limit and run.ts < newest.ts]
    old = {(row.w1, row.w2) for earlier in older for row in found.pairs[earlier]}
    return [astuple(row) for row in found.pairs[newest.ts] if (row.w1, row.w2) not in old]


def of_newest(found: Results, table: Table, ts: datetime | None) -> list[Any]:
    newest = found.newest(ts)
    return found.others[newest.ts][table] if newest else []


def rising_words(found: Results, ts: datetime | None = None) -> list[tuple[Any, ...]]:
    return [astuple(row) for row in of_newest(found, tables.RISING_WORDS, ts)]


def rising_pairs(found: Results, ts: datetime | None = None) -> list[tuple[Any, ...]]:
    return [astuple(row) for row in of_newest(found, tables.RISING_PAIRS, ts)]


def stories(found: Results, ts: datetime | None = None) -> list[tuple[Any, ...]]:
    rows = []
    for s in of_newest(found, tables.STORIES, ts):
        run = found.newest(ts)
        assert run is not None
        assert run.recent is not None
        posts, urls, parts = (
            [row for row in of_newest(found, table, ts) if row.story == s.rank]
            for table in (tables.STORY_POSTS, tables.STORY_URLS, tables.STORY_TIMELINE)
        )
        times = s.recent * (run.tweets - run.recent) / (s.before * run.recent) if s.before else None
        rows.append(
            (
                *(s.ts, s.rank, s.w1, s.w2, s.words, s.posts, s.users, 100 * s.posts / run.tweets),
                *(s.recent, s.before, times, s.score, s.p_value, s.pairs, s.first_seen),
                *(s.last_seen, urls[0].url if urls else None, posts[0].tid),
                *([part.part_start for part in parts], [part.count for part in parts]),
            )
        )
    return rows


def rising_stories(found: Results, ts: datetime | None = None) -> list[tuple[Any, ...]]:
    rows = [row for row in stories(found, ts) if row[11] > 0 and row[12] < 0.01]
    return sorted(rows, key=lambda row: (-row[11], row[1]))


def recent_rises(
    found: Results, since: int = 168, ts: datetime | None = None
) -> list[tuple[Any, ...]]:
    newest = found.newest(ts)
    if newest is None:
        return []
    runs = [run.ts for run in found.runs if run.ts <= newest.ts]
    return [
        (*row[:13], row[16])
        for run in sorted(runs)
        if run >= newest.ts - timedelta(hours=since)
        for row in sorted(rising_stories(found, run), key=lambda row: row[1])
    ]


def story(found: Results, w1: str, w2: str, ts: datetime | None = None) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for s in of_newest(found, tables.STORIES, ts):
        if (s.w1, s.w2) != tuple(sorted((w1, w2))):
            continue
        own = (s.words, s.users, s.recent, s.before, s.score, s.p_value, s.pairs)
        seen, none = (s.first_seen, s.last_seen), (None,) * 9
        rows.append((s.ts, "story", s.rank, s.posts, None, None, None, *own, *seen))
        rows += [
            (s.ts, "post", p.rank, p.copies, p.tid, None, None, *none)
            for p in of_newest(found, tables.STORY_POSTS, ts)
            if p.story == s.rank
        ]
        rows += [
            (s.ts, "url", u.rank, u.count, None, u.url, None, *none)
            for u in of_newest(found, tables.STORY_URLS, ts)
            if u.story == s.rank
        ]
        rows += [
            (s.ts, "part", None, p.count, None, None, p.part_start, *none)
            for p in of_newest(found, tables.STORY_TIMELINE, ts)
            if p.story == s.rank
        ]
    return rows


def story_history(
    found: Results, w1: str, w2: str, ts: datetime | None = None
) -> list[tuple[Any, ...]]:
    newest = found.newest(ts)
    if newest is None:
        return []
    w1, w2 = sorted((w1, w2))
    words = {
        word
        for s in of_newest(found, tables.STORIES, ts)
        if (s.w1, s.w2) == (w1, w2)
        for word in s.words.split()
    }
    return [
        (
            *(s.ts, s.rank, s.w1, s.w2, s.words, s.posts, s.users, 100 * s.posts / run.tweets),
            *(s.recent, s.before, s.score, s.p_value),
        )
        for run in found.runs
        if run.ts < newest.ts
        for s in found.others[run.ts][tables.STORIES]
        if (s.w1, s.w2) == (w1, w2)
        or (words and 2 * len(words & set(s.words.split())) >= len(words))
    ]


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


def parts_of(parts: list[Any]) -> tuple[Any, Any]:
    """The two lists of a timeline; None for both if it is empty."""
    if not parts:
        return None, None
    return [microseconds(part.part_start) for part in parts], [part.count for part in parts]


def of_story(found: Results, ts: datetime, table: Table, rank: int) -> list[Any]:
    return [row for row in found.others[ts][table] if row.story == rank]


def run_findings(
    found: Results, ts: datetime, compared: datetime | None = None
) -> list[tuple[Any, ...]]:
    run = next((run for run in found.runs if run.ts == ts), None)
    if run is None:
        return []
    others, none = found.others[ts], (None,) * 4
    rows = [
        (
            *("run", 0, None, None, None, run.tweets, None, run.recent, None, None, None),
            *(run.window_start, run.window_end, None, None),
            *parts_of(others[tables.TIMELINE]),
        )
    ]
    for s in others[tables.STORIES]:
        urls, posts, parts = (
            of_story(found, ts, table, s.rank)
            for table in (tables.STORY_URLS, tables.STORY_POSTS, tables.STORY_TIMELINE)
        )
        first = urls[0].url if urls else None
        rows.append(("story", *described(s), first, posts[0].tid, *parts_of(parts)))
    if compared in found.others:
        rows += [("earlier", *described(s), *none) for s in found.others[compared][tables.STORIES]]
    rows += [
        ("word", r.rank, r.word, None, None, r.count, *none[:3], r.percent, *none, *none[:3])
        for r in found.words[ts]
    ]
    rows += [
        ("pair", r.rank, r.w1, r.w2, None, r.count, *none[:3], r.log_weight, *none, *none[:3])
        for r in found.pairs[ts]
    ]
    rows += [("url", r.rank, None, None, r.url, r.count, *none, *none, *none[:3])
             for r in found.urls[ts]]  # fmt: skip
    rows += [
        (name, *risen(name, ts, r)[2:], *none, None, None)
        for name, table in RISING.items()
        for r in others[table]
    ]
    return sorted(rows, key=lambda row: row[:2])


RISING = {"rising_word": tables.RISING_WORDS, "rising_pair": tables.RISING_PAIRS}


def described(s: Any) -> tuple[Any, ...]:
    """A story in the columns of findings, from its rank to when it was last seen."""
    own = (s.rank, s.w1, s.w2, s.words, s.posts, s.users, *rise(s))
    return (*own, s.first_seen, s.last_seen)


def rise(r: Any) -> tuple[Any, ...]:
    return (r.recent, r.before, r.score, r.p_value)


def story_findings(found: Results, ts: datetime, w1: str, w2: str) -> list[tuple[Any, ...]]:
    own = [s for s in found.others.get(ts, {}).get(tables.STORIES, []) if (s.w1, s.w2) == (w1, w2)]
    if not own:
        return []
    (s,) = own
    words, none = {*s.words.split()}, (None,) * 8
    rows: list[tuple[Any, ...]] = [
        (
            *("story", ts, *described(s)[:-2], s.pairs, s.first_seen, s.last_seen, None),
            *parts_of(of_story(found, ts, tables.STORY_TIMELINE, s.rank)),
        )
    ]
    for when, others in found.others.items():
        rows += [
            ("other", when, *described(o)[:-2], o.pairs, o.first_seen, o.last_seen, *none[:3])
            for o in others[tables.STORIES]
            if (o.w1, o.w2) == (w1, w2) or 2 * len(words & {*o.words.split()}) >= len(words)
        ]
    rows += [
        ("post", ts, p.rank, None, None, None, p.copies, *none, p.tid, None, None)
        for p in of_story(found, ts, tables.STORY_POSTS, s.rank)
    ]
    rows += [
        ("url", ts, u.rank, None, None, u.url, u.count, *none, *none[:3])
        for u in of_story(found, ts, tables.STORY_URLS, s.rank)
    ]
    pairs = [r for r in found.pairs[ts] if {r.w1, r.w2} <= words]
    rows += [
        ("pair", ts, r.rank, r.w1, r.w2, None, r.count, *none[:3], r.log_weight, *none[:7])
        for r in pairs
    ]
    rows += [
        (
            "rising_pair",
            ts,
            r.rank,
            r.w1,
            r.w2,
            None,
            r.recent + r.before,
            None,
            *rise(r),
            *none[:6],
        )
        for r in found.others[ts][tables.RISING_PAIRS]
        if {r.w1, r.w2} <= words
    ]
    return in_order(rows)


def in_order(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows by their item, then the newest run first, then by rank."""
    return sorted(rows, key=lambda row: (row[0], -row[1].timestamp(), row[2]))


def word_findings(
    found: Results, ts: datetime, w1: str, w2: str | None = None
) -> list[tuple[Any, ...]]:
    wanted, none = {w1, w2 or w1}, (None,) * 7
    rows: list[tuple[Any, ...]] = []
    for run in found.runs:
        when = run.ts
        if w2 is None:
            rows += [
                (
                    "ranked",
                    when,
                    r.rank,
                    r.word,
                    None,
                    None,
                    r.count,
                    *none[:3],
                    r.percent,
                    *none[:5],
                )
                for r in found.words[when]
                if r.word == w1
            ]
        else:
            rows += [paired("ranked", when, r) for r in found.pairs[when] if {r.w1, r.w2} == wanted]
    if ts not in found.others:
        return in_order(rows)
    others = found.others[ts]
    rows += [
        ("story", ts, *described(s), *parts_of(of_story(found, ts, tables.STORY_TIMELINE, s.rank)))
        for s in others[tables.STORIES]
        if wanted <= {*s.words.split()}
    ]
    rows += [paired("pair", ts, r) for r in found.pairs[ts] if wanted & {r.w1, r.w2}]
    if w2 is None:
        rows += [
            (
                "rising_word",
                ts,
                r.rank,
                w1,
                None,
                None,
                r.recent + r.before,
                None,
                *rise(r),
                *none[:4],
            )
            for r in others[tables.RISING_WORDS]
            if r.word == w1
        ]
    rows += [
        (
            "rising_pair",
            ts,
            r.rank,
            r.w1,
            r.w2,
            None,
            r.recent + r.before,
            None,
            *rise(r),
            *none[:4],
        )
        for r in others[tables.RISING_PAIRS]
        if wanted <= {r.w1, r.w2}
    ]
    return in_order(rows)


def link_findings(found: Results, ts: datetime, url: str) -> list[tuple[Any, ...]]:
    none = (None,) * 9
    rows: list[tuple[Any, ...]] = [
        ("ranked", run.ts, r.rank, None, None, r.url, r.count, *none)
        for run in found.runs
        for r in found.urls[run.ts]
        if r.url == url
    ]
    if ts not in found.others:
        return in_order(rows)
    others = found.others[ts]
    having = {r.story for r in others[tables.STORY_URLS] if r.url == url}
    rows += [
        ("story", ts, *described(s), *parts_of(of_story(found, ts, tables.STORY_TIMELINE, s.rank)))
        for s in others[tables.STORIES]
        if s.rank in having
    ]
    rows += [("url", ts, r.rank, None, None, r.url, r.count, *none) for r in found.urls[ts]]
    rows += [
        ("word", ts, r.rank, r.word, None, None, r.count, *none[:3], r.percent, *none[:5])
        for r in found.words[ts]
    ]
    return in_order(rows)


def risen(item: str, when: datetime, r: Any) -> tuple[Any, ...]:
    words = (r.word, None) if item == "rising_word" else (r.w1, r.w2)
    return (item, when, r.rank, *words, None, r.recent + r.before, None, *rise(r))


def paired(item: str, when: datetime, r: WordCooccur) -> tuple[Any, ...]:
    none = (None,) * 5
    return (item, when, r.rank, r.w1, r.w2, None, r.count, *none[:3], r.log_weight, *none)


TS, SINCE = {"ts": "2015-01-12T01:30:00+00:30"}, {"since": 0}
TIMES = ("ts", "compared")
# Of a run that is there in many examples, of one that is in fewer, and of one that never is.
RUNS = [(FIRST + timedelta(hours=hours)).isoformat() for hours in (0, 24, 2)]
ASKED: list[tuple[Callable[..., list[tuple[Any, ...]]], dict[str, Any]]] = [
    (latest_runs, {}),
    *[(f, p) for f in (popular_words, top_urls, top_hosts, interesting_pairs) for p in ({}, TS)],
    (popular_not_interesting, {}),
    (popular_not_interesting, TS),
    *[(emerging_pairs, p) for p in ({}, SINCE, {"since": 23}, {**TS, "since": 1})],
    *[(recent_rises, p) for p in ({}, SINCE, {**TS, "since": 24})],
    *[(f, p) for f in (rising_words, rising_pairs, stories, rising_stories) for p in ({}, TS)],
    *[
        (f, {"w1": w1, "w2": w2, **ts})
        for f in (story, story_history)
        for w1, w2 in (*PAIRS[:4], PAIRS[0][::-1], ("Zebra", "Zebra"))
        for ts in ({}, TS)
    ],
    *[(run_findings, {"ts": ts, **p}) for ts in RUNS for p in ({}, {"compared": RUNS[0]})],
    *[
        (story_findings, {"ts": ts, "w1": w1, "w2": w2})
        for ts in RUNS
        for w1, w2 in (*PAIRS[:4], ("Zebra", "Zebra"))
    ],
    *[
        (word_findings, {"ts": ts, **words})
        for ts in RUNS
        for words in ({"w1": "apple"}, {"w1": "no"}, {"w1": "café", "w2": "apple"})
    ],
    *[
        (link_findings, {"ts": ts, "url": url})
        for ts in RUNS
        for url in (URLS[0], "https://a.org/1")
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
        rows: dict[Table, list[Any]] = {
            WORD_COUNTS: list(found.words[ts]),
            tables.URLS: list(found.urls[ts]),
            WORD_COOCCUR: list(found.pairs[ts]),
            **found.others[ts],
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
        values = {k: datetime.fromisoformat(v) if k in TIMES else v for k, v in params.items()}
        rows = list(warehouse.query(name, **params).rows)
        # BigQuery has no NULL for a list: its lists are empty.
        rows = [tuple(None if value == [] else value for value in row) for row in rows]
        assert rows == definition(found, **values), name


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
