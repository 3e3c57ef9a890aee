"""Stages as they are stored, and described as JSON values, many at a time."""

from collections.abc import Iterable, Iterator
from typing import Any

from google.cloud.datastore.query import PropertyFilter

from dfpipe.datastore import Query
from workflow import values
from workflow.engine import large, model
from workflow.engine.engine import Engine
from workflow.engine.unit import Unit
from workflow.errors import PipelineStatusError, UnknownPipelineError
from workflow.records import LONGEST_ID, RUN, Params, Record, Slot
from workflow.web import describing
from workflow.web.describing import LONGEST_VALUE, Tree

LOOKUP = 500  # entities
MOST_ANCESTORS = 20
MOST_ARGUMENTS = 100  # of one stage, in a page


class Reader:
    """Reads the stages of workflows, and describes them as JSON values."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.client = engine.client

    def record(self, pipeline_id: str) -> Record:
        """A stage. Raises UnknownPipelineError."""
        found = self.engine.record(pipeline_id)
        if found is None:
            shown = pipeline_id if len(pipeline_id) <= 100 else f"{pipeline_id[:97]}..."
            raise UnknownPipelineError(f"there is no workflow with a stage {shown!r}")
        return found

    def root_of(self, record: Record) -> Record:
        """The root of the workflow of a stage."""
        return record if record.is_root else self.record(record.root)

    def ancestors(self, record: Record) -> list[Record]:
        """The nearest of those above a stage, the topmost first."""
        found: list[Record] = []
        while record.parent and len(found) < MOST_ANCESTORS:
            record = self.record(record.parent)
            found.insert(0, record)
        return found

    def records(self, names: list[str]) -> list[Record]:
        """Those of the stages that are stored, in that order."""
        return [model.pipeline_of(entity) for entity in self._entities(model.PIPELINE, names)]

    def in_state(self, root: str, state: str) -> Query:
        """The query for the stages of a workflow that are in a state."""
        query: Query = self.client.query(kind=model.PIPELINE)
        query.add_filter(filter=PropertyFilter("state", "=", model.state_key(root, state)))
        return query

    def _entities(self, kind: str, names: Iterable[str]) -> Iterator[Any]:
        keys = [self.client.key(kind, name) for name in names]
        for at in range(0, len(keys), LOOKUP):
            found = {e.key.name: e for e in large.lookup(self.client, keys[at : at + LOOKUP])}
            yield from (found[k.name] for k in keys[at : at + LOOKUP] if k.name in found)

    def _slots(self, keys: Iterable[str]) -> dict[str, Slot]:
        return {e.key.name: model.slot_of(e) for e in self._entities(model.SLOT, keys)}

    def listed(self, order: str, prefix: str | None, cursor: str | None = None) -> Query:
        """The query for the workflows of a class or in a state, from a cursor on, newest first."""
        query: Query = self.client.query(kind=model.PIPELINE, order=[order])
        first, last = (f"{prefix}/", f"{prefix}0") if prefix else ("0", ":")
        if not first <= (cursor or first) < last or len(f"{cursor}{last}") > LONGEST_ID:
            raise PipelineStatusError("no such class or cursor: leave the cursor out to begin")
        query.add_filter(filter=PropertyFilter(order, ">=", cursor or first))
        query.add_filter(filter=PropertyFilter(order, "<", last))
        return query

    def roots(self, order: str, prefix: str | None, cursor: str | None, count: int) -> Tree:
        """One page of the list of workflows: see status.get_root_list."""
        found = list(self.listed(order, prefix, cursor).fetch(limit=count + 1))
        records = [model.pipeline_of(entity) for entity in found[:count]]
        told = self.briefs(None, records)
        for record in records:
            told[record.id] |= describing.details(record, self._params(record), MOST_ARGUMENTS)
        answer: Tree = {"pipelines": [{"pipelineId": r.id, **told[r.id]} for r in records]}
        if len(found) > count:
            answer["cursor"] = found[count][order]
        return answer

    def tree(
        self, root: Record, records: dict[str, Record], most_arguments: int | None = None
    ) -> Tree:
        """Stages of a workflow with their arguments, outputs and slots: see status.get_stage."""
        details = {
            name: describing.details(record, self._params(record), most_arguments)
            for name, record in records.items()
        }
        keys = sorted({key for each in details.values() for key in describing.slots_of(each)})
        slots = self._slots(keys)
        pipelines = self._all(root, list(records.values()), slots)
        for name, told in pipelines.items():
            told.update(details[name])
        # An output that a stage leaves to the last one that it yields is in both: the later counts.
        fillers = {root.stem: root.id}
        fillers |= {key: name for name, each in details.items() for key in each["outputs"].values()}
        return {
            "rootPipelineId": root.id,
            "slots": {key: self._slot(key, slots.get(key), fillers) for key in keys},
            "pipelines": pipelines,
        }

    def briefs(self, root: Record | None, records: list[Record]) -> dict[str, Tree]:
        """Stages in short: without their arguments, outputs and values."""
        # Those that run and whose default output is filled are being finalized.
        running = [record for record in records if record.status == RUN]
        slots = self._slots(self._params(record).output_slots["default"] for record in running)
        return self._all(root, records, slots)

    def _all(
        self, root: Record | None, records: list[Record], slots: dict[str, Slot]
    ) -> dict[str, Tree]:
        said = {e.key.name: e for e in self._entities(model.STATUS, [r.stem for r in records])}
        failed = {r.id: r for r in self.records([r.failed for r in records if r.failed])}
        return {
            record.id: {
                **describing.about(record, self._params(record), slots),
                **describing.abort_message(root or record, record),
                **describing.failure(record, failed.get(record.failed or "")),
                **describing.said(said.get(record.stem)),
            }
            for record in records
        }

    def _params(self, record: Record) -> Params:
        return Unit(self.client, self.engine.service, 0).params(record)

    def _slot(self, key: str, slot: Slot | None, fillers: dict[str, str]) -> Tree:
        if slot is None or slot.value is None:
            stem = key.rpartition("/")[0]
            return {
                "status": "waiting",
                "fillerPipelineId": fillers.get(key) or fillers.get(stem, stem),
            }
        return {
            "status": "filled",
            "fillTimeMs": (slot.fill_time or 0) // 1000,
            "value": self._value(slot.value),
            "fillerPipelineId": slot.filler,
        }

    def _value(self, text: str) -> Any:
        if len(text) > LONGEST_VALUE:
            return f"{text[:LONGEST_VALUE]}..."
        if text.startswith("@"):
            return f"{large.read(self.client, text)[:LONGEST_VALUE]}..."
        return values.loads(text)
