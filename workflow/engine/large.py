"""Texts that are too large for an entity, stored in parts beside it.

The entity holds the name of the parts instead, `@id:number`, which cannot be JSON. The parts are
written before the entity that names them, so its readers always find them. If that commit fails,
its parts stay unused until the workflow is cleaned up.
"""

import uuid
from collections.abc import Sequence

from google.api_core.exceptions import ResourceExhausted
from google.cloud.datastore import Entity, Key

from dfpipe.datastore import Store
from workflow.engine.model import PART

LARGEST_INLINE = 100_000  # bytes
PART_BYTES = 900_000
# The emulator and the client accept gRPC messages of up to 4 MiB.
PARTS_IN_COMMIT = 4
PARTS_IN_LOOKUP = 4


def lookup(client: Store, keys: Sequence[Key]) -> list[Entity]:
    """The entities of keys, in several messages if one would be too large for gRPC."""
    try:
        return list(client.get_multi(keys))
    except ResourceExhausted:
        if len(keys) == 1:
            raise
        half = len(keys) // 2
        return lookup(client, keys[:half]) + lookup(client, keys[half:])


def stored(client: Store, root: str, text: str) -> str:
    """Store a text in parts and return their name; return a short text as it is."""
    if len(text) * 4 <= LARGEST_INLINE:
        return text
    data = text.encode()
    if len(data) <= LARGEST_INLINE:
        return text
    name = uuid.uuid4().hex
    pieces = [data[at : at + PART_BYTES] for at in range(0, len(data), PART_BYTES)]
    entities = [_part(client, root, f"{name}/{at}", piece) for at, piece in enumerate(pieces)]
    for at in range(0, len(entities), PARTS_IN_COMMIT):
        # Not in the current transaction, which may be retried with other parts.
        with client.batch() as batch:
            for entity in entities[at : at + PARTS_IN_COMMIT]:
                batch.put(entity)
    return f"@{name}:{len(pieces)}"


def _part(client: Store, root: str, name: str, data: bytes) -> Entity:
    entity = Entity(client.key(PART, name), exclude_from_indexes=("data",))
    entity["root"] = root
    entity["data"] = data
    return entity


def read(client: Store, text: str) -> str:
    """The text that was given to `stored`.

    Raises LookupError if the parts are gone because the workflow was cleaned up.
    """
    if not text.startswith("@"):
        return text
    name, number = text[1:].split(":")
    keys = [client.key(PART, f"{name}/{at}") for at in range(int(number))]
    data: dict[str, bytes] = {}
    for at in range(0, len(keys), PARTS_IN_LOOKUP):
        for entity in lookup(client, keys[at : at + PARTS_IN_LOOKUP]):
            data[entity.key.name] = entity["data"]
    if len(data) < len(keys):
        raise LookupError(f"the parts of value {name} are gone: its workflow was cleaned up")
    return b"".join(data[key.name] for key in keys).decode()
