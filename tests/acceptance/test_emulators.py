"""The whole way through Google's Datastore emulator and a BigQuery emulator, by the commands."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from dfpipe.analysis.stopwords import stop_words_in_effect
from dfpipe.demo.timeline import timeline
from dfpipe.posts.formats.own import to_line
from dfpipe.posts.post import Post
from tests import oracle, stories_oracle
from tests.support.analysis import END, bigquery_tables
from tests.support.archives import records
from tests.support.command import dfpipe
from tests.support.datastore_emulator import Emulator

DAY = timedelta(days=1)


def analyse(
    file: Path,
    posts: list[dict[str, Any]],
    datastore: Emulator,
    bigquery: str,
    runs: int,
    end: datetime = END,
) -> None:
    """Import a file and analyse it through servers alone; compare with the oracle."""
    datastore.reset()
    env = {"DATASTORE_EMULATOR_HOST": datastore.host, "BIGQUERY_EMULATOR_HOST": bigquery}
    store, dataset = "datastore://dfpipe-test", f"dfpipe-test.{file.name.partition('.')[0]}"
    sink = f"bigquery://{dataset.replace('.', '/')}"
    done = dfpipe("import", str(file), "--store", store, env=env)
    assert done.returncode == 0, done.stderr
    until = f"--until={end.isoformat()}"
    how = (end, 4, "modern", stop_words_in_effect("modern"))
    expected = oracle.analyse(posts, *how)
    stories = stories_oracle.analyse(posts, *how)
    assert stories.rising_words
    assert stories.rising_pairs
    assert stories.stories
    for _ in range(runs):
        done = dfpipe("run", "--store", store, "--sink", sink, until, "--slices=5", env=env)
        assert (done.returncode, done.stderr) == (0, "")
        assert bigquery_tables(bigquery, dataset, end) == (expected, stories)
    listed = dfpipe("query", "latest_runs", "--sink", sink, "--format", "json", env=env)
    assert [run["tweets"] for run in orjson.loads(listed.stdout)] == [expected.run["tweets"]]


def properties(post: Post) -> dict[str, Any]:
    names = ("tid", "user", "text", "created_at")
    return {name: getattr(post, name) for name in names} | {"urls": list(post.urls)}


def test_a_made_up_timeline(
    tmp_path: Path, datastore_emulator: Emulator, bigquery_emulator: str
) -> None:
    posts = list(timeline(END - timedelta(days=5), END + timedelta(hours=1)))[::3]
    file = tmp_path / "made_up.jsonl"
    lines = (to_line(p.tid, p.user, p.text, p.created_at, list(p.urls)) for p in posts)
    file.write_bytes(b"".join(lines))
    found = [properties(post) for post in posts]
    analyse(file, found, datastore_emulator, bigquery_emulator, runs=2)


def test_real_posts(data: Path, datastore_emulator: Emulator, bigquery_emulator: str) -> None:
    file = data / "tweets_4day.jsonl.xz"
    found = [result for _, result in records(file)]
    posts = [properties(post) for post in found if isinstance(post, Post)]
    assert len(posts) == 38_672
    analyse(file, posts, datastore_emulator, bigquery_emulator, runs=1, end=END - DAY)
