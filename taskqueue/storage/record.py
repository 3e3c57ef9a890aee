"""A task as it is stored, and the keys by which it is found and put in order.

Datastore orders by what is indexed, and every indexed property costs a write. So a task has no
indexed queue, time and tag, but one string for each order that is asked for, in which the queue
comes first and the time, in microseconds and 16 digits, last. All else is left out of the indexes.

    due     queue/time             when it may be taken next
    group   queue/length/tag/time  the same among the tasks of one tag; pull queues only
    leased  queue/time             present while it is leased: until when
    dead    queue/time             present in a dead letter, instead of all these: since when
    parted  queue/size             present if the payload is stored in entities of its own

The key's name is queue/name, so that equal times are ordered by the task's name. A tombstone is an
entity under the same key that has nothing but `expires`. An entity may not be larger than 1 MiB,
and each lease writes it again, so a large payload is stored in parts beside it.
"""

import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from google.cloud.datastore import Entity, Key

from dfpipe.datastore import Store
from taskqueue.retry import TaskRetryOptions

KIND = "TaskqueueTask"
PART_KIND = "TaskqueuePayload"
# Bytes. Above the size of any push task, so that only pull tasks have parts.
LARGEST_INLINE = 2**17
PART = 2**19
UNINDEXED = (
    "payload",
    "eta",
    "enqueued",
    "retries",
    "tag",
    "request",
    "executions",
    "first_try",
    "status",
    "reason",
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_GENERATED = re.compile(r"task-[0-9a-f]{24}")


def to_usec(time: datetime) -> int:
    """Microseconds since 1970 of an aware time."""
    return (time - _EPOCH) // _MICROSECOND


def from_usec(usec: int) -> datetime:
    """The aware time, in UTC, of microseconds since 1970."""
    return _EPOCH + usec * _MICROSECOND


def generated_name(usec: int, number: int, random: int) -> str:
    """A name for a task without one: in order of time and of the process's own count.

    24 random bits tell apart what two processes name in the same microsecond.
    """
    return f"task-{usec:014x}{number & 0xFFFF:04x}{random & 0xFFFFFF:06x}"


def is_generated(name: str) -> bool:
    """Whether a name has the form of `generated_name`: such a task leaves no tombstone."""
    return _GENERATED.fullmatch(name) is not None


def key_name(queue: str, name: str) -> str:
    """The name in the key of a task."""
    return f"{queue}/{name}"


def name_of(key: Key) -> str:
    """The name in a key, which the key's own property gives many times slower."""
    name: str = key.flat_path[-1]
    return name


def order_key(prefix: str, usec: int) -> str:
    """The key of a time among those with the prefix."""
    return prefix + str(usec).zfill(16)


def due_prefix(queue: str) -> str:
    """What the keys of a queue's tasks begin with."""
    return f"{queue}/"


def group_prefix(queue: str, tag: str | None) -> str:
    """What the keys of a tag's tasks begin with; no other tag's keys begin so."""
    return f"{queue}/{len(tag or '')}/{tag or ''}/"


def end_of(prefix: str) -> str:
    """The first key after all that begin with a prefix, which ends with a slash."""
    # "0" follows "/" in ASCII.
    return prefix[:-1] + "0"


@dataclass(frozen=True, slots=True)
class Request:
    """The request of a push task.

    The deadline is in seconds, None for the dispatcher's own. The target is None for the queue's,
    and empty for the application itself.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    target: str | None = None
    deadline_seconds: float | None = None


class StoredTask(NamedTuple):
    """One task of a queue. Times are in microseconds since 1970.

    `eta` is when it was to be taken; `due`, when it may be taken next, which is later while it is
    leased. `retries` counts how often it was leased or sent, `executions` how often its handler
    answered, of which `status` and `reason` are the last answer. `dead` is since when it has been a
    dead letter. Where the payload is stored in parts, `parted` is its size; it is empty until they
    are read.
    """

    queue: str
    name: str
    eta: int
    due: int
    enqueued: int
    payload: bytes = b""
    tag: str | None = None
    request: Request | None = None
    retry_options: TaskRetryOptions | None = None
    leased: bool = False
    retries: int = 0
    executions: int = 0
    first_try: int | None = None
    status: int | None = None
    reason: str | None = None
    dead: int | None = None
    parted: int = 0

    @property
    def size(self) -> int:
        """The size of the payload in bytes."""
        return self.parted or len(self.payload)

    @property
    def is_pull(self) -> bool:
        """Whether it waits to be leased, and is not sent."""
        return self.request is None

    def revived(self, now: int) -> "StoredTask":
        """The task of a dead letter as if it had just been added."""
        return self._replace(
            eta=now,
            due=now,
            dead=None,
            retries=0,
            executions=0,
            first_try=None,
            status=None,
            reason=None,
        )


def to_entity(task: StoredTask, client: Store) -> Entity:
    """The entity of a task, without the parts of a large payload."""
    key = client.key(KIND, key_name(task.queue, task.name))
    entity = Entity(key, exclude_from_indexes=UNINDEXED)
    prefix = due_prefix(task.queue)
    if task.dead is not None:
        entity["dead"] = order_key(prefix, task.dead)
    else:
        # A dead letter has no `due`, so neither leasing nor sending finds it.
        entity["due"] = order_key(prefix, task.due)
        if task.is_pull:
            entity["group"] = order_key(group_prefix(task.queue, task.tag), task.due)
        if task.leased:
            entity["leased"] = entity["due"]
    if task.parted:
        entity["parted"] = order_key(prefix, task.parted)
    entity["payload"] = b"" if task.parted else task.payload
    entity["eta"] = task.eta
    entity["enqueued"] = task.enqueued
    entity["retries"] = task.retries
    if task.tag is not None:
        entity["tag"] = task.tag
    if task.request or task.retry_options:
        entity["request"] = _packed(task.request, task.retry_options)
    if task.first_try is not None or task.reason:
        entity.update(_tried(task))
    return entity


def _tried(task: StoredTask) -> dict[str, Any]:
    """The properties of a task that was sent before."""
    values = {
        "first_try": task.first_try,
        "executions": task.executions or None,
        "status": task.status,
        "reason": task.reason,
    }
    return {name: value for name, value in values.items() if value is not None}


def _packed(request: Request | None, retry: TaskRetryOptions | None) -> str:
    parts: dict[str, Any] = {}
    if request:
        parts["request"] = asdict(request)
    if retry:
        parts["retry"] = asdict(retry)
    return json.dumps(parts, separators=(",", ":"))


def _unpacked(packed: str) -> tuple[Request | None, TaskRetryOptions | None]:
    parts = json.loads(packed)
    request = retry = None
    if "request" in parts:
        headers = tuple((name, value) for name, value in parts["request"].pop("headers"))
        request = Request(**parts["request"], headers=headers)
    if "retry" in parts:
        retry = TaskRetryOptions(**parts["retry"])
    return request, retry


def from_entity(entity: Entity) -> StoredTask | None:
    """The task of an entity that `to_entity` made; None for a tombstone."""
    get = entity.get
    # Only a tombstone has neither.
    order = get("due") or get("dead")
    if order is None:
        return None
    queue, name = name_of(entity.key).split("/", 1)
    usec = int(order[-16:])
    packed = get("request")
    request, retry = _unpacked(packed) if packed else (None, None)
    return StoredTask(
        queue=queue,
        name=name,
        eta=entity["eta"],
        due=usec,
        enqueued=entity["enqueued"],
        payload=entity["payload"],
        tag=entity.get("tag"),
        request=request,
        retry_options=retry,
        leased="leased" in entity,
        retries=entity["retries"],
        executions=entity.get("executions", 0),
        first_try=entity.get("first_try"),
        status=entity.get("status"),
        reason=entity.get("reason"),
        dead=usec if "dead" in entity else None,
        parted=parted_size(entity.get("parted")),
    )


def parted_size(order: str | None) -> int:
    """The size of a payload that is stored in parts, given its order key; else 0."""
    return int(order[-16:]) if order else 0


def part_keys(key: Key, size: int, client: Store) -> list[Key]:
    """The keys of the parts of a task's payload, in order."""
    return [client.key(PART_KIND, f"{name_of(key)}/{at}") for at in range(-(-size // PART))]


def parts(task: StoredTask, client: Store) -> list[Entity]:
    """The entities of the parts of a large payload; none if it is stored with the task."""
    key = client.key(KIND, key_name(task.queue, task.name))
    entities = []
    for at, part_key in enumerate(part_keys(key, task.parted, client)):
        entity = Entity(part_key, exclude_from_indexes=("data",))
        entity["data"] = task.payload[at * PART : (at + 1) * PART]
        entities.append(entity)
    return entities


def retry_options(entity: Entity) -> TaskRetryOptions | None:
    """The task's own retry options; None if those of its queue apply."""
    packed = entity.get("request")
    return _unpacked(packed)[1] if packed else None


def tombstone(key: Key, expires: datetime) -> Entity:
    """The entity that keeps the name of a deleted task reserved."""
    entity = Entity(key)
    entity["expires"] = expires
    return entity


def postponed(entity: Entity, until: int, *, leased: bool) -> None:
    """Change the entity of a pull task: it may be taken, and its lease ends, at that time."""
    entity["due"] = order_key(entity["due"][:-16], until)
    entity["group"] = entity["group"][:-16] + entity["due"][-16:]
    entity.pop("leased", None)
    if leased:
        entity["leased"] = entity["due"]
    entity["eta"] = until


def sent(entity: Entity, until: int) -> None:
    """Change the entity of a push task: it is being sent, under a lease that ends at that time."""
    entity["due"] = entity["leased"] = order_key(entity["due"][:-16], until)


def given_up(entity: Entity, now: int, reason: str) -> None:
    """Change the entity of a task: it is a dead letter, with its payload, since `now`."""
    entity["dead"] = order_key(entity["due"][:-16], now)
    entity["reason"] = reason
    for name in ("due", "group", "leased"):
        entity.pop(name, None)
