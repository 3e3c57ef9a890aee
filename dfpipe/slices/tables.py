"""The posts of an hour as an Arrow table, and the tokens of such tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dfpipe.analysis.tokenizer import Tokenizer
from dfpipe.analysis.tokenizing import (
    NO_READS,
    PostBatch,
    Reads,
    TokenBatch,
    tokenize,
)
from dfpipe.analysis.word_sets import WordSets, numbered_sets
from dfpipe.posts.slices import Window
from dfpipe.times import microseconds

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
    """Posts of one hour; those of a slice from the cache were not read in the store."""

    table: pa.Table
    reads: Reads
    is_cached: bool


def table_of(
    batch: PostBatch, tokenizer: Tokenizer, times: npt.NDArray[np.int64] | None = None
) -> pa.Table:
    """Return the table of some posts; those without a text come last.

    The times may be given in microseconds, if they are known.
    """
    tokens = tokenize(batch, tokenizer, is_recent=False, times=times)
    users = _lists(tokens.users)
    table = pa.Table.from_arrays(
        [
            pa.array(tokens.tids),
            pa.array(tokens.times).cast(TIME),
            # One user a post, or none
            users.values.take(pa.array(*_first(tokens.users))),
            _lists(tokens.words),
            _lists(tokens.urls),
        ],
        schema=SCHEMA,
    )
    if not tokens.skipped:
        return table
    posts = zip(batch.texts, batch.tids, batch.times, strict=True)
    others = [(tid, time) for text, tid, time in posts if not isinstance(text, str)]
    columns = {
        "tid": [tid if isinstance(tid, int) else 0 for tid, _ in others],
        "created_at": [microseconds(time) for _, time in others],
    }
    nulls = {name: [None] * len(others) for name in SCHEMA.names[2:]}
    return pa.concat_tables([table, pa.table({**columns, **nulls}, SCHEMA)]).combine_chunks()


def _first(sets: WordSets) -> tuple[npt.NDArray[np.int32], None, npt.NDArray[np.bool_]]:
    """Return the arguments of an array of where each post's only text is, if it has one."""
    return sets.indptr[:-1], None, sets.lengths == 0


def _lists(sets: WordSets) -> pa.ListArray:
    texts = pa.DictionaryArray.from_arrays(
        pa.array(sets.indices), pa.array(sets.words, pa.string())
    )
    return pa.ListArray.from_arrays(pa.array(sets.indptr), texts)


def token_batches(pieces: Sequence[Piece], part: Window) -> Iterator[TokenBatch]:
    """Yield the tokens of the posts within a window: of those before its recent times, and since.

    The first of them has all the pieces' reads; if no post is in the window, there is one without
    posts.
    """
    table = pa.concat_tables([piece.table for piece in pieces]).combine_chunks()
    every = _columns(table)
    is_cached = np.repeat([p.is_cached for p in pieces], [len(p.table) for p in pieces])
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
    """The columns of a table."""

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


def _columns(table: pa.Table) -> _Columns:
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
        times=times.cast(pa.int64()).to_numpy(),
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
