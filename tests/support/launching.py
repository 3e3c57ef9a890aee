"""A launcher over a store and a fake Dataflow, whose tasks are delivered by the test."""

import random
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import taskqueue
import workflow
from launcher.app import bind
from launcher.chains import context
from launcher.chains.chains import Chain, Step
from launcher.chains.context import LOOK_URL, START_URL, Context
from launcher.chains.executions import Executions, look_at
from launcher.chains.records import ExecutionRecord, JobRecord
from launcher.chains.stages import start_workflow
from launcher.jobs import JobSpec, JobStatus, Runner
from launcher.jobs.runners import runners_of
from launcher.settings import DataflowSettings, LauncherSettings
from service.auth import AuthSettings
from taskqueue.storage.record import StoredTask
from tests.support.fake_dataflow import PROJECT, REGION, FakeDataflow
from tests.support.processes import ROOT
from tests.support.taskqueues import Clock, make_service
from tests.support.workflow_faults import Deliveries, MortalClient
from workflow.engine.engine import current

TOKEN = "token-of-the-launcher-tests"
CHAINS = """
chains:
- name: first
  steps:
  - {name: one, kind: flex-template, template: "gs://fake/one"}
- name: second
  steps:
  - {name: one, kind: check}
"""


def settings_in(folder: Path, **changes: Any) -> LauncherSettings:
    """Settings of a launcher whose files are in a folder, with two chains that need no files."""
    (folder / "chains.yaml").write_text(CHAINS)
    given = {
        "store": f"sqlite:///{folder}/store.db",
        "queue_yaml": str(ROOT / "queue.yaml"),
        "chains_yaml": str(folder / "chains.yaml"),
        "jobs_folder": str(folder / "jobs"),
        "auth": AuthSettings(token=TOKEN, page_access="loopback"),
        "dataflow": DataflowSettings(project=PROJECT, region=REGION),
    }
    return LauncherSettings(**{**given, **changes})


def step(name: str, *needs: str, **fields: Any) -> Step:
    """A step of a chain, on the fake."""
    return Step(
        name=name, kind="flex-template", template="gs://fake/spec.json", needs=needs, **fields
    )


class MortalRunner:
    """A runner whose process may be killed before and after each call."""

    def __init__(self, runner: Runner, live: Any) -> None:
        self._runner, self._live = runner, live

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._runner, name)

        def call(*args: Any) -> Any:
            self._live()
            found = method(*args)
            self._live()
            return found

        return call


class TaskDeliveries(Deliveries):
    """Delivers the launcher's own tasks too."""

    def _callback(self, task: StoredTask) -> int:
        assert task.request is not None
        kwargs = dict(parse_qsl(task.payload.decode(), keep_blank_values=True))
        if urlsplit(task.request.url).path == START_URL:
            execution = context.current().records.execution(kwargs["execution"])
            if (
                execution is not None
                and not execution.is_over
                and str(execution.attempt) == kwargs["attempt"]
            ):
                start_workflow(execution)
            return 200
        if urlsplit(task.request.url).path == LOOK_URL:
            look_at(context.current(), kwargs["execution"])
            return 200
        stage = current().stage(kwargs.pop("pipeline_id"), resolve_outputs=False)
        if stage is not None:
            stage.callback(**kwargs)
        return 200


class Launcher:
    """A launcher whose process may be killed at any of its operations."""

    def __init__(
        self,
        client: Any,
        fake: FakeDataflow,
        folder: Path,
        *,
        seed: int = 7,
        again: float = 0.0,
        runners: Mapping[str, Runner] | None = None,
        **kwargs: Any,
    ) -> None:
        self.fake = fake
        self.rng = random.Random(seed)
        self.kill_rate = 0.0
        self.clock = Clock()
        dataflow = DataflowSettings(project=PROJECT, region=REGION, endpoint=fake.url)
        given = {"jobs_folder": str(folder / "jobs"), "dataflow": dataflow}
        self.settings = LauncherSettings(**(given | kwargs))
        service = make_service(MortalClient(client, self.is_killed), self.clock)
        found = runners_of(self.settings) if runners is None else runners
        mortal = {kind: MortalRunner(runner, self.live) for kind, runner in found.items()}
        self.context = bind(Context(self.settings, service, mortal))
        self.records = self.context.records
        self.executions = Executions(self.context)
        self.deliveries = TaskDeliveries(current(), self.clock, self.rng, again)

    def is_killed(self) -> bool:
        return self.kill_rate > 0 and self.rng.random() < self.kill_rate

    def live(self) -> None:
        self.context.service.client._live()

    def start(self, *steps: Step, slot: datetime | None = None) -> ExecutionRecord:
        """Start a chain of steps for a slot, by default the clock's time."""
        return self.executions.start(
            Chain.model_construct(name="chain", steps=steps),
            slot or self.clock().replace(microsecond=0),
        )

    def run(self, *steps: Step) -> ExecutionRecord:
        """Run a chain to its end."""
        started = self.start(*steps)
        self.deliveries.run()
        return self.now(started)

    def now(self, execution: ExecutionRecord) -> ExecutionRecord:
        found = self.records.execution(execution.id)
        assert found is not None
        return found

    def jobs(self, execution: ExecutionRecord) -> dict[str, JobRecord]:
        return {job.step: job for job in self.records.jobs(execution.id)}

    def states(self, execution: ExecutionRecord) -> dict[str, str]:
        return {name: job.state for name, job in self.jobs(execution).items()}


class ScriptedRunner:
    """A runner that does as a list of functions says, one for each launch."""

    def __init__(self, *launches: Any) -> None:
        self.launches = list(launches)
        self.specs: list[JobSpec] = []

    def find(self, spec: JobSpec) -> JobStatus | None:
        return None

    def launch(self, spec: JobSpec) -> JobStatus:
        self.specs.append(spec)
        found = self.launches.pop(0)
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, JobStatus)
        return found

    def log_link(self, spec: JobSpec, job_id: str) -> str:
        return ""


def unbind() -> None:
    """Forget the launcher that the process is bound to."""
    taskqueue.bind(None)
    workflow.bind(None)
    context.bind(None)
