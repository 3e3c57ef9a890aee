"""Jobs for the fake Dataflow, of posts in the Datastore emulator."""

from datetime import datetime, timedelta
from pathlib import Path

from dfpipe.analysis.stopwords import stop_words_in_effect
from dfpipe.demo.timeline import timeline
from dfpipe.posts.formats.own import to_line
from tests import oracle
from tests.support.analysis import END
from tests.support.command import dfpipe
from tests.support.datastore_emulator import Emulator
from tests.support.fake_dataflow import PROJECT, REGION, FakeDataflow

STORE = "datastore://dfpipe-test"
POSTS = list(timeline(END - timedelta(days=5), END + timedelta(hours=1)))[::20]
UNTIL = f"--until={END.isoformat()}"


def import_posts(folder: Path, datastore: Emulator, bigquery: str) -> dict[str, str]:
    """Put the posts into the emulator; gives the environment of those who read them."""
    env = {"DATASTORE_EMULATOR_HOST": datastore.host, "BIGQUERY_EMULATOR_HOST": bigquery}
    datastore.reset()
    file = folder / "posts.jsonl"
    lines = (to_line(p.tid, p.user, p.text, p.created_at, list(p.urls)) for p in POSTS)
    file.write_bytes(b"".join(lines))
    done = dfpipe("import", str(file), "--store", STORE, env=env)
    assert done.returncode == 0, done.stderr
    return env


def expected(end: datetime = END, days: float = 4) -> oracle.Analysis:
    """What an analysis of the posts has to find."""
    posts = [{"text": p.text, "created_at": p.created_at, "urls": list(p.urls)} for p in POSTS]
    return oracle.analyse(posts, end, days, "modern", stop_words_in_effect("modern"))


def words(folder: Path, fake: FakeDataflow, sink: str, *more: str) -> list[str]:
    """The words of a command that submits to the fake; the SDK takes no other spelling of it."""
    for name in ("temp", "staging"):
        (folder / name).mkdir(exist_ok=True)
    return [
        *("run", f"--store={STORE}", f"--sink={sink}", "--slices=5", "--runner=DataflowRunner"),
        *(f"--project={PROJECT}", f"--region={REGION}", "--no_auth"),
        f"--dataflow_endpoint={fake.url.replace('127.0.0.1', 'localhost')}",
        *(f"--temp_location={folder}/temp", f"--staging_location={folder}/staging"),
        *more,
    ]
