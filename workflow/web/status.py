"""The status of workflows: the tree of one, and the list of all, as JSON values."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from google.api_core.exceptions import InvalidArgument
from google.cloud.datastore.query import PropertyFilter

from dfpipe.datastore import Query, count
from workflow import registry, values
from workflow.engine import large, model
from workflow.engine.engine import Engine, current
from workflow.engine.unit import Unit
from workflow.errors import PipelineStatusError, UnknownPipelineError
from workflow.records import LONGEST_ID, RUN, STATES, Params, Record, Slot, is_id
from workflow.web import describing
from workflow.web.describing import LONGEST_VALUE, Tree

LOOKUP = 500  # entities
MOST_ROOTS = 500  # in one list
MOST_CHILDREN = 500  # in one page of a stage's
MOST_ANCESTORS = 20
MOST_STAGES = 100  # asked for by their ids
MOST_ARGUMENTS = 100  # of one stage, in a page


def get_pipeline_names() -> list[str]:
    """The paths of the classes of stages that this process has, in order."""
    return registry.names()


def get_root_list(
    class_path: str | None = None, cursor: str | None = None, count: int = 50
) -> Tree:
    """The workflows, the newest first: {"pipelines": [...], "cursor": ...}.

    There is a cursor only if there are more workflows; give it for the next list. Each pipeline is
    as in `get_status_tree`, with its `pipelineId`, and no more than 100 of its arguments and
    children. Raises PipelineStatusError for a cursor of another list and for a count that is not 1
    to 500.
    """
    if not 1 <= count <= MOST_ROOTS:
        raise PipelineStatusError(f"the count is {count}: give 1 to {MOST_ROOTS}")
    return _Reader(current()).roots(class_path, cursor, count)


def get_status_tree(root_pipeline_id: str) -> Tree:
    """A workflow with all its stages and slots; the id may be that of any of them.

    The root of an aborted workflow has as `failure` the stage that was the reason: its pipelineId,
    classPath and message. Raises UnknownPipelineError for an unknown id.
    """
    reader = _Reader(current())
    root = reader.root_of(reader.record(root_pipeline_id))
    records = {root.id: root}
    wave = [root]
    while wave:
        wave = reader.records([name for record in wave for name in record.child_ids()])
        records.update({record.id: record for record in wave})
    return reader.tree(root, records)


def get_stage(pipeline_id: str, first: int = 0, count: int = 100) -> Tree:
    """One stage with a page of its children, however large the workflow is.

    `pipelines` has the stage, as in get_status_tree but with no more than 100 arguments and with
    the ids of these children alone, and these children in short: see get_stages. `ancestors` are
    the 20 nearest stages above it, the topmost first, in short, with `pipelineId`. `places` says
    which of its parent's children each of these ancestors and the stage itself is, from 0.
    """
    if not 0 <= count <= MOST_CHILDREN:
        raise PipelineStatusError(f"the count is {count}: give 0 to {MOST_CHILDREN}")
    reader = _Reader(current())
    record = reader.record(pipeline_id)
    root = reader.root_of(record)
    ids = record.child_ids(first, first + count)
    tree = reader.tree(root, {record.id: record}, MOST_ARGUMENTS)
    tree["pipelines"][record.id]["children"] = ids
    tree["pipelines"].update(reader.briefs(root, reader.records(ids)))
    ancestors = reader.ancestors(record)
    briefs = reader.briefs(root, ancestors)
    tree["ancestors"] = [{"pipelineId": each.id, **briefs[each.id]} for each in ancestors]
    tree["places"] = _places([*ancestors, record])
    return tree


def _places(line: list[Record]) -> dict[str, int]:
    places = {}
    for parent, child in pairwise(line):
        siblings = parent.child_ids()
        if child.id in siblings:  # it may be of an earlier attempt
            places[child.id] = siblings.index(child.id)
    return places


def get_stages(pipeline_ids: list[str]) -> Tree:
    """Stages of one workflow in short: {"pipelines": {id: ...}}.

    That is without arguments, outputs and the ids of children. Stages that are not stored yet, or
    not any more, are left out.
    """
    if len(pipeline_ids) > MOST_STAGES:
        raise PipelineStatusError(f"{len(pipeline_ids)} stages: ask for {MOST_STAGES} at a time")
    reader = _Reader(current())
    records = reader.records([name for name in pipeline_ids if is_id(name)])
    root = reader.root_of(records[0]) if records else None
    return {"pipelines": reader.briefs(root, records)}


def get_counts(root_pipeline_id: str) -> Tree:
    """How many stages of a workflow are in each state: {"counts": {"done": 3, ...}}.

    States that no stage is in are left out; `finalizing` counts as `run`. The id may be that of any
    stage. Raises UnknownPipelineError.
    """
    reader = _Reader(current())
    root = reader.record(root_pipeline_id).root
    counts = {state: count(reader.client, reader.in_state(root, state)) for state in STATES}
    return {"counts": {state: number for state, number in counts.items() if number}}


def get_stages_in(
    root_pipeline_id: str, state: str, cursor: str | None = None, count: int = 50
) -> Tree:
    """The stages of a workflow that are in a state, in no order: {"pipelines": {id: ...}}.

    They are in short, as in get_stages; `cursor` is there if there may be more.
    """
    if state not in STATES:
        raise PipelineStatusError(f"the state is {state!r}: give {', '.join(STATES)}")
    if not 1 <= count <= MOST_STAGES:
        raise PipelineStatusError(f"the count is {count}: give 1 to {MOST_STAGES}")
    reader = _Reader(current())
    root = reader.root_of(reader.record(root_pipeline_id))
    start = cursor.encode() if cursor else None
    try:
        found = reader.in_state(root.id, state).fetch(limit=count, start_cursor=start)
        records = [model.pipeline_of(entity) for entity in found]
    except (InvalidArgument, ValueError) as error:  # as the two clients say it
        raise PipelineStatusError("no such cursor: leave it out to begin") from error
    answer: Tree = {"pipelines": reader.briefs(root, records)}
    token = found.next_page_token
    if token and len(records) == count:
        answer["cursor"] = token.decode() if isinstance(token, bytes) else token
    return answer


class _Reader:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.client = engine.client

    def record(self, pipeline_id: str) -> Record:
        found = self.engine.record(pipeline_id)
        if found is None:
            shown = pipeline_id if len(pipeline_id) <= 100 else f"{pipeline_id[:97]}..."
            raise UnknownPipelineError(f"there is no workflow with a stage {shown!r}")
        return found

    def root_of(self, record: Record) -> Record:
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

    def roots(self, class_path: str | None, cursor: str | None, count: int) -> Tree:
        order = "listed_class" if class_path else "listed"
        query = self.client.query(kind=model.PIPELINE, order=[order])
        first, last = (f"{class_path}/", f"{class_path}0") if class_path else ("0", ":")
        if not first <= (cursor or first) < last or len(f"{cursor}{last}") > LONGEST_ID:
            raise PipelineStatusError("no such class or cursor: leave the cursor out to begin")
        query.add_filter(filter=PropertyFilter(order, ">=", cursor or first))
        query.add_filter(filter=PropertyFilter(order, "<", last))
        found = list(query.fetch(limit=count + 1))
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
