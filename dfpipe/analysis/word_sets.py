"""Which words some posts have, as a sparse matrix."""

import pickle
from collections.abc import Iterable
from typing import Any, NamedTuple
from zlib import compress, decompress

import numpy as np
import numpy.typing as npt

from dfpipe.analysis.ranking import Counted

Ints = npt.NDArray[np.int32]


class _Matrix(NamedTuple):
    words: tuple[str, ...]
    indptr: Ints
    indices: Ints


class WordSets:
    """The sets of words of some posts, as a sparse matrix of posts by words.

    It is pickled packed, in half the bytes, as of all that goes between steps these are the most;
    and it is unpacked where it is looked at, which not every step does that it comes to.
    """

    def __init__(self, matrix: _Matrix | None, packed: bytes | None = None) -> None:
        """Hold either or both; see `word_sets`."""
        self._matrix = matrix
        self._packed = packed

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the packed form."""
        if self._packed is None:
            self._packed = _packed(self._unpacked())
        return WordSets, (None, self._packed)

    def _unpacked(self) -> _Matrix:
        if self._matrix is None:
            assert self._packed is not None
            self._matrix = _unpacked(self._packed)
        return self._matrix

    @property
    def words(self) -> tuple[str, ...]:
        """The distinct words."""
        return self._unpacked().words

    @property
    def indptr(self) -> Ints:
        """Post i has the words at `indices[indptr[i]:indptr[i + 1]]`."""
        return self._unpacked().indptr

    @property
    def indices(self) -> Ints:
        """The positions of the posts' words."""
        return self._unpacked().indices

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
    return WordSets(_Matrix(tuple(index), np.array(indptr, np.int32), np.array(indices, np.int32)))


def _packed(matrix: _Matrix) -> bytes:
    lengths = np.diff(matrix.indptr)
    parts = (
        "\n".join(matrix.words),
        lengths.astype(np.min_scalar_type(lengths.max(initial=0))),
        matrix.indices.astype(np.min_scalar_type(len(matrix.words))),
    )
    return compress(pickle.dumps(parts, pickle.HIGHEST_PROTOCOL), 1)


def _unpacked(packed: bytes) -> _Matrix:
    joined, lengths, indices = pickle.loads(decompress(packed))  # noqa: S301  # our own
    words = tuple(joined.split("\n")) if joined else ()
    indptr = np.concatenate(([0], np.cumsum(lengths, dtype=np.int32)), dtype=np.int32)
    return _Matrix(words, indptr, indices.astype(np.int32))
