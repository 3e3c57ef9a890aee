"""A post, and its form in Datastore."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

from google.cloud.datastore import Entity

from dfpipe.datastore import Store

KIND = "Tweet"
# What runs look posts up by.
VERSION = ("created_at", "stored_at", "checksum")  # tells that a post has changed
INDEXES = (("created_at",), VERSION)
# None of them is filtered by, and an indexed string may not be longer than 1,500 bytes.
UNINDEXED = ("text", "urls", "edited_at")


@dataclass(frozen=True, slots=True)
class Post:
    """One post of a timeline.

    `tid` is its 64-bit id and the entity's key; `created_at` is aware and in UTC; `urls` are the
    expanded links in the order of the text, a repeated one kept. `edited_at` is the time of this
    version where its source tells of edits, and None where the post is as it was first written.
    """

    tid: int
    user: str
    text: str
    created_at: datetime
    urls: tuple[str, ...] = ()
    edited_at: datetime | None = None


def to_entity(post: Post, client: Store, stored_at: datetime) -> Entity:
    """The Datastore entity of a post, keyed by its id: storing a post twice stores it once.

    `stored_at` is the time of writing. It tells that a post has changed, and so does the checksum:
    a post that was removed may come back changed while a clock stands still or is set back.
    """
    entity = Entity(client.key(KIND, post.tid), exclude_from_indexes=UNINDEXED)
    entity["user"] = post.user
    entity["text"] = post.text
    entity["created_at"] = post.created_at
    entity["tid"] = post.tid
    entity["urls"] = list(post.urls)
    entity["stored_at"] = stored_at
    entity["checksum"] = checksum(post)
    if post.edited_at is not None:
        entity["edited_at"] = post.edited_at
    return entity


def checksum(post: Post) -> int:
    """A signed 64-bit digest of what a run reads of a post besides its id and time."""
    content = repr((post.user, post.text, post.urls)).encode()
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big", signed=True)


def from_entity(entity: Entity) -> Post:
    """The post of an entity that `to_entity` made."""
    return Post(
        tid=entity["tid"],
        user=entity["user"],
        text=entity["text"],
        created_at=entity["created_at"],
        urls=tuple(entity["urls"]),
        edited_at=entity.get("edited_at"),
    )
