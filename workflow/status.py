"""How workflows stand: the tree of one, and the list of all, as values for JSON."""

from collections.abc import Iterable, Iterator
from typing import Any

from google.cloud.datastore.query import PropertyFilter

from workflow import large, model, registry, values
from workflow.engine import Engine, current
from workflow.errors import PipelineStatusError
from workflow.model import ABORTED, DONE, WAITING, Params, Record, Slot
from workflow.pipeline import SECRET
from workflow.unit import Unit

LOOKUP = 500  # entities
MOST_ROOTS = 500  # in one list
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
    as in `get_status_tree`, with its `pipelineId`. Raises PipelineStatusError for a cursor that is
    none and for a count that is not 1 to 500.
    """
    if not 1 <= count <= MOST_ROOTS:
        raise PipelineStatusError(f"the count is {count}: give 1 to {MOST_ROOTS}")
    return _Reader(current()).roots(class_path, cursor, count)


def get_status_tree(root_pipeline_id: str) -> Tree:
    """A workflow with all its stages and slots; the id may be that of any of them.

    Raises PipelineStatusError where there is none.
    """
    reader = _Reader(current())
    root = reader.root_of(root_pipeline_id)
    records = {root.id: root}
    wave = [root]
    while wave:
        wave = reader.records([name for record in wave for name in record.child_ids()])
        records.update({record.id: record for record in wave})
    return reader.tree(root, records)


def get_stage(pipeline_id: str, first: int = 0, count: int = 100) -> Tree:
    """One stage with a page of its children: as get_status_tree, which has them all.

    `childCount` is how many it has; `ancestors` are the ids from the root down to its parent.
    """
    reader = _Reader(current())
    record = reader.record(pipeline_id)
    children = reader.records(record.child_ids(first, first + count))
    tree = reader.tree(reader.root_of(pipeline_id), {r.id: r for r in [record, *children]})
    tree["ancestors"] = [each.id for each in reader.ancestors(record)]
    return tree


class _Reader:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.client = engine.client

    def record(self, pipeline_id: str) -> Record:
        found = self.engine.record(pipeline_id)
        if found is None:
            raise PipelineStatusError(f"there is no workflow with a stage {pipeline_id!r}")
        return found

    def root_of(self, pipeline_id: str) -> Record:
        record = self.record(pipeline_id)
        return record if record.is_root else self.record(record.root)

    def ancestors(self, record: Record) -> list[Record]:
        found: list[Record] = []
        while record.parent:
            record = self.record(record.parent)
            found.insert(0, record)
        return found

    def records(self, names: list[str]) -> list[Record]:
        """The stages of those ids that are made already, in that order."""
        return [model.pipeline_of(entity) for entity in self._entities(model.PIPELINE, names)]

    def _entities(self, kind: str, names: Iterable[str]) -> Iterator[Any]:
        keys = [self.client.key(kind, name) for name in names]
        for at in range(0, len(keys), LOOKUP):
            found = {e.key.name: e for e in self.client.get_multi(keys[at : at + LOOKUP])}
            yield from (found[k.name] for k in keys[at : at + LOOKUP] if k.name in found)

    def roots(self, class_path: str | None, cursor: str | None, count: int) -> Tree:
        order = "listed_class" if class_path else "listed"
        query = self.client.query(kind=model.PIPELINE, order=[order])
        first, last = (f"{class_path}/", f"{class_path}0") if class_path else ("0", ":")
        query.add_filter(filter=PropertyFilter(order, ">=", cursor or first))
        query.add_filter(filter=PropertyFilter(order, "<", last))
        found = list(query.fetch(limit=count + 1))
        records = [model.pipeline_of(entity) for entity in found[:count]]
        tree = self.tree(None, {record.id: record for record in records})
        pipelines = [{"pipelineId": name, **about} for name, about in tree["pipelines"].items()]
        answer: Tree = {"pipelines": pipelines}
        if len(found) > count:
            answer["cursor"] = found[count][order]
        return answer

    def tree(self, root: Record | None, records: dict[str, Record]) -> Tree:
        params = {name: self._params(record) for name, record in records.items()}
        keys = {key for each in params.values() for key in _slots_of(each)}
        slots = {e.key.name: model.slot_of(e) for e in self._entities(model.SLOT, sorted(keys))}
        said = {e.key.name: e for e in self._entities(model.STATUS, records)}
        top = root.abort_message if root else None
        return {
            **({"rootPipelineId": root.id} if root else {}),
            "slots": {key: self._slot(slots.get(key)) for key in sorted(keys)},
            "pipelines": {
                name: {
                    **_about(record, params[name], slots),
                    **({"abortMessage": top} if top and record.status == ABORTED else {}),
                    **_said(said.get(name)),
                }
                for name, record in records.items()
            },
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


def _slots_of(params: Params) -> list[str]:
    return [*params.output_slots.values(), *params.blocking_slots()]


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
        "args": [_argument(argument) for argument in params.args],
        "kwargs": {
            name: _argument(argument)
            for name, argument in params.kwargs.items()
            if not name.startswith(SECRET)
        },
        "outputs": params.output_slots,
        "children": record.child_ids(),
        "childCount": record.children,
        "queueName": params.queue_name,
        "afterSlotKeys": params.after_all,
        "currentAttempt": record.attempt + 1,
        "maxAttempts": params.max_attempts,
        "backoffSeconds": params.backoff_seconds,
        "backoffFactor": params.backoff_factor,
        "status": _status(record, params, slots),
    }
    for name, usec in (("startTimeMs", record.started), ("endTimeMs", record.finalized)):
        if usec is not None:
            about[name] = usec // 1000
    if record.retry_message:
        about["lastRetryMessage"] = record.retry_message
    return about


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
