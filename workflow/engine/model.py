"""What is stored of a workflow, and how.

    WorkflowPipeline  a stage: its arguments and state; for a root also whether to abort
    WorkflowSlot      an output: its value once it is filled, until then the barriers that wait
    WorkflowBarrier   the slots that a stage waits for, to start or to be finalized
    WorkflowWaiting   a page of barriers, if too many wait for one slot
    WorkflowPlan      a page of the stages that a generator has yielded, until they are created
    WorkflowStatus    the status that a stage has set for itself
    WorkflowPart      a part of a value that is too large for one of these entities

Each has the id of its root, so a query finds a whole workflow. An unfilled output that no barrier
waits for has no entity. Times are in microseconds since 1970.
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

# Sort keys count down from the latest time, so that the newest root comes first.
_LAST = 10**16 - 1


def state_key(root: str, state: str) -> str:
    """The value of the property that finds the stages of a workflow in a state."""
    return f"{root}/{state}"


def newest_first(usec: int) -> str:
    """A sort key that puts newer times first; `usec` is in microseconds."""
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
    """The entity that stores a stage, an output or a barrier."""
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
        entity["listed_state"] = f"{record.state}/{time}"
        entity["is_open"] = record.is_open
    return entity


def pipeline_of(entity: Entity) -> Record:
    """The stage that an entity stores."""
    known = {name: entity[name] for name in (*_PIPELINE, "is_open") if name in entity}
    return Record(id=entity.key.name, root=entity["root"], **{"parent": "", **known})


def slot_of(entity: Entity) -> Slot:
    """The output that an entity stores."""
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
    """The barrier that an entity stores."""
    return Barrier(
        id=entity.key.name,
        root=entity["root"],
        # Barriers of older versions have the stage in their id alone.
        pipeline_id=entity.get("pipeline_id") or entity.key.name.rpartition("/")[0],
        slots_json=entity["slots_json"],
        at=entity["at"],
        trigger_time=entity.get("trigger_time"),
    )
