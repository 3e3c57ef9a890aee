"""How workflows stand: the tree of one, and the list of all, as values for JSON."""

from collections.abc import Iterable, Iterator
from typing import Any

from google.cloud.datastore.query import PropertyFilter

from workflow import registry, values
from workflow.engine import large, model
from workflow.engine.engine import Engine, current
from workflow.engine.model import ABORTED, DONE, RUN, WAITING, Params, Record, Slot
from workflow.engine.unit import Unit
from workflow.errors import PipelineStatusError, UnknownPipelineError
from workflow.pipeline import SECRET

LOOKUP = 500  # entities
MOST_ROOTS = 500  # in one list
MOST_CHILDREN = 500  # in one page of a stage's
MOST_ANCESTORS = 20
MOST_STAGES = 100  # asked for by their ids
MOST_ARGUMENTS = 100  # of one stage, in a page
LONGEST_VALUE = 2_000  # characters of a value in a tree

Tree = dict[str, Any]


def get_pipeline_names() -> list[str]:
    """The paths of the classes of stages that this process has, in order."""
    return registry.names()


def get_root_list(
    class_path: str | None = None, cursor: str | None = None, count: int = 50
) -> Tree:
    """The workflows, the newest first: {"pipelines": [...], "cursor": ...}.

    The cursor is there only where there are more; it is given for the next list. Each pipeline is
    as in `get_status_tree`, with its `pipelineId`, and no more than 100 of its arguments and
    children. Raises PipelineStatusError for a cursor that is none of that list and for a count that
    is not 1 to 500.
    """
    if not 1 <= count <= MOST_ROOTS:
        raise PipelineStatusError(f"the count is {count}: give 1 to {MOST_ROOTS}")
    return _Reader(current()).roots(class_path, cursor, count)


