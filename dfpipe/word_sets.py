"""Which words some posts have, as a sparse matrix."""

import pickle
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from zlib import compress, decompress

import numpy as np
import numpy.typing as npt

from dfpipe.ranking import Counted


@dataclass(frozen=True, slots=True)
class WordSets:
    """The sets of words of some posts, as a sparse matrix of posts by words.

    `words` are the distinct words; post i has those at `indices[indptr[i]:indptr[i + 1]]`.
    """

    words: tuple[str, ...]
    indptr: npt.NDArray[np.int32]
    indices: npt.NDArray[np.int32]
    packed: bytes | None = field(default=None, repr=False, compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle packed, in half the bytes: of all that goes between steps these are the most."""
        return unpacked, (self.packed or _packed(self),)

    @property
    def posts(self) -> int:
        """The number of posts, those without a word included."""
        return len(self.indptr) - 1

    def counts(self) -> list[Counted]:
        """Return each word with the number of posts that have it."""
        df = np.bincount(self.indices, minlength=len(self.words))
        return list(zip(self.words, df.tolist(), strict=True))


def word_sets(sets: Iterable[Iterable[str]]) -> WordSets:
    """Return the matrix of posts by words for one set of words per post."""
    index: dict[str, int] = {}
    indices: list[int] = []
    indptr = [0]
    for words in sets:
        indices.extend([index.setdefault(word, len(index)) for word in words])
        indptr.append(len(indices))
    return WordSets(tuple(index), np.array(indptr, np.int32), np.array(indices, np.int32))


def _packed(sets: WordSets) -> bytes:
    lengths = np.diff(sets.indptr)
    parts = (
        "\n".join(sets.words),
        lengths.astype(np.min_scalar_type(lengths.max(initial=0))),
        sets.indices.astype(np.min_scalar_type(len(sets.words))),
    )
    return compress(pickle.dumps(parts, pickle.HIGHEST_PROTOCOL), 1)


def unpacked(packed: bytes) -> WordSets:
    """Return what a pickle holds, to be pickled again as it is."""
    joined, lengths, indices = pickle.loads(decompress(packed))  # noqa: S301  # our own
    words = tuple(joined.split("\n")) if joined else ()
    indptr = np.concatenate(([0], np.cumsum(lengths, dtype=np.int32)), dtype=np.int32)
    return WordSets(words, indptr, indices.astype(np.int32), packed)
