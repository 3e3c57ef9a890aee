"""What is stored of a workflow, and how.

    WorkflowPipeline  a stage: its arguments, its state; of the root also whether to abort
    WorkflowSlot      an output: its value once it is filled, before that who waits for it
    WorkflowBarrier   what a stage waits for, to begin or to be finalized
    WorkflowWaiting   a page of those who wait for a slot for which many wait
    WorkflowPlan      a page of the stages that a generator has yielded, until they are made
    WorkflowStatus    what a stage says of itself
    WorkflowPart      a part of a value that is too large to stand in any of these

Each has the id of its root, by which a workflow is found as a whole. An output that nobody waits
for and that is not filled has no entity. Times are in microseconds since 1970.
"""

from google.cloud.datastore import Entity

from dfpipe.datastore import Store
from workflow.records import Barrier, Record, Slot, Stored

PIPELINE = "WorkflowPipeline"
SLOT = "WorkflowSlot"
BARRIER = "WorkflowBarrier"
WAITING_PAGE = "WorkflowWaiting"
PLAN = "WorkflowPlan"
STATUS = "WorkflowStatus"
PART = "WorkflowPart"
KINDS = (STATUS, BARRIER, WAITING_PAGE, PLAN, SLOT, PART, PIPELINE)

# The latest time that a sort key may have: the list of roots has the newest first.
_LAST = 10**16 - 1


def state_key(root: str, state: str) -> str:
    """The property by which the stages of a workflow are found that are in a state."""
    return f"{root}/{state}"


def newest_first(usec: int) -> str:
    """The sort key of a time, the newest first."""
    return f"{_LAST - usec:016d}"


_PIPELINE = (
    "parent",
    "class_path",
    "params_json",
    "status",
    "attempt",
    "created",
    "started",
    "finalized",
    "next_retry",
    "retry_message",
    "children",
    "task",
    "incarnation",
    "begun",
    "deaths",
    "end_attempt",
    "abort_requested",
    "abort_message",
    "failed",
)


def to_entity(record: Stored, client: Store) -> Entity:
    """The entity of a record."""
    if isinstance(record, Record):
        return _pipeline_entity(record, client)
    if isinstance(record, Slot):
        names: tuple[str, ...] = ("value", "filler", "fill_time", "waiting", "pages")
        kind = SLOT
    else:
        names, kind = ("pipeline_id", "slots_json", "at", "trigger_time"), BARRIER
    entity = Entity(client.key(kind, record.id), exclude_from_indexes=names)
    entity["root"] = record.root
    _set(entity, record, names)
    return entity


def _set(entity: Entity, record: Stored, names: tuple[str, ...]) -> None:
    for name in names:
        value = getattr(record, name)
        if value is not None and value != []:
            entity[name] = value


def _pipeline_entity(record: Record, client: Store) -> Entity:
    entity = Entity(client.key(PIPELINE, record.id), exclude_from_indexes=_PIPELINE)
    entity["root"] = record.root
    entity["state"] = state_key(record.root, record.state)
    _set(entity, record, _PIPELINE)
    if record.is_root:
        time = newest_first(record.created)
        entity["listed"] = time
        entity["listed_class"] = f"{record.class_path}/{time}"
        entity["is_open"] = record.is_open
    return entity


def pipeline_of(entity: Entity) -> Record:
    """The stage of an entity."""
    known = {name: entity[name] for name in (*_PIPELINE, "is_open") if name in entity}
    return Record(id=entity.key.name, root=entity["root"], **{"parent": "", **known})


def slot_of(entity: Entity) -> Slot:
    """The output of an entity."""
    return Slot(
        id=entity.key.name,
        root=entity["root"],
        value=entity.get("value"),
        filler=entity.get("filler"),
        fill_time=entity.get("fill_time"),
        waiting=list(entity.get("waiting", ())),
        pages=entity.get("pages", 0),
    )


def barrier_of(entity: Entity) -> Barrier:
    """The barrier of an entity."""
    return Barrier(
        id=entity.key.name,
        root=entity["root"],
        # Barriers of older versions have the stage in their id alone.
        pipeline_id=entity.get("pipeline_id") or entity.key.name.rpartition("/")[0],
        slots_json=entity["slots_json"],
        at=entity["at"],
        trigger_time=entity.get("trigger_time"),
    )