def get_status_tree(root_pipeline_id: str) -> Tree:
    """A workflow with all its stages and slots; the id may be that of any of them.

    Raises UnknownPipelineError where there is none.
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
    the ids of these children alone, and what is known of these children in short: see get_stages.
    `ancestors` are the 20 nearest stages above it, the topmost first, in short, with `pipelineId`.
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
    return tree


def get_stages(pipeline_ids: list[str]) -> Tree:
    """How stages of one workflow stand, in short: {"pipelines": {id: ...}}.

    That is without arguments, outputs and the ids of children. Stages that are not made yet, or
    not any more, are left out.
    """
    if len(pipeline_ids) > MOST_STAGES:
        raise PipelineStatusError(f"{len(pipeline_ids)} stages: ask for {MOST_STAGES} at a time")
    reader = _Reader(current())
    records = reader.records([name for name in pipeline_ids if model.is_id(name)])
    root = reader.root_of(records[0]) if records else None
    return {"pipelines": reader.briefs(root, records)}


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
        """The stages of those ids that are made already, in that order."""
        return [model.pipeline_of(entity) for entity in self._entities(model.PIPELINE, names)]

    def _entities(self, kind: str, names: Iterable[str]) -> Iterator[Any]:
        keys = [self.client.key(kind, name) for name in names]
        for at in range(0, len(keys), LOOKUP):
            found = {e.key.name: e for e in large.lookup(self.client, keys[at : at + LOOKUP])}
            yield from (found[k.name] for k in keys[at : at + LOOKUP] if k.name in found)

    def roots(self, class_path: str | None, cursor: str | None, count: int) -> Tree:
        order = "listed_class" if class_path else "listed"
        query = self.client.query(kind=model.PIPELINE, order=[order])
        first, last = (f"{class_path}/", f"{class_path}0") if class_path else ("0", ":")
        if not first <= (cursor or first) < last or len(f"{cursor}{last}") > model.LONGEST_ID:
            raise PipelineStatusError("no such class or cursor: leave the cursor out to begin")
        query.add_filter(filter=PropertyFilter(order, ">=", cursor or first))
        query.add_filter(filter=PropertyFilter(order, "<", last))
        found = list(query.fetch(limit=count + 1))
        records = [model.pipeline_of(entity) for entity in found[:count]]
        params = {record.id: self._params(record) for record in records}
        about = self.briefs(None, records)
        for record in records:
            about[record.id].update(_details(record, params[record.id], MOST_ARGUMENTS))
        answer: Tree = {"pipelines": [{"pipelineId": r.id, **about[r.id]} for r in records]}
        if len(found) > count:
            answer["cursor"] = found[count][order]
        return answer

    def tree(
        self, root: Record, records: dict[str, Record], most_arguments: int | None = None
    ) -> Tree:
        params = {name: self._params(record) for name, record in records.items()}
        details = {
            name: _details(record, params[name], most_arguments) for name, record in records.items()
        }
        keys = {key for each in details.values() for key in _slots_of(each)}
        slots = {e.key.name: model.slot_of(e) for e in self._entities(model.SLOT, sorted(keys))}
        pipelines = self._all(root, list(records.values()), params, slots)
        for name, about in pipelines.items():
            about.update(details[name])
        return {
            "rootPipelineId": root.id,
            "slots": {key: self._slot(slots.get(key)) for key in sorted(keys)},
            "pipelines": pipelines,
        }

    def briefs(self, root: Record | None, records: list[Record]) -> dict[str, Tree]:
        """What there is to say of stages without their values."""
        params = {record.id: self._params(record) for record in records}
        # Those that run and whose default output is filled are being finalized.
        keys = [params[r.id].output_slots["default"] for r in records if r.status == RUN]
        slots = {e.key.name: model.slot_of(e) for e in self._entities(model.SLOT, keys)}
        return self._all(root, records, params, slots)

    def _all(
        self,
        root: Record | None,
        records: list[Record],
        params: dict[str, Params],
        slots: dict[str, Slot],
    ) -> dict[str, Tree]:
        said = {e.key.name: e for e in self._entities(model.STATUS, [r.stem for r in records])}
        return {
            record.id: {
                **_about(record, params[record.id], slots),
                **_abort_message(root or record, record),
                **_said(said.get(record.stem)),
            }
            for record in records
        }

    def _params(self, record: Record) -> Params:
        return Unit(self.client, self.engine.service, 0).params(record)

    def _slot(self, slot: Slot | None) -> Tree:
        if slot is None or slot.value is None:
            return {"status": "waiting"}
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


def _slots_of(details: Tree) -> list[str]:
    given = [*details["args"], *details["kwargs"].values()]
    needed = [argument["slotKey"] for argument in given if argument["type"] == "slot"]
    return [*details["outputs"].values(), *needed, *details["afterSlotKeys"]]


def _argument(argument: dict[str, Any]) -> Tree:
    if argument["type"] == "slot":
        return {"type": "slot", "slotKey": argument["slot"]}
    text = values.dumps(argument["value"])
    if len(text) > LONGEST_VALUE:
        return {"type": "value", "value": f"{text[:LONGEST_VALUE]}..."}
    return argument


def _about(record: Record, params: Params, slots: dict[str, Slot]) -> Tree:
    about = {
        "classPath": record.class_path,
        "childCount": record.children,
        "queueName": params.queue_name,
        "currentAttempt": record.attempt + 1,
        "maxAttempts": params.max_attempts,
        "backoffSeconds": params.backoff_seconds,
        "backoffFactor": params.backoff_factor,
        "status": _status(record, params, slots),
        "isOver": record.is_over,
        "createdTimeMs": record.created // 1000,
    }
    for name, usec in (
        ("startTimeMs", record.started),
        ("endTimeMs", record.finalized),
        ("nextRetryTimeMs", record.next_retry if record.status == WAITING else None),
    ):
        if usec is not None:
            about[name] = usec // 1000
    if record.retry_message:
        about["lastRetryMessage"] = record.retry_message
    return about


def _details(record: Record, params: Params, most: int | None = None) -> Tree:
    """Arguments, outputs and children, of each the first so many."""
    shown = [(name, arg) for name, arg in params.kwargs.items() if not name.startswith(SECRET)]
    return {
        "args": [_argument(argument) for argument in params.args[:most]],
        "kwargs": {name: _argument(argument) for name, argument in shown[:most]},
        "argumentCount": len(params.args) + len(shown),
        "outputs": params.output_slots,
        "children": record.child_ids(0, most),
        "afterSlotKeys": params.after_all[:most],
    }


def _abort_message(root: Record, record: Record) -> Tree:
    """Why the workflow was aborted; a root tells it before all of it is."""
    is_told = record.status == ABORTED or record.is_root
    return {"abortMessage": root.abort_message} if root.abort_message and is_told else {}


def _status(record: Record, params: Params, slots: dict[str, Slot]) -> str:
    if record.status in (DONE, ABORTED):
        return record.status
    default = slots.get(params.output_slots["default"])
    if default is not None and default.is_filled:
        return "finalizing"
    if record.status == WAITING and record.next_retry is not None:
        return "retry"
    return record.status


def _said(entity: Any) -> Tree:
    if entity is None:
        return {}
    said = {
        "statusTimeMs": entity["time"] // 1000,
        "statusMessage": entity["message"],
        "statusConsoleUrl": entity["console_url"],
        "statusLinks": values.loads(entity["links"]),
    }
    return {name: value for name, value in said.items() if value}
