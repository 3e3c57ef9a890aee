"""Dead letters: records that could not be read as posts, kept with their errors."""

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import orjson
from google.cloud.datastore import Entity

from collector import sources
from dfpipe.datastore import Store
from dfpipe.posts.formats.result import Deletion, Skip
from dfpipe.posts.post import Post
from dfpipe.posts.storing import Stored, store

KIND = "CollectorDeadLetter"
MOST_BYTES = 900_000  # of what is kept, compressed; an entity may have 1 MiB
UNINDEXED = ("account", "raw", "error", "is_whole")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A record that could not be read as a post; `raw` is JSON, cut if not whole."""

    id: str
    account: str
    raw: bytes
    error: str
    time: datetime
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of reading dead letters again: those that gave posts, and those that are kept."""

    stored: Stored
    read: int
    kept: int


def letter_entity(
    client: Store, account: str, raw: object, error: str, now: datetime, name: str = ""
) -> Entity:
    """The entity of a dead letter; what an account calls by the same name is kept once.

    Without a name the same JSON is kept once.
    """
    data = _packed(raw)
    called = name.encode("utf-8", "replace") if name else data
    digest = hashlib.sha256(account.encode() + b"\0" + called).hexdigest()[:32]
    small = zlib.compress(data)
    is_whole = len(small) <= MOST_BYTES
    entity = Entity(client.key(KIND, digest), exclude_from_indexes=UNINDEXED)
    entity["account"] = account
    entity["raw"] = small if is_whole else zlib.compress(data[:MOST_BYTES])
    entity["error"] = error
    entity["is_whole"] = is_whole
    entity["time"] = now
    return entity


def _packed(raw: object) -> bytes:
    try:
        return orjson.dumps(raw)
    except orjson.JSONEncodeError:  # half a surrogate pair, or a number of over 64 bits
        return orjson.dumps(repr(raw).encode("utf-8", "replace").decode())


class DeadLetters:
    """The dead letters of one store."""

    def __init__(self, client: Store) -> None:
        self._client = client

    def list(self, limit: int | None = None) -> Iterator[DeadLetter]:
        """The dead letters, the oldest first."""
        query = self._client.query(kind=KIND, order=["time"])
        return map(_from_entity, query.fetch(limit=limit))

    def get(self, letter_id: str) -> DeadLetter | None:
        """The dead letter of that id."""
        entity = self._client.get(self._client.key(KIND, letter_id))
        return None if entity is None else _from_entity(entity)

    def remove(self, ids: Iterable[str]) -> int:
        """Remove dead letters; return how many of them there were."""
        there = [letter.id for letter in map(self.get, ids) if letter is not None]
        for letter_id in there:
            self._client.delete(self._client.key(KIND, letter_id))
        return len(there)

    def replay(self, letters: Iterable[DeadLetter], now: datetime) -> Replayed:
        """Read dead letters again, as after a reader was mended, and store what they give.

        One that still gives no post is kept.
        """
        stored = Stored()
        read = kept = 0
        for letter in letters:
            done = self._replay(letter, now)
            read += done is not None
            kept += done is None
            stored += done or Stored()
        return Replayed(stored, read, kept)

    def _replay(self, letter: DeadLetter, now: datetime) -> Stored | None:
        if not letter.is_whole:
            return None
        source = letter.account.partition(":")[0]
        results = list(sources.read(source, orjson.loads(letter.raw)))
        if not results or any(isinstance(result, Skip) for result in results):
            return None
        posts = [result for result in results if isinstance(result, Post)]
        removed = [result.tid for result in results if isinstance(result, Deletion)]
        key = self._client.key(KIND, letter.id)
        return store(self._client, posts, removed, now=now, also=lambda _: self._client.delete(key))


def _from_entity(entity: Entity) -> DeadLetter:
    return DeadLetter(
        id=entity.key.name,
        account=entity["account"],
        raw=zlib.decompress(entity["raw"]),
        error=entity["error"],
        time=entity["time"],
        is_whole=entity["is_whole"],
    )
