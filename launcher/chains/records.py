"""What is stored of chains and their jobs, and reading it: for the launcher and for its page."""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any

from google.cloud.datastore import Entity
from google.cloud.datastore.query import PropertyFilter

from dfpipe.datastore import Store
from launcher.chains.chains import Step
from launcher.jobs import JobState

CHAIN = "LauncherChain"
EXECUTION = "LauncherRun"
JOB = "LauncherJob"
LONGEST_ERROR = 1_000  # characters
_EXECUTION_ID = re.compile(r"[a-z0-9-]{1,100}")

# The states of an execution.
WAITING, RUNNING, SUCCEEDED = "waiting", "running", "succeeded"
FAILED, CANCELLED, SKIPPED = "failed", "cancelled", "skipped"
OVER = frozenset({SUCCEEDED, FAILED, CANCELLED, SKIPPED})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionRecord:
    """A chain's execution for one slot; `id` is that of launcher.slots.

    `state` is one of waiting, running, succeeded, failed, cancelled and skipped. `attempt` counts
    from 1 and grows with each retry by a person. `is_stopped`: nothing more is launched. Times are
    aware and in UTC.
    """

    id: str
    chain: str
    slot: datetime
    state: str
    created: datetime
    started: datetime | None = None
    ended: datetime | None = None
    attempt: int = 1
    is_stopped: bool = False
    is_cancelled: bool = False
    error: str = ""
    steps: tuple[Step, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or will never begin."""
        return self.state in OVER

    @property
    def pipeline_id(self) -> str:
        """The id of the workflow that runs the execution."""
        return self.workflow_of(self.attempt)

    def workflow_of(self, attempt: int) -> str:
        """The id of the workflow of one of its attempts."""
        return f"{self.id}-{attempt}"

    def step(self, name: str) -> Step:
        """The step of a name. Raises KeyError."""
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """The job of a step of an execution; `id` is "EXECUTION/STEP".

    `state` is a value of JobState, or skipped where a step that it needs has not succeeded.
    `name` is the one that the runner knows it by, `job_id` the runner's own. `tries` counts the
    calls that were to launch this attempt, and nobody else may launch it before `claimed_until`.
    `not_before` is when the attempt may be launched, `deadline` when it has had its time. `warning`
    says why a job that runs cannot be watched or cancelled now; `error` why it has failed.
    """

    id: str
    execution: str
    step: str
    kind: str
    state: str = JobState.WAITING.value
    attempt: int = 1
    # Attempts up to this one do not count as retries: a person has retried the execution since.
    base: int = 0
    name: str = ""
    job_id: str = ""
    tries: int = 0
    claimed_until: datetime | None = None
    not_before: datetime | None = None
    deadline: datetime | None = None
    created: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    error: str = ""
    warning: str = ""
    is_late: bool = False
    log_link: str = ""
    pipeline_id: str = ""
    outputs: dict[str, object] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or will never start."""
        return self.state == SKIPPED or JobState(self.state).is_over


def has_become(state: str) -> str:
    """The state of a job in a sentence.

    >>> has_become("failed"), has_become("skipped")
    ('has failed', 'was skipped')
    """
    return f"{'has' if state in (FAILED, SUCCEEDED) else 'was'} {state}"


# Fields whose property in the store has another name, from when an execution was called a run.
_STORED_AS = {"execution": "run"}
# The properties that queries filter or order by.
_INDEXED = {
    EXECUTION: {"chain", "state", "created", "slot"},
    JOB: {"run", "name", "job_id", "state"},
}


class Records:
    """The records of one store. What changes them together is in launcher.chains.executions."""

    def __init__(self, client: Store) -> None:
        self.client = client

    # For the page too

    def execution(self, execution_id: str) -> ExecutionRecord | None:
        """The execution with an id; None if there is none."""
        if not _EXECUTION_ID.fullmatch(execution_id):
            return None
        entity = self.client.get(self.client.key(EXECUTION, execution_id))
        return None if entity is None else _execution_of(entity)

    def executions(self, limit: int = 50) -> list[ExecutionRecord]:
        """The executions that were made last, newest first."""
        query = self.client.query(kind=EXECUTION, order=["-created"])
        return [_execution_of(entity) for entity in query.fetch(limit=limit)]

    def jobs(self, execution_id: str) -> list[JobRecord]:
        """The jobs of an execution, in no order, of the steps that were reached."""
        return list(self._jobs("run", execution_id))

    # For the launcher

    def job(self, job_id: str) -> JobRecord | None:
        """The job of an id "EXECUTION/STEP"."""
        entity = self.client.get(self.client.key(JOB, job_id))
        return None if entity is None else _job_of(entity)

    def known_as(self, name: str) -> JobRecord | None:
        """The job whose attempt has this name at its runner."""
        return next(self._jobs("name", name), None)

    def open_executions(self) -> list[ExecutionRecord]:
        """The executions that wait or are running."""
        found: list[ExecutionRecord] = []
        for state in (WAITING, RUNNING):
            query = self.client.query(kind=EXECUTION)
            query.add_filter(filter=PropertyFilter("state", "=", state))
            found += [_execution_of(entity) for entity in query.fetch()]
        return found

    def made_before(self, moment: datetime) -> Iterator[ExecutionRecord]:
        """The executions that were made before a time, oldest first."""
        query = self.client.query(kind=EXECUTION, order=["created"])
        query.add_filter(filter=PropertyFilter("created", "<", moment))
        return (_execution_of(entity) for entity in query.fetch())

    def delete(self, execution: ExecutionRecord) -> None:
        """Delete an execution and its jobs."""
        jobs = [self.client.key(JOB, f"{execution.id}/{step.name}") for step in execution.steps]
        self.client.delete_multi([*jobs, self.client.key(EXECUTION, execution.id)])

    def put_execution(self, execution: ExecutionRecord) -> None:
        """Store an execution, its steps as JSON: no query reads them."""
        values = asdict(execution)
        values["steps"] = json.dumps([step.model_dump() for step in execution.steps])
        self._put(EXECUTION, execution.id, values)

    def put_job(self, job: JobRecord) -> None:
        """Store a job; long errors and warnings are cut."""
        values = asdict(job)
        values["outputs"] = json.dumps(job.outputs)
        values |= {"error": job.error[:LONGEST_ERROR], "warning": job.warning[:LONGEST_ERROR]}
        self._put(JOB, job.id, values)

    def place(self, chain: str) -> tuple[str, tuple[str, ...]]:
        """The execution that has its chain for itself, and those that wait for it, by their ids."""
        entity = self.client.get(self.client.key(CHAIN, chain))
        return ("", ()) if entity is None else (entity["current"], tuple(entity["waiting"]))

    def put_place(self, chain: str, current: str, waiting: tuple[str, ...]) -> None:
        """Store which execution has the chain for itself, and which wait for it."""
        names = ("current", "waiting")
        entity = Entity(self.client.key(CHAIN, chain), exclude_from_indexes=names)
        entity.update(current=current, waiting=list(waiting))
        self.client.put(entity)

    def _put(self, kind: str, name: str, values: dict[str, object]) -> None:
        del values["id"]
        values = {_STORED_AS.get(name, name): value for name, value in values.items()}
        plain = tuple(set(values) - _INDEXED[kind])
        entity = Entity(self.client.key(kind, name), exclude_from_indexes=plain)
        entity.update(values)
        self.client.put(entity)

    def _jobs(self, name: str, value: str) -> Iterator[JobRecord]:
        query = self.client.query(kind=JOB)
        query.add_filter(filter=PropertyFilter(name, "=", value))
        return (_job_of(entity) for entity in query.fetch())


def _execution_of(entity: Any) -> ExecutionRecord:
    values = _values(entity, ExecutionRecord)
    values["steps"] = tuple(step_of(each) for each in json.loads(values["steps"]))
    return ExecutionRecord(id=entity.key.name, **values)


def step_of(values: dict[str, Any]) -> Step:
    """A step from its stored values, which were checked when chains.yaml was read."""
    values["time_limit"] = values.pop("limit", None) or values.get("time_limit", 0.0)
    lists = {name: tuple(values[name]) for name in ("command", "needs")}
    return Step.model_construct(**{**values, **lists})


def _job_of(entity: Any) -> JobRecord:
    values = _values(entity, JobRecord)
    values["outputs"] = json.loads(values["outputs"])
    return JobRecord(id=entity.key.name, **values)


def _values(entity: Any, kind: type) -> dict[str, Any]:
    stored = {each.name: _STORED_AS.get(each.name, each.name) for each in fields(kind)}
    return {name: entity[own] for name, own in stored.items() if own in entity}
