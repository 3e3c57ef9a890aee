"""The posts of an hour as an Arrow table, and the tokens of such tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dfpipe.analysis.tokenizing import NO_READS, PostBatch, Reads, TokenBatch
from dfpipe.analysis.word_sets import WordSets, numbered_sets
from dfpipe.posts.slices import Window
from dfpipe.times import microseconds

Ints = npt.NDArray[np.int64]
TIME = pa.timestamp("us", "UTC")
TEXT = pa.dictionary(pa.int32(), pa.string())
# A post that does not count, as it has no text, has nulls from `user` on.
SCHEMA = pa.schema(
    [
        ("tid", pa.int64()),
        ("created_at", TIME),
        ("user", TEXT),
        ("words", pa.list_(TEXT)),
        ("urls", pa.list_(TEXT)),
    ]
)


@dataclass(frozen=True, slots=True)
class Piece:
    """Some posts, in the order of time; their tokens if they were read in the store."""

    table: pa.Table
    reads: Reads
    tokens: TokenBatch | None = None


def table_of(batch: PostBatch, tokens: TokenBatch, times: Ints) -> pa.Table:
    """Return the table of some posts, given their tokens, and their times in microseconds."""
    has_text = np.array([isinstance(text, str) for text in batch.texts], np.bool_)
    return pa.Table.from_arrays(
        [
            pa.array(np.array(batch.ids(), np.int64)),
            pa.array(times).view(TIME),
            _first_texts(tokens.users, has_text),
            _lists(tokens.words, has_text),
            _lists(tokens.urls, has_text),
        ],
        schema=SCHEMA,
    )


def _first_texts(sets: WordSets, has_text: npt.NDArray[np.bool_]) -> pa.DictionaryArray:
    """Return the only text of each post, or null, given the sets of those that have a text."""
    has_any = has_text.copy()
    has_any[has_text] = sets.lengths > 0
    numbers = np.zeros(len(has_text), np.int32)
    numbers[has_any] = sets.indices
    return _dictionary(pa.array(numbers, mask=~has_any), sets)


def _lists(sets: WordSets, has_text: npt.NDArray[np.bool_]) -> pa.ListArray:
    """Return the set of each post, or null, given the sets of those that have a text."""
    offsets = sets.indptr[np.concatenate(([0], np.cumsum(has_text)))]
    mask = None if has_text.all() else pa.array(~has_text)
    texts = _dictionary(pa.array(sets.indices), sets)
    return pa.ListArray.from_arrays(pa.array(offsets), texts, mask=mask)


def _dictionary(numbers: pa.Array, sets: WordSets) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(numbers, pa.array(sets.words, pa.string()))


def token_batches(pieces: Sequence[Piece], part: Window) -> Iterator[TokenBatch]:
    """Yield the tokens of the posts within a window: of those before its recent times, and since.

    The first of them has all the pieces' reads; if no post is in the window, there is one without
    posts.
    """
    every = _columns(pieces)
    is_cached = np.repeat([p.tokens is None for p in pieces], [len(p.table) for p in pieces])
    start, since, end = map(microseconds, (part.start, part.since, part.end))
    is_recent = every.times >= since
    inside = (every.times >= start) & (every.times < end)
    reads = sum((piece.reads for piece in pieces), NO_READS)
    reads += Reads(posts_cached=int(np.count_nonzero(inside & is_cached)))
    for recent in (False, True):
        chosen = inside & (is_recent == recent)
        if chosen.any() or (recent and reads != NO_READS):
            yield every.tokens(chosen, recent, reads)
            reads = NO_READS


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns of some posts."""

    words: WordSets
    urls: WordSets
    users: WordSets
    tids: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]
    has_text: npt.NDArray[np.bool_]

    def tokens(self, chosen: npt.NDArray[np.bool_], is_recent: bool, reads: Reads) -> TokenBatch:
        """Return the tokens of some posts."""
        counted = chosen & self.has_text
        sets = self.words, self.urls, self.users
        if not counted.all():
            posts = np.flatnonzero(counted)
            sets = self.words.rows(posts), self.urls.rows(posts), self.users.rows(posts)
        skipped = int(np.count_nonzero(chosen) - np.count_nonzero(counted))
        tids, times = self.tids[counted], self.times[counted]
        return TokenBatch(*sets, tids, times, is_recent, skipped, reads)


def _columns(pieces: Sequence[Piece]) -> _Columns:
    first, *others = pieces
    if not others and (found := first.tokens) is not None and not found.skipped:
        has_text = np.ones(len(found.tids), np.bool_)
        return _Columns(found.words, found.urls, found.users, found.tids, found.times, has_text)
    table = pa.concat_tables([piece.table for piece in pieces]).combine_chunks()
    tids, times, users, words, urls = (table.column(name) for name in SCHEMA.names)
    user = users.combine_chunks()
    has_user = user.is_valid().to_numpy(zero_copy_only=False)
    return _Columns(
        words=_sets(words.combine_chunks()),
        urls=_sets(urls.combine_chunks()),
        users=numbered_sets(
            _texts(user.dictionary),
            np.concatenate(([0], np.cumsum(has_user)), dtype=np.int32),
            user.indices.drop_null().to_numpy(),
        ),
        tids=tids.to_numpy(),
        times=times.combine_chunks().view(pa.int64()).to_numpy(),
        has_text=words.is_valid().to_numpy(),
    )


def _sets(lists: pa.ListArray) -> WordSets:
    """Return the sets of words of posts; a null is an empty set."""
    texts = lists.values
    return numbered_sets(
        _texts(texts.dictionary), lists.offsets.to_numpy(), texts.indices.to_numpy()
    )


def _texts(dictionary: pa.StringArray) -> list[Any]:
    found: list[Any] = dictionary.to_numpy(zero_copy_only=False).tolist()
    return found
