"""Taking from batches of posts what the analysis needs of them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import compress
from typing import Any

import numpy as np
import numpy.typing as npt

from dfpipe.analysis.parts import Parts
from dfpipe.analysis.ranking import Counted
from dfpipe.analysis.recency import unit
from dfpipe.analysis.tokenizer import Tokenizer
from dfpipe.analysis.word_sets import (
    WordSets,
    packed_numbers,
    single_texts,
    unpacked_numbers,
    word_sets,
)
from dfpipe.times import microseconds

Ints = npt.NDArray[np.int64]
NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PostBatch:
    """Properties of some posts as stored, whatever they are; `created_at` is a time always."""

    texts: Sequence[object]
    urls: Sequence[object]
    users: Sequence[object]
    tids: Sequence[object]
    times: Sequence[datetime]

    def ids(self) -> list[int]:
        """Return the posts' ids; one that is not an integer becomes 0."""
        return [tid if isinstance(tid, int) else 0 for tid in self.tids]


@dataclass(frozen=True, slots=True)
class Reads:
    """How many posts were read from the store, and how many came from slices of the cache.

    Posts outside the window are among those that were read, if their hour is. Slices are counted
    that were made, and that were in the cache.
    """

    posts_read: int = 0
    posts_cached: int = 0
    slices_made: int = 0
    slices_cached: int = 0

    def __add__(self, other: "Reads") -> "Reads":
        """Return the counts of both, summed one by one."""
        return Reads(
            self.posts_read + other.posts_read,
            self.posts_cached + other.posts_cached,
            self.slices_made + other.slices_made,
            self.slices_cached + other.slices_cached,
        )


NO_READS = Reads()


@dataclass(frozen=True, slots=True)
class Tally:
    """Posts of a window that count, those skipped because they have no text, and the recent ones.

    The recent ones are among the posts that count. `parts` has the posts of each part of the
    window that counts any.
    """

    posts: int = 0
    skipped: int = 0
    recent: int = 0
    parts: Mapping[int, int] = field(default_factory=dict)
    reads: Reads = NO_READS


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """The posts of a batch that count, in columns; all of them are recent, or none is.

    `users` has one text a post, or none; `times` are in microseconds of the Unix epoch. `skipped`
    is how many posts there were besides. The reads of all batches add up to those of the run.
    """

    words: WordSets
    urls: WordSets
    users: WordSets
    tids: Ints
    times: Ints
    is_recent: bool
    skipped: int
    reads: Reads = NO_READS

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle ids and times packed: as they are, they would be most of the bytes."""
        numbers = packed_numbers(self.tids), packed_numbers(self.times)
        rest = self.is_recent, self.skipped, self.reads
        return _token_batch, (self.words, self.urls, self.users, *numbers, *rest)

    def tally(self, parts: Parts | None = None) -> Tally:
        """Return how many posts there are, and how many in each part of a window if it is given."""
        posts = len(self.tids)
        by_part = Counter(parts.of(self.times).tolist()) if parts else {}
        return Tally(posts, self.skipped, posts if self.is_recent else 0, by_part, self.reads)

    def word_counts(self) -> list[Counted]:
        """Return each word with its count of `recency`."""
        return self.words.counts(unit(self.is_recent))

    def url_counts(self) -> list[Counted]:
        """Return each URL with the number of posts that carry it."""
        return self.urls.counts()


def _token_batch(
    words: WordSets, urls: WordSets, users: WordSets, tids: bytes, times: bytes, *rest: Any
) -> TokenBatch:
    numbers = unpacked_numbers(tids), unpacked_numbers(times)
    return TokenBatch(words, urls, users, *numbers, *rest)


def add_tallies(tallies: Iterable[Tally]) -> Tally:
    """Add up tallies; nothing gives zero."""
    listed = list(tallies)
    parts: Counter[int] = Counter()
    for tally in listed:
        parts.update(tally.parts)
    return Tally(
        sum(t.posts for t in listed),
        sum(t.skipped for t in listed),
        sum(t.recent for t in listed),
        parts,
        sum((t.reads for t in listed), NO_READS),
    )


def tokenize(
    batch: PostBatch, tokenizer: Tokenizer, is_recent: bool, times: Ints | None = None
) -> TokenBatch:
    """Return what the analysis needs of a batch's posts.

    A post whose text is not a string is skipped, and its URLs with it. The times may be given as
    numbers, if these are known.
    """
    if times is None:
        times = np.array([microseconds(time) for time in batch.times], np.int64)
    kept = [isinstance(text, str) for text in batch.texts]
    texts = [text for text in batch.texts if isinstance(text, str)]
    urls, users, tids = (
        list(compress(column, kept)) for column in (batch.urls, batch.users, batch.ids())
    )
    return TokenBatch(
        words=tokenizer.word_sets(texts),
        urls=word_sets([NOTHING if v is None or v == [] else tokenizer.urls(v) for v in urls]),
        users=single_texts(users),
        tids=np.array(tids, np.int64),
        times=times[np.array(kept, np.bool_)],
        is_recent=is_recent,
        skipped=len(kept) - len(texts),
    )
