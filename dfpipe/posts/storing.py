"""Posts into the store: whole batches, each in one transaction, however often they come."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from google.cloud.datastore import Entity

from dfpipe.datastore import Store, run_in_transaction
from dfpipe.posts.post import KIND, Post, to_entity

BATCH_POSTS = 500  # the most that one commit takes
MOST_WRITES = 500  # in one transaction, the one of `also` included
# Of content in it, as UTF-8: what is there already is read in one answer of up to 4 MiB.
MOST_BYTES = 2_500_000

# A post to store, the id of one to remove, or another entity to put beside them.
Write = Post | int | Any


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of posts: new, there with other content, there as they came; and removed."""

    new: int = 0
    replaced: int = 0
    seen: int = 0
    removed: int = 0

    def __add__(self, other: "Stored") -> "Stored":
        """The sums."""
        return Stored(
            self.new + other.new,
            self.replaced + other.replaced,
            self.seen + other.seen,
            self.removed + other.removed,
        )


def store(
    client: Store,
    posts: Iterable[Post],
    removed_ids: Iterable[int] = (),
    *,
    beside: Iterable[Entity] = (),
    also: Callable[[Stored], None] | None = None,
) -> Stored:
    """Store posts and remove those of some ids, in transactions of at most 500 writes.

    Of several posts with one id the last is stored, of a post that is also removed none. A post
    that is there with other content is replaced. `beside` are other entities to put. `also` is
    called within the last transaction, with the counts so far; it may read, make one write, and
    raise to undo this last batch.
    """
    removed = set(removed_ids)
    last = {post.tid: post for post in posts}
    kept = [post for tid, post in last.items() if tid not in removed]
    batches = list(_batches([*kept, *sorted(removed), *beside]))
    done = Stored()
    for number, batch in enumerate(batches, 1):
        then = also if number == len(batches) else None
        done = run_in_transaction(client, _writing(client, batch, done, then))
    return done


def _batches(writes: Sequence[Write]) -> Iterator[list[Write]]:
    """Cut writes into batches; none of them gives one empty batch, for what is `also` done."""
    batch: list[Write] = []
    length = 0
    for write in writes:
        size = _size(write)
        if len(batch) == MOST_WRITES - 1 or (batch and length + size > MOST_BYTES):
            yield batch
            batch, length = [], 0
        batch.append(write)
        length += size
    yield batch


def _size(write: Write) -> int:
    if isinstance(write, Post):
        return sum(len(text.encode()) for text in (write.text, *write.urls))
    if isinstance(write, Entity):
        return sum(len(value) for value in write.values() if isinstance(value, str | bytes))
    return 0


def _writing(
    client: Store, batch: list[Write], before: Stored, also: Callable[[Stored], None] | None
) -> Callable[[], Stored]:
    def write() -> Stored:
        done = before + _write(client, batch)
        if also is not None:
            also(done)
        return done

    return write


def _write(client: Store, batch: list[Write]) -> Stored:
    posts = [to_entity(write, client) for write in batch if isinstance(write, Post)]
    gone = [client.key(KIND, write) for write in batch if isinstance(write, int)]
    keys = [*(post.key for post in posts), *gone]
    there = {entity.key.id: entity for entity in client.get_multi(keys)} if keys else {}
    changed = [post for post in posts if dict(there.get(post.key.id, {})) != dict(post)]
    beside = [write for write in batch if isinstance(write, Entity)]
    new = sum(post.key.id not in there for post in changed)
    removed = [key for key in gone if key.id in there]
    client.put_multi([*changed, *beside])
    client.delete_multi(removed)
    return Stored(new, len(changed) - new, len(posts) - len(changed), len(removed))


def store_posts(client: Store, posts: Sequence[Post]) -> tuple[int, int, int]:
    """Store up to BATCH_POSTS posts in one commit; return how many were new, replaced and seen.

    A post that is there already stays as it is, unless the given one has a longer text: the long
    form of a post is preferred to the cut one, in whatever order they come.
    """
    keys = {post.tid: client.key(KIND, post.tid) for post in posts}
    there = client.get_multi(list(keys.values()))
    lengths = {entity.key.id: _length(entity.get("text")) for entity in there}
    chosen: dict[int, Post] = {}
    new = replaced = 0
    for post in posts:
        length = lengths.get(post.tid)
        if length is None or len(post.text) > length:
            new += length is None
            replaced += length is not None
            chosen[post.tid] = post
            lengths[post.tid] = len(post.text)
    if chosen:
        client.put_multi([to_entity(post, client) for post in chosen.values()])
    return new, replaced, len(posts) - new - replaced


def _length(text: object) -> int:
    return len(text) if isinstance(text, str) else -1


def delete_posts(client: Store, tids: Sequence[int] | npt.NDArray[np.int64]) -> int:
    """Remove the posts of these ids; return how many of them were there."""
    removed = 0
    for start in range(0, len(tids), BATCH_POSTS):
        keys = [client.key(KIND, int(tid)) for tid in tids[start : start + BATCH_POSTS]]
        there = [entity.key for entity in client.get_multi(keys)]
        if there:
            client.delete_multi(there)
        removed += len(there)
    return removed
