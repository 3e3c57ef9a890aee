"""Slots, barriers and the steps of stages as they are stored, on both stores."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.workflow_running import Queues
from workflow.engine import lifecycle, model
from workflow.engine.lifecycle import Child, Finalizes
from workflow.engine.unit import Unit
from workflow.records import FINALIZE, START, Barrier, Params, Record, Slot, barrier_id

ROOT = "root"


def never(record: Record) -> bool:
    return False


def always(record: Record) -> bool:
    return True


def params(*slots: str, **kwargs: Any) -> Params:
    """Of a stage that takes these slots."""
    given: dict[str, Any] = {
        "args": [{"type": "slot", "slot": key} for key in slots],
        "kwargs": {},
        "after_all": [],
        "output_slots": {"default": "root/default"},
        "queue_name": "default",
        "base_path": "/_ah/pipeline",
        "backoff_seconds": 15,
        "backoff_factor": 2,
        "max_attempts": 3,
        "task_retry": False,
        "target": None,
    }
    return Params(**{**given, **kwargs})


class Context:
    """The records of one workflow."""

    def __init__(self, queues: Queues) -> None:
        self.queues = queues
        self.finalizes: Finalizes = never
        self.make(ROOT, params())

    def do(self, step: Callable[[Unit], Any]) -> Any:
        """A transaction of its own, with what follows from it."""

        def whole(unit: Unit) -> Any:
            result = step(unit)
            lifecycle.settle(unit, self.finalizes)
            return result

        return self.queues.engine.transact_alone(whole)

    def make(self, name: str, given: Params) -> None:
        def step(unit: Unit) -> None:
            child = Child("some.Class", given)
            parent = None if name == ROOT else unit.pipeline(ROOT)
            lifecycle.begin(unit, lifecycle.new_pipeline(unit, name, child, "", parent))

        self.do(step)

    def fill(self, key: str, value: str = "1", filler: str = ROOT) -> None:
        def step(unit: Unit) -> None:
            record = unit.pipeline(filler)
            assert record is not None
            lifecycle.fill(unit, record, key, value)

        self.do(step)

    def change(self, name: str, step: Callable[[Unit, Record], Any]) -> Any:
        def whole(unit: Unit) -> Any:
            record = unit.pipeline(name)
            assert record is not None
            return step(unit, record)

        return self.do(whole)

    @property
    def unit(self) -> Unit:
        return Unit(self.queues.client, self.queues.engine.service, 0)

    def record(self, name: str = ROOT) -> Record:
        found = self.unit.pipeline(name)
        assert found is not None
        return found

    def slot(self, key: str) -> Slot:
        return self.unit.slot(key, ROOT)

    def barrier(self, name: str = ROOT, purpose: str = START) -> Barrier:
        found = self.unit.barrier(barrier_id(name, purpose))
        assert found is not None
        return found

    def tasks(self, name: str = ROOT) -> list[str]:
        """The handlers that tasks are there for, of a stage."""
        found = self.queues.engine.service.store.tasks("default", 1000)
        mine = [task for task in found if f"pipeline_id={name}&" in f"{task.payload.decode()}&"]
        return sorted(task.request.url.rpartition("/")[2] for task in mine)


@pytest.fixture
def context(queues: Queues) -> Context:
    return Context(queues)


# Start


def test_a_stage_without_slots_is_run(context: Context) -> None:
    assert context.tasks() == ["run"]
    assert context.unit.barrier(barrier_id(ROOT, START)) is None
    record = context.record()
    assert (record.status, record.attempt, record.children) == ("waiting", 0, 0)
    assert record.task is not None
    assert record.is_root


def test_a_stage_waits_for_its_slots(context: Context) -> None:
    context.make("child", params("a", "b", "a", after_all=["c", "b"]))
    barrier = context.barrier("child")
    assert json.loads(barrier.slots_json) == ["a", "b", "c"]
    assert (barrier.pipeline_id, barrier.purpose) == ("child", START)
    # It watches the last one alone.
    assert barrier.at == 2
    assert context.slot("c").waiting == [barrier.id]
    assert context.slot("a").waiting == context.slot("b").waiting == []
    assert context.tasks("child") == []


@pytest.mark.parametrize("order", ["abc", "acb", "bac", "bca", "cab", "cba"])
def test_a_barrier_fires_once_when_all_slots_are_filled(context: Context, order: str) -> None:
    context.make("child", params("a", "b", "c"))
    for at, key in enumerate(order, 1):
        assert context.tasks("child") == []
        assert not context.barrier("child").has_fired
        context.fill(key)
        context.fill(key, "2")
        assert context.barrier("child").has_fired == (at == 3)
    assert context.tasks("child") == ["run"]
    assert context.barrier("child").at == -1
    for key in order:
        context.fill(key, "3")
    assert context.tasks("child") == ["run"]


def test_a_stage_whose_slots_are_filled_already(context: Context) -> None:
    context.fill("a")
    context.fill("b")
    context.make("child", params("a", "b"))
    assert context.tasks("child") == ["run"]
    assert context.barrier("child").has_fired


def test_what_is_stored_of_a_slot(context: Context) -> None:
    assert not context.slot("a").is_filled
    assert context.queues.stored(model.SLOT) == []
    context.fill("a", '"x"')
    slot = context.slot("a")
    now = context.queues.engine.service.now()
    assert (slot.value, slot.filler, slot.fill_time) == ('"x"', ROOT, now)
    context.queues.clock.move(1)
    context.fill("a", '"y"')
    assert context.slot("a").value == '"y"'


def test_a_barrier_may_be_looked_at_again(context: Context) -> None:
    context.make("child", params("a", "b"))
    name = barrier_id("child", START)
    for _ in range(2):
        context.do(lambda unit: lifecycle.advance(unit, name, never))
        assert context.slot("b").waiting == [name]
    context.fill("b")
    context.fill("a")
    context.do(lambda unit: lifecycle.advance(unit, name, never))
    assert context.tasks("child") == ["run"]
    context.do(lambda unit: lifecycle.advance(unit, "unknown/start", never))


# Many


def test_many_wait_for_one_slot(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "PAGE_WAITING", 4)
    monkeypatch.setattr(lifecycle, "INLINE_WAITING", 2)
    names = [f"child{number}" for number in range(9)]
    for name in names:
        context.make(name, params("a"))
    slot = context.slot("a")
    assert (slot.pages, len(slot.waiting)) == (2, 1)
    pages = context.queues.stored(model.WAITING_PAGE)
    assert sorted(len(page["barriers"]) for page in pages) == [4, 4]
    context.fill("a")
    assert context.tasks() == ["output", "output", "output", "run"]
    # Whoever comes now does not wait.
    context.make("late", params("a"))
    assert context.tasks("late") == ["run"]
    context.fill("a", "2")
    assert len(context.tasks()) == 4


def test_one_waits_for_many_slots(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "MOST_LOOKS", 3)
    keys = [f"slot{number}" for number in range(8)]
    for key in keys[1:]:
        context.fill(key)
    context.make("child", params(*keys))
    # One transaction does not look at all of them.
    assert context.tasks("child") == ["advance"]
    assert context.barrier("child").at == 5
    assert lifecycle.first_open(context.queues.client, keys, 5) == 0
    name = barrier_id("child", START)
    context.do(lambda unit: lifecycle.advance(unit, name, never, 0))
    assert context.slot("slot0").waiting == [name]
    context.fill("slot0")
    assert context.tasks("child") == ["advance", "run"]
    assert lifecycle.first_open(context.queues.client, keys, 7) == -1


# The end


def run(unit: Unit, record: Record) -> None:
    record.status = "run"
    lifecycle.block(unit, record, FINALIZE, ["a", "b"])
    unit.change(record)


@pytest.mark.parametrize("finalizes", [never, always], ids=["nothing-to-call", "finalized"])
def test_the_end_of_a_stage(context: Context, finalizes: Finalizes) -> None:
    context.finalizes = finalizes
    context.change(ROOT, run)
    context.fill("a")
    assert context.record().status == "run"
    context.fill("b")
    record = context.record()
    assert context.barrier(purpose=FINALIZE).has_fired
    if finalizes is always:
        assert (record.status, record.is_over) == ("run", False)
        assert context.tasks() == ["finalized", "run"]
    else:
        assert (record.status, record.is_over) == ("done", True)
        assert context.tasks() == ["run"]


def test_a_barrier_that_fires_for_a_stage_that_is_aborted(context: Context) -> None:
    context.make("child", params("a"))
    context.change("child", lambda unit, record: lifecycle.abort(unit, record, never))
    context.fill("a")
    assert context.barrier("child").has_fired
    assert context.tasks("child") == []
    assert context.record("child").status == "aborted"


@pytest.mark.parametrize("finalizes", [never, always], ids=["nothing-to-call", "finalized"])
def test_abort_of_one_stage(context: Context, finalizes: Finalizes) -> None:
    context.change(ROOT, lambda unit, record: lifecycle.abort(unit, record, finalizes))
    record = context.record()
    assert record.status == "aborted"
    assert record.is_over == (finalizes is never)
    assert ("finalized" in context.tasks()) == (finalizes is always)


def test_the_wish_to_abort(context: Context) -> None:
    def wish(unit: Unit, record: Record) -> bool:
        return lifecycle.request_abort(unit, record, "enough")

    assert context.change(ROOT, wish) is True
    record = context.record()
    assert (record.abort_requested, record.abort_message) == (True, "enough")
    assert record.status == "waiting"
    assert context.change(ROOT, wish) is False


def test_no_wish_to_abort_what_is_over(context: Context) -> None:
    context.change(ROOT, lambda unit, record: lifecycle.outputs_filled(unit, record, never))
    assert not context.change(ROOT, lambda u, r: lifecycle.request_abort(u, r, "enough"))


def test_failures(context: Context) -> None:
    def fail(unit: Unit, record: Record) -> bool:
        return lifecycle.failed(unit, record, f"attempt {record.attempt}", never)

    now = context.queues.engine.service.now()
    for attempt, seconds in [(1, 15), (2, 30)]:
        assert context.change(ROOT, fail) is True
        record = context.record()
        assert (record.status, record.attempt) == ("waiting", attempt)
        assert record.next_retry == now + seconds * 1_000_000
        assert record.retry_message == f"attempt {attempt - 1}"
    assert context.tasks() == ["run", "run", "run"]
    assert context.change(ROOT, fail) is False
    record = context.record()
    assert (record.status, record.attempt, record.abort_requested) == ("aborted", 2, True)
    assert record.abort_message == "Aborting after 3 attempts: attempt 2"


@pytest.mark.parametrize(
    ("seconds", "factor", "attempt", "wait"),
    [
        (15, 2, 0, 15),
        (15, 2, 3, 120),
        (0.5, 1.5, 2, 1.125),
        (0, 2, 2000, 0),
        (15, 0, 1, 0),
        (15, 2, 2000, 30 * 86_400),
        (15.0, 2.0, 2000, 30 * 86_400),
    ],
)
def test_how_long_a_stage_waits_after_a_failure(
    seconds: float, factor: float, attempt: int, wait: float
) -> None:
    given = params(backoff_seconds=seconds, backoff_factor=factor)
    assert lifecycle.seconds_to_retry(given, attempt) == wait


# Children


def test_children_are_made_once(context: Context) -> None:
    children = [Child("some.Class", params(*keys)) for keys in ([], ["a"], ["a", "b"])]

    def make(unit: Unit, record: Record) -> None:
        record.children = 3
        unit.change(record)
        lifecycle.make(unit, record, children, 0)

    for _ in range(2):
        context.change(ROOT, make)
    ids = context.record().child_ids()
    assert len(set(ids)) == 3
    assert [context.tasks(name) for name in ids] == [["run"], [], []]
    assert {context.record(name).parent for name in ids} == {ROOT}
    context.fill("a")
    assert [context.tasks(name) for name in ids] == [["run"], ["run"], []]


def test_the_ids_of_children() -> None:
    record = Record(id=ROOT, root=ROOT, parent="", class_path="a.B", params_json="{}", children=5)
    assert record.child_ids(2, 4) == record.child_ids()[2:4]
    assert record.child_ids(4, 99) == record.child_ids()[4:]
    again = Record(**{**vars(record), "attempt": 1})
    assert not set(again.child_ids()) & set(record.child_ids())


# Records


def test_a_record_is_read_as_it_was_written(context: Context) -> None:
    record = context.record()
    entity = model.to_entity(record, context.queues.client)
    assert vars(model.pipeline_of(entity)) == {
        name: value for name, value in vars(record).items() if name != "params"
    }
    assert entity["is_open"] is True
    assert Params.from_json(record.params_json) == params()


def test_newer_roots_come_first() -> None:
    assert model.newest_first(2_000_000) < model.newest_first(1_000_000)
