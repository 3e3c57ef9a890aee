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

from dfpipe import datastore
from dfpipe.engines import staging
from launcher.jobs import JobSpec, JobState
from launcher.jobs.dataflow_api import DataflowApi
from launcher.jobs.templates import ClassicTemplateRunner
from launcher.settings import DataflowSettings
from tests.support.analysis import END, bigquery_tables
from tests.support.command import dfpipe
from tests.support.datastore_emulator import Emulator
from tests.support.fake_dataflow import PROJECT, REGION, FakeDataflow, Job, serving
from tests.support.processes import wait_until
from tests.support.submissions import UNTIL, expected, import_posts, words
from tests.support.worker_program import steps
from tests.support.workers import Worker

SINK, ELSEWHERE = "bigquery://dfpipe-test/submission", "bigquery://dfpipe-test/template"
LONG = 400.0


@dataclass(frozen=True)
class Submission:
    """What became of one `dfpipe run` on the fake."""

    done: CompletedProcess[str]
    job: Job
    folder: Path
    worker: Worker
    fake: FakeDataflow
    bigquery: str

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


@pytest.fixture(scope="module")
def submission(
    tmp_path_factory: pytest.TempPathFactory, datastore_emulator: Emulator, bigquery_emulator: str
) -> Iterator[Submission]:
    folder = tmp_path_factory.mktemp("submission")
    env = import_posts(folder, datastore_emulator, bigquery_emulator)
    more = ["--job_name=words-1", "--labels=team=a", "--labels=cost=low"]
    more += ["--worker_machine_type=n2-standard-2", "--num_workers=2", "--max_num_workers=7"]
    more += ["--service_account_email=worker@project.example", "--network=net"]
    more += [f"--subnetwork=regions/{REGION}/subnetworks/sub", "--no_use_public_ips"]
    more += ["--experiments=shuffle_mode=service", "--dataflow_service_options=enable_prime"]
    worker = Worker(folder / "worker", env)
    with serving(FakeDataflow(launched=worker.execute)) as fake:
        done = dfpipe(*words(folder, fake, SINK, UNTIL, *more), cwd=folder, env=env)
        [job] = fake.jobs.values()
        yield Submission(done, job, folder, worker, fake, bigquery_emulator)


def test_the_command_waits_for_the_job_and_tells_what_it_found(submission: Submission) -> None:
    assert submission.done.returncode == 0, submission.done.stderr
    found = expected().run
    assert f"{found['tweets']:,} posts, {found['words']:,} words" in submission.done.stdout


def test_workers_write_what_the_specification_says(submission: Submission) -> None:
    assert submission.job.state == "DONE", submission.done.stderr
    assert bigquery_tables(submission.bigquery, "dfpipe-test.submission")[0] == expected()


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
    assert {Path(name).suffix for name in ours} == {".py"}
    assert ours >= {f"dfpipe/slices/{name}.py" for name in ("reader", "folders", "bucket")}


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


def test_a_worker_has_the_steps_and_nothing_of_the_other_packages(submission: Submission) -> None:
    found = submission.worker.found["words-1"]
    assert found["steps"] == sorted(steps())
    assert found["steps"]
    assert found["modules"] == []


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
    assert outer >= {"Stories", "Rows", "WriteResults"}
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
    done = dfpipe(
        *words(tmp_path, silent, SINK, UNTIL, "--dry_run=True", "--job_name=words-2"), cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "the job words-2 can be submitted; no job was started\n"
    assert list((tmp_path / "staging").iterdir()) == []


def test_a_job_that_fails_ends_the_command_with_its_error(tmp_path: Path) -> None:
    def fail(job: Job) -> None:
        job.states[:], job.error = (
            ["RUNNING", "FAILED"],
            "Workflow failed.\nThe store does not answer.",
        )

    url = f"sqlite:///{tmp_path}/posts.db"
    datastore.connect(url).close()
    with serving(FakeDataflow(launched=fail)) as fake:
        more = [f"--store={url}", UNTIL]
        done = dfpipe(*words(tmp_path, fake, f"duckdb:///{tmp_path}/r.duckdb", *more), cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "dfpipe: the run failed: The store does not answer."


def test_a_job_whose_name_another_has_is_not_started(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/posts.db"
    datastore.connect(url).close()
    with serving(FakeDataflow()) as fake:
        fake.add("words-3", {}, {}, "RUNNING")
        more = [f"--store={url}", UNTIL, "--job_name=words-3"]
        done = dfpipe(*words(tmp_path, fake, f"duckdb:///{tmp_path}/r.duckdb", *more), cwd=tmp_path)
        assert fake.names() == ["words-3"]
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert re.fullmatch("dfpipe: the run failed: There is already .* words-3 .* --job_name.", last)


@dataclass(frozen=True)
class Template:
    """A template's file, and the service that launches it."""

    file: Path
    runner: ClassicTemplateRunner
    bigquery: str

    def launch(self, name: str, **parameters: str) -> JobState:
        """Launch a job and wait for its end."""
        spec = JobSpec(
            name=name,
            kind="classic-template",
            slot=END,
            template=str(self.file),
            parameters=parameters,
        )
        job_id = self.runner.launch(spec).job_id
        wait_until(lambda: self.runner.state(name, job_id).state.is_over, LONG)
        return self.runner.state(name, job_id).state

    def options(self) -> dict[str, Any]:
        environment = json.loads(self.file.read_text())["environment"]
        found: dict[str, Any] = environment["sdkPipelineOptions"]["options"]
        return found


@pytest.fixture(scope="module")
def template(submission: Submission) -> Template:
    fake, folder, env = submission.fake, submission.folder, submission.worker.env
    before = list(fake.jobs)
    file = folder / "analysis.json"
    more = [f"--template_location={file}", "--days=3", f"--staging_location={folder}"]
    done = dfpipe(*words(folder, fake, ELSEWHERE, *more), cwd=folder, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"wrote the template {file}; no job was started\n"
    assert list(fake.jobs) == before
    settings = DataflowSettings(project=PROJECT, region=REGION, endpoint=fake.url)
    return Template(file, ClassicTemplateRunner(DataflowApi(settings)), submission.bigquery)


def test_the_template_names_what_it_leaves_open(template: Template) -> None:
    options = template.options()
    # Dataflow takes no parameter that is not among the options; those without a value are open.
    assert {name: options[name] for name in ("source", "sink", "until", "days")} == {
        "source": None,
        "sink": None,
        "until": None,
        "days": None,
    }
    assert options["top_words"] == "500"


def test_a_job_has_the_window_and_the_place_of_its_launch(template: Template) -> None:
    end = END - timedelta(days=1)
    sink = "bigquery://dfpipe-test/elsewhere"
    assert template.launch("second", until=end.isoformat(), sink=sink) is JobState.SUCCEEDED
    found, _ = bigquery_tables(template.bigquery, "dfpipe-test.elsewhere", end)
    # The length of the window is the template's.
    assert found == expected(end, days=3)
