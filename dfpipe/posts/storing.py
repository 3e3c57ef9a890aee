"""The one rule for storing a post, and the transactions that follow it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, TypeVar

from google.cloud.datastore import Entity

from dfpipe.datastore import Store, build_indexes, run_in_transaction
from dfpipe.posts.post import INDEXES, KIND, Post, to_entity

MOST_WRITES = 500  # in one transaction, the one of `also` included
# Of content in it, as UTF-8: the stored posts are read in one answer of up to 4 MiB.
MOST_BYTES = 2_500_000

# A post to store, the id of one to remove, or another entity to put beside them.
Write = Post | int | Any  # Entity, which has no types
AnyWrite = TypeVar("AnyWrite")

_UNVERSIONED = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Stored:
    """Counts of posts: `new`, `replaced` and `seen` ones, one for each given, and `removed`."""

    new: int = 0
    replaced: int = 0
    seen: int = 0
    removed: int = 0

    def __add__(self, other: "Stored") -> "Stored":
        """Add up two results, field by field."""
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
    now: datetime,
    beside: Iterable[Entity] = (),
    also: Callable[[Stored], None] | None = None,
) -> Stored:
    """Store posts and remove those of some ids, in transactions of at most 500 writes.

    Of two forms of one post the later version stays (`Post.edited_at`; a post without it is older
    than one with it), and of one version the form with the longer text, in whatever order and by
    whatever way they come. Where neither wins, the stored form stays and nothing is written. A post
    that is also removed is not stored.

    `now` becomes the `stored_at` of what is written. `beside` are other entities to put. `also` is
    called within the last transaction, with the counts so far; it may read, make one write, and
    raise to undo this last batch.
    """
    build_indexes(client, KIND, *INDEXES)  # now: later they cost more, or the file is read-only
    removed = set(removed_ids)
    kept = (post for post in posts if post.tid not in removed)
    done = Stored()
    waiting: list[Write] = []
    for batch in batches(chain(kept, sorted(removed), beside), MOST_WRITES - (also is not None)):
        if waiting:
            done = run_in_transaction(client, _writing(client, waiting, now, done))
        waiting = batch
    if waiting or also:
        done = run_in_transaction(client, _writing(client, waiting, now, done, also))
    return done


def batches(writes: Iterable[AnyWrite], most: int = MOST_WRITES) -> Iterator[list[AnyWrite]]:
    """Cut writes into batches for one transaction each, by their number and their size."""
    batch: list[AnyWrite] = []
    length = 0
    for write in writes:
        size = _size(write)
        if len(batch) == most or (batch and length + size > MOST_BYTES):
            yield batch
            batch, length = [], 0
        batch.append(write)
        length += size
    if batch:
        yield batch


def _size(write: Write) -> int:
    if isinstance(write, Post):
        return sum(map(_utf8_size, (write.text, *write.urls)))
    if isinstance(write, Entity):
        return sum(len(value) for value in write.values() if isinstance(value, str | bytes))
    return 0


def _utf8_size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _writing(
    client: Store,
    batch: list[Write],
    now: datetime,
    before: Stored,
    also: Callable[[Stored], None] | None = None,
) -> Callable[[], Stored]:
    def write() -> Stored:
        done = before + _write(client, batch, now)
        if also is not None:
            also(done)
        return done

    return write


def _write(client: Store, batch: list[Write], now: datetime) -> Stored:
    posts = [write for write in batch if isinstance(write, Post)]
    ids = [write for write in batch if isinstance(write, int)]
    keys = {tid: client.key(KIND, tid) for tid in (*(post.tid for post in posts), *ids)}
    there = {found.key.id: found for found in client.get_multi([*keys.values()])} if keys else {}
    winners, counts = _winners(posts, there)
    changed = [to_entity(post, client, _later(now, there.get(post.tid))) for post in winners]
    client.put_multi([*changed, *(write for write in batch if isinstance(write, Entity))])
    gone = [keys[tid] for tid in ids if tid in there]
    client.delete_multi(gone)
    return counts + Stored(removed=len(gone))


def _winners(posts: Iterable[Post], there: dict[int, Entity]) -> tuple[list[Post], Stored]:
    """Return the posts to write, and what became of each given one."""
    standing = {tid: _standing(e.get("edited_at"), e.get("text")) for tid, e in there.items()}
    winners: dict[int, Post] = {}
    new = replaced = seen = 0
    for post in posts:
        known, given = standing.get(post.tid), _standing(post.edited_at, post.text)
        if known is not None and given <= known:
            seen += 1
            continue
        new += known is None
        replaced += known is not None
        standing[post.tid], winners[post.tid] = given, post
    return list(winners.values()), Stored(new, replaced, seen)


def _standing(edited_at: object, text: object) -> tuple[datetime, int]:
    """What decides between two forms of one post; another program may have stored any values."""
    version = edited_at if isinstance(edited_at, datetime) else _UNVERSIONED
    return version, len(text) if isinstance(text, str) else -1


def _later(now: datetime, there: Entity | None) -> datetime:
    """Return a `stored_at` above the present one, even if the clock was set back."""
    before = None if there is None else there.get("stored_at")
    return max(now, before + timedelta(microseconds=1)) if isinstance(before, datetime) else now
