"""The whole pipeline against the brute-force oracle."""

import lzma
import random
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dfpipe.analysis.stopwords import stop_words_in_effect
from dfpipe.analysis.text import MODES
from dfpipe.datastore import connect
from dfpipe.posts.post import KIND
from tests import oracle, stories_oracle
from tests.support.analysis import END, run, store_posts, stories, tables
from tests.support.command import OFFLINE, dfpipe
from tests.support.stories import analyse

TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)
EDGES = [END - 4 * DAY - TICK, END - 4 * DAY, END - 2 * DAY, END - TICK, END, END + TICK]
# Few words and links, so that they meet, tie and fill every post; and any text there is.
WORDS = ["storm", "Harbour", "café", "cafe\u0301", "the", "it's", "RT", "@anna", "x", "’tis"]
TEXTS = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.none(),
    st.integers(0, 9),
)
LINKS = ["http://a.com", "http://A.com/#top", "https://b.org/x?utm_source=y", "ftp://no", ""]
URLS = st.one_of(
    st.none(), st.lists(st.sampled_from(LINKS), max_size=3), st.sampled_from(LINKS), st.just([7])
)
TIMES = st.one_of(
    st.sampled_from(EDGES), st.timedeltas(-5 * DAY, DAY).map(lambda delta: END + delta)
)
POSTS = st.lists(
    st.fixed_dictionaries(
        {"tid": st.integers(1, 30) | st.integers(2**53, 2**63 - 1), "created_at": TIMES},
        optional={"text": TEXTS, "urls": URLS, "user": st.text("ab", max_size=3)},
    ),
    max_size=40,
)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(POSTS, st.sampled_from(MODES), st.sampled_from([1, 3, 64]), st.sampled_from([1, 4, 2048]))
def test_any_posts(posts: list[dict[str, Any]], mode: str, slices: int, candidates: int) -> None:
    # Each seven times, so that some rise and make stories, if not by different users.
    repeated = [{**post, "tid": post["tid"] // 8 + 1 + i} for post in posts for i in range(7)]
    posts = list({post["tid"]: post for post in repeated}.values())
    with TemporaryDirectory() as folder:
        store_posts(f"sqlite:///{folder}/p.db", posts)
        run(
            f"sqlite:///{folder}/p.db",
            f"duckdb:///{folder}/r.duckdb",
            *(f"--text={mode}", f"--slices={slices}", f"--pair-candidates={candidates}"),
            *("--top-words=5", "--top-urls=2", "--top-pairs=4", "--shards=3"),
            *("--recent=50", "--top-rising=3", "--top-stories=2", "--story-users=1"),
        )
        stop_words = stop_words_in_effect("modern")
        expected = oracle.analyse(posts, END, 4, mode, stop_words, 5, 2, 4)
        assert tables(Path(folder) / "r.duckdb") == expected
        told = stories_oracle.analyse(posts, END, 4, mode, stop_words, 4, 50, 3, 2, 1)
        assert stories(Path(folder) / "r.duckdb") == told


@pytest.fixture(scope="module")
def posts(data: Path) -> list[dict[str, Any]]:
    with lzma.open(data / "tweets_4day.jsonl.xz") as lines:
        found = [orjson.loads(line) for line in lines]
    for post in found:
        post["created_at"] = datetime.fromisoformat(post["created_at"])
    return found


@pytest.fixture(scope="module")
def store(posts: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('posts')}/p.db"
    store_posts(url, posts)
    return url


@pytest.fixture(scope="module")
def expected(posts: list[dict[str, Any]]) -> dict[str, oracle.Analysis]:
    stop_words = stop_words_in_effect("modern")
    return {mode: oracle.analyse(posts, END, 4, mode, stop_words) for mode in MODES}


@pytest.fixture(scope="module")
def told(posts: list[dict[str, Any]]) -> dict[str, stories_oracle.Stories]:
    stop_words = stop_words_in_effect("modern")
    return {mode: stories_oracle.analyse(posts, END, 4, mode, stop_words) for mode in MODES}


@pytest.mark.parametrize(
    ("mode", "argv"),
    [
        ("modern", []),
        ("classic", []),
        ("modern", ["--runner=DirectRunner", "--slices=8"]),
        ("classic", ["--slices=1", "--shards=1"]),
        ("modern", ["--pair-candidates=300"]),
    ],
)
def test_real_posts(
    store: str,
    expected: dict[str, oracle.Analysis],
    told: dict[str, stories_oracle.Stories],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    argv: list[str],
) -> None:
    for name, value in OFFLINE.items():  # or DirectRunner would be Prism, which is downloaded
        monkeypatch.setenv(name, value)
    summary = run(store, f"duckdb:///{tmp_path}/r.duckdb", f"--text={mode}", *argv)
    assert tables(tmp_path / "r.duckdb") == expected[mode]
    assert stories(tmp_path / "r.duckdb") == told[mode]
    assert summary.posts == 38_672
    assert summary.words == expected[mode].run["words"]
    assert summary.pairs == 300


def test_nothing_rises_in_real_posts_whose_times_are_shuffled(posts: list[dict[str, Any]]) -> None:
    times = [post["created_at"] for post in posts]
    random.Random(7).shuffle(times)
    shuffled = [{**post, "created_at": at} for post, at in zip(posts, times, strict=True)]
    found = analyse(shuffled, END, stop_words=stop_words_in_effect("modern"))
    assert found.rising_words == found.rising_pairs == []
    assert len(found.stories) == 50


def test_known_stories(store: str, tmp_path: Path) -> None:
    end = datetime.fromisoformat("2015-01-10T00:00:00Z")
    summary = run(store, f"duckdb:///{tmp_path}/r.duckdb", f"--until={end.isoformat()}")
    found = stories(tmp_path / "r.duckdb", end)
    assert (summary.posts, found.recent) == (37_848, 11_054)
    # rank, leading edge, words, posts, users
    assert [(*row[:3], *row[4:6]) for row in found.stories[:2]] == [
        (1, "charlie", "hebdo", 1640, 1257),
        (2, "hostage", "paris", 1409, 989),
    ]


# Files, the end of a window, its days, its recent hours, and the text mode.
OTHERS = [
    ("tweets_4day.jsonl.xz", "2015-01-09T06:30:00+00:00", 2.0, 12.0, "classic"),
    ("v11/*.js*", "2019-07-14T00:00:00+00:00", 3_000.0, 264.0, "modern"),
    ("v11/archive_month.js", "2011-12-20T12:00:00+00:00", 14.0, 36.5, "modern"),
    ("v2/*.js*", "2022-10-08T00:00:00+00:00", 400.0, 300.0, "classic"),
    ("bluesky/*.json", "2025-05-20T00:00:00+00:00", 500.0, 72.0, "modern"),
    ("mastodon/*.json", "2025-07-18T00:00:00+00:00", 600.0, 6_000.0, "modern"),
]


@pytest.mark.parametrize(("files", "until", "days", "recent", "mode"), OTHERS)
def test_other_files_and_windows(
    data: Path, tmp_path: Path, files: str, until: str, days: float, recent: float, mode: str
) -> None:
    store = f"sqlite:///{tmp_path}/p.db"
    done = dfpipe("import", *map(str, sorted(data.glob(files))), "--store", store)
    assert done.returncode == 0, done.stderr
    client = connect(store)
    posts = [dict(entity) for entity in client.query(kind=KIND).fetch()]
    client.close()
    # One person's archive has stories too.
    argv = (f"--until={until}", f"--days={days}", f"--recent={recent}", f"--text={mode}")
    run(store, f"duckdb:///{tmp_path}/r.duckdb", *argv, "--story-users=1")
    how = (posts, datetime.fromisoformat(until), days, mode, stop_words_in_effect("modern"))
    expected = stories_oracle.analyse(*how, recent=recent, story_users=1)
    assert tables(tmp_path / "r.duckdb", how[1]) == oracle.analyse(*how)
    assert stories(tmp_path / "r.duckdb", how[1]) == expected
    assert expected.stories
    assert expected.recent
