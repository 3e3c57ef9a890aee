"""Jobs of Dataflow share a cache in a bucket: what is submitted is executed as by a worker."""

from pathlib import Path

from tests.support.analysis import bigquery_tables
from tests.support.bucket import NAME, serving_bucket
from tests.support.command import dfpipe
from tests.support.datastore_emulator import Emulator
from tests.support.fake_dataflow import FakeDataflow, serving
from tests.support.submissions import UNTIL, expected, import_posts, words
from tests.support.workers import Worker

CACHE = f"gs://{NAME}/cache"


def test_workers_make_the_slices_and_read_them_in_the_next_job(
    tmp_path: Path, datastore_emulator: Emulator, bigquery_emulator: str
) -> None:
    env = import_posts(tmp_path, datastore_emulator, bigquery_emulator)
    posts = expected().run["tweets"]
    with serving_bucket() as host:
        env["STORAGE_EMULATOR_HOST"] = host
        worker = Worker(tmp_path / "worker", env)
        with serving(FakeDataflow(launched=worker.execute)) as fake:
            for name, read in (("first", posts), ("second", 0)):
                sink = f"bigquery://dfpipe-test/{name}"
                more = [UNTIL, f"--cache={CACHE}", f"--job_name={name}"]
                done = dfpipe(*words(tmp_path, fake, sink, *more), cwd=tmp_path, env=env)
                assert done.returncode == 0, done.stderr
                environment = fake.named(name).request["environment"]
                assert environment["sdkPipelineOptions"]["options"]["cache"] == CACHE
                counters = worker.found[name]["counters"]
                figures = [counters.get(each, 0) for each in ("posts_read", "posts_cached")]
                assert figures == [read, posts - read]
                assert bigquery_tables(bigquery_emulator, f"dfpipe-test.{name}")[0] == expected()
