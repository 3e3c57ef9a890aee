"""`dfpipe run` on Dataflow up to its API: what is staged and asked for, and that workers can do it.

A fake answers as Dataflow does. What was submitted is executed in an environment that has Beam and
what was staged, with Google's Datastore emulator and a BigQuery emulator at its ends.
"""

import hashlib
import json
import re
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import apache_beam
import pytest
from apache_beam.portability.api import beam_runner_api_pb2
from google.cloud.dataflow_v1beta3 import JobType, WorkerIPAddressConfiguration

from dfpipe import staging
from dfpipe.demo import timeline
from dfpipe.formats.own import to_line
from dfpipe.stopwords import stop_words_in_effect
from tests import oracle
from tests.support.analysis import END, bigquery_tables
from tests.support.command import dfpipe
from tests.support.datastore_emulator import Emulator
from tests.support.fake_dataflow import PROJECT, REGION, FakeDataflow, Job, serving
from tests.support.worker_program import steps
from tests.support.workers import Worker, execute

POSTS = list(timeline(END - timedelta(days=5), END + timedelta(hours=1)))[::20]
SINK = "bigquery://dfpipe-test/submission"
IMAGE = "example.com/project/worker:1"
# Of these a worker has none: the floors above it, and the libraries of laptops and services.
ABSENT = ["taskqueue", "workflow", "launcher", "collector", "tests.support", "setup"]
ABSENT += ["click", "duckdb", "flask", "gunicorn", "rich", "prometheus_client", "atproto", "pytest"]


@dataclass(frozen=True)
class Submission:
    """What became of one `dfpipe run` on the fake."""

    done: CompletedProcess[str]
    job: Job
    folder: Path

    @property
    def environment(self) -> dict[str, Any]:
        found: dict[str, Any] = self.job.request["environment"]
        return found

    @property
    def staged(self) -> dict[str, Path]:
        packages = self.environment["workerPools"][0]["packages"]
        return {package["name"]: Path(package["location"]) for package in packages}

    def pipeline(self) -> Any:
        file = self.environment["sdkPipelineOptions"]["options"]["pipelineUrl"]
        return beam_runner_api_pb2.Pipeline.FromString(Path(file).read_bytes())


def words(folder: Path, fake: FakeDataflow, *more: str) -> list[str]:
    """The words of a command that submits to the fake; the SDK takes no other spelling of it."""
    for name in ("temp", "staging"):
        (folder / name).mkdir(exist_ok=True)
    return [
        *("run", "--source=datastore://dfpipe-test", f"--sink={SINK}"),
        *(f"--until={END.isoformat()}", "--slices=5", "--runner=DataflowRunner"),
        *(f"--project={PROJECT}", f"--region={REGION}", "--no_auth"),
        f"--dataflow_endpoint={fake.url.replace('127.0.0.1', 'localhost')}",
        *(f"--temp_location={folder}/temp", f"--staging_location={folder}/staging"),
        *more,
    ]


@pytest.fixture(scope="module")
def submission(
    tmp_path_factory: pytest.TempPathFactory, datastore_emulator: Emulator, bigquery_emulator: str
) -> Iterator[Submission]:
    folder = tmp_path_factory.mktemp("submission")
    env = {
        "DATASTORE_EMULATOR_HOST": datastore_emulator.host,
        "BIGQUERY_EMULATOR_HOST": bigquery_emulator,
    }
    datastore_emulator.reset()
    posts = folder / "posts.jsonl"
    lines = (to_line(p.tid, p.user, p.text, p.created_at, list(p.urls)) for p in POSTS)
    posts.write_bytes(b"".join(lines))
    imported = dfpipe("import", str(posts), "--to", "datastore://dfpipe-test", env=env)
    assert imported.returncode == 0, imported.stderr
    more = ["--job_name=words-1", "--labels=team=a", "--labels=cost=low"]
    more += ["--worker_machine_type=n2-standard-2", "--num_workers=2", "--max_num_workers=7"]
    more += ["--service_account_email=worker@project.example", "--network=net"]
    more += [f"--subnetwork=regions/{REGION}/subnetworks/sub", "--no_use_public_ips"]
    more += ["--experiments=shuffle_mode=service", "--dataflow_service_options=enable_prime"]
    with serving(FakeDataflow(launched=lambda job: execute(job, env))) as fake:
        done = dfpipe(*words(folder, fake, *more), cwd=folder, env=env)
        [job] = fake.jobs.values()
        yield Submission(done, job, folder)


def test_the_command_waits_for_the_job_and_tells_what_it_found(submission: Submission) -> None:
    assert submission.done.returncode == 0, submission.done.stderr
    expected = oracle_of_posts()
    assert f"{expected.run['tweets']:,} posts, {expected.run['words']:,} words" in (
        submission.done.stdout
    )


def test_workers_write_what_the_specification_says(
    submission: Submission, bigquery_emulator: str
) -> None:
    assert submission.job.state == "DONE", submission.done.stderr
    assert bigquery_tables(bigquery_emulator, "dfpipe-test.submission") == oracle_of_posts()


def oracle_of_posts() -> oracle.Analysis:
    posts = [{"text": p.text, "created_at": p.created_at, "urls": list(p.urls)} for p in POSTS]
    return oracle.analyse(posts, END, 4, "modern", stop_words_in_effect("modern"))


