"""Example posts, looked up in the store at the moment that they are shown."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from dfpipe.datastore import Store, get_values
from dfpipe.posts.post import KIND

MOST_TEXT = 400  # characters of a post that are shown
# An id that holds a time close to that of the post was given by that network.
TOLERANCE = timedelta(minutes=10)
X_EPOCH_MS, X_BITS = 1288834974657, 22
BLUESKY_BITS, BLUESKY_ALPHABET = 10, "234567abcdefghijklmnopqrstuvwxyz"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Example:
    """A post as a page shows it; `copies` posts of the story say the same, this one included.

    Without a text it is no longer in the store. `address` is that of the post at its network, empty
    where the id does not tell.
    """

    tid: int
    copies: int = 1
    user: str = ""
    text: str | None = None
    time: datetime | None = None
    address: str = ""


class Posts:
    """The posts of a store; synthetic ones have no address at a network."""

    def __init__(self, store: Store, is_synthetic: bool = False) -> None:
        self._store = store
        self._is_synthetic = is_synthetic

    def examples(self, wanted: Sequence[tuple[int, int]]) -> list[Example]:
        """Look up posts by their ids, each given with the number of its copies."""
        keys = [self._store.key(KIND, tid) for tid, _ in wanted]
        found = get_values(self._store, keys, "user", "text", "created_at")
        examples = [
            example(tid, copies, values)
            for (tid, copies), values in zip(wanted, found, strict=True)
        ]
        return [replace(e, address="") for e in examples] if self._is_synthetic else examples


def example(tid: int, copies: int, values: Sequence[object] | None) -> Example:
    """Return a post by the user, text and time that are stored, whatever they are."""
    user, text, time = values or (None, None, None)
    if not isinstance(text, str):
        return Example(tid, copies)
    user = readable(user) if isinstance(user, str) else ""
    time = time if isinstance(time, datetime) else None
    return Example(tid, copies, user, readable(text), time, address_of(tid, user, time))


def readable(text: str) -> str:
    r"""Return a text in one line: no controls, no lone surrogates, and cut if it is long.

    >>> readable("a\n\x00b \ud800")
    'a b �'
    """
    spaced = "".join(char if char.isprintable() or char > "\x9f" else " " for char in text)
    whole = spaced.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    line = " ".join(whole.split())
    return line if len(line) <= MOST_TEXT else f"{line[: MOST_TEXT - 1]}…"


def address_of(tid: int, user: str, time: datetime | None) -> str:
    """Return the address of a post at X or Bluesky, if its id holds the time of the post.

    >>> address_of(553000000000000000, "ann", _EPOCH + timedelta(seconds=1420680448))
    'https://x.com/i/status/553000000000000000'
    """
    if time is None:
        return ""
    since_x = (time - _EPOCH - timedelta(milliseconds=X_EPOCH_MS)) - timedelta(
        milliseconds=tid >> X_BITS
    )
    if abs(since_x) < TOLERANCE:
        return f"https://x.com/i/status/{tid}"
    since_bluesky = time - _EPOCH - timedelta(microseconds=tid >> BLUESKY_BITS)
    if abs(since_bluesky) < TOLERANCE and "." in user:
        return f"https://bsky.app/profile/{quote(user, safe='')}/post/{bluesky_key(tid)}"
    return ""


def bluesky_key(tid: int) -> str:
    """Return the record key whose number is this: 13 characters of 5 bits.

    >>> bluesky_key((1746408617914000 << 10) + 13)
    '3lof7sovfok2h'
    """
    return "".join(BLUESKY_ALPHABET[tid >> (60 - 5 * place) & 31] for place in range(13))