def test_the_package_is_all_that_is_staged(submission: Submission) -> None:
    package = f"{staging.ROOT}.tar.gz"
    # Beam adds the list of the packages, and one of what is installed here, for the log.
    assert set(submission.staged) == {
        package,
        "extra_packages.txt",
        "submission_environment_dependencies.txt",
    }
    assert submission.staged["extra_packages.txt"].read_text() == f"{package}\n"
    with tarfile.open(submission.staged[package]) as archive:
        names = {name.removeprefix(f"{staging.ROOT}/") for name in archive.getnames()}
    ours = {name for name in names if name.startswith("dfpipe/")}
    assert names - ours == {"PKG-INFO", "pyproject.toml"}
    assert {Path(name).suffix for name in ours} == {".py", ".sql", ".yaml", ".typed"}


def test_the_packages_of_the_job_are_known_by_their_digests(submission: Submission) -> None:
    [environment] = submission.pipeline().components.environments.values()
    found = {}
    for dependency in environment.dependencies:
        payload = beam_runner_api_pb2.ArtifactFilePayload.FromString(dependency.type_payload)
        found[Path(payload.path).name] = payload.sha256
    assert found == {
        name: hashlib.sha256(file.read_bytes()).hexdigest()
        for name, file in submission.staged.items()
    }


def test_steps_can_be_imported_where_only_the_package_is(submission: Submission) -> None:
    folder = submission.staged["extra_packages.txt"].parent / "worker"
    found = Worker(folder).does("look", *ABSENT)
    assert found["file"] == str(folder / "dfpipe" / "__init__.py")
    assert found["steps"] == sorted(steps())
    assert found["steps"]
    assert found["others"] == []


def test_the_job_is_as_the_options_say(submission: Submission) -> None:
    job, environment = submission.job, submission.environment
    [pool] = environment["workerPools"]
    assert (job.name, job.labels) == ("words-1", {"team": "a", "cost": "low"})
    assert job.request["type"] == JobType.JOB_TYPE_BATCH
    assert environment["serviceAccountEmail"] == "worker@project.example"
    assert environment["serviceOptions"] == ["enable_prime"]
    assert "shuffle_mode=service" in environment["experiments"]
    assert "use_runner_v2" in environment["experiments"]
    assert environment["tempStoragePrefix"] == f"{submission.folder}/temp"
    assert (pool["machineType"], pool["numWorkers"]) == ("n2-standard-2", 2)
    assert pool["autoscalingSettings"] == {"maxNumWorkers": 7}
    assert (pool["network"], pool["subnetwork"]) == ("net", f"regions/{REGION}/subnetworks/sub")
    assert pool["ipConfiguration"] == WorkerIPAddressConfiguration.WORKER_IP_PRIVATE
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    image = f"beam_python{python}_sdk:{apache_beam.__version__}"
    assert pool["workerHarnessContainerImage"].endswith(f"/{image}")
    options = environment["sdkPipelineOptions"]["options"]
    assert (options["sink"], options["save_main_session"]) == (SINK, False)


def test_the_steps_have_names_that_people_can_read(submission: Submission) -> None:
    pipeline = submission.pipeline()
    components = pipeline.components.transforms
    [root] = pipeline.root_transform_ids
    outer = {components[name].unique_name for name in components[root].subtransforms}
    assert outer >= {"CountWords", "CountUrls", "PairRankings", "TopWords", "TopUrls"}
    assert outer >= {"RunRow", "WordRows", "UrlRows", "PairRows", "WriteResults"}
    assert [name for name in outer if not re.fullmatch("([A-Z][a-z]+)+", name)] == []
    # Beam's own steps within these are named by Beam.
    inner = {child for name in outer for child in names_within(components, name)}
    assert [name for name in inner if "lambda" in name] == []


def names_within(components: Any, name: str) -> list[str]:
    """The names of the steps right within the step of a name."""
    [step] = (each for each in components.values() if each.unique_name == name)
    return [components[child].unique_name for child in step.subtransforms]


@pytest.fixture(scope="module")
def silent() -> Iterator[FakeDataflow]:
    """A Dataflow that nothing is to be asked of."""
    with serving(FakeDataflow()) as fake:
        yield fake
    assert fake.jobs == {}


def test_a_dry_run_starts_and_stages_nothing(silent: FakeDataflow, tmp_path: Path) -> None:
    done = dfpipe(*words(tmp_path, silent, "--dry_run=True", "--job_name=words-2"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "the job words-2 could be submitted; nothing was started\n"
    assert list((tmp_path / "staging").iterdir()) == []


def test_a_job_whose_image_is_named_gets_no_package(silent: FakeDataflow, tmp_path: Path) -> None:
    template = tmp_path / "job.json"
    more = [f"--sdk_container_image={IMAGE}", f"--template_location={template}"]
    done = dfpipe(*words(tmp_path, silent, *more), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"the job is described in {template}; nothing was started\n"
    [pool] = json.loads(template.read_text())["environment"]["workerPools"]
    assert pool["workerHarnessContainerImage"] == IMAGE
    assert [p["name"] for p in pool["packages"]] == ["submission_environment_dependencies.txt"]
