"""Which words some posts have, as a sparse matrix; and which of any other texts."""

import pickle
from collections.abc import Collection, Iterable, Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import Any, NamedTuple
from zlib import compress, decompress

import numpy as np
import numpy.typing as npt

from dfpipe.analysis.ranking import Counted

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]


class _Matrix(NamedTuple):
    """See the properties of WordSets."""

    words: tuple[str, ...]
    indptr: Ints
    indices: Ints


class WordSets:
    """The sets of words of some posts, as a sparse matrix of posts by words.

    The URLs of posts are held in the same way, and their users.

    It is pickled in a packed form of half the bytes, because most of the data between steps are
    word sets. It is unpacked when it is used, which not every step does.
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
        """The distinct words of all sets, in the order of their numbers."""
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

    @property
    def lengths(self) -> Ints:
        """The number of words of each post."""
        return np.diff(self.indptr)

    def counts(self, unit: int = 1) -> list[Counted]:
        """Return each word with the number of posts that have it, times `unit`."""
        df = np.bincount(self.indices, minlength=len(self.words)) * unit
        return list(zip(self.words, df.tolist(), strict=True))

    def rows(self, posts: Longs) -> "WordSets":
        """Return the sets of some of the posts, with no words but theirs."""
        lengths = self.lengths[posts]
        indptr = np.concatenate(([0], np.cumsum(lengths)), dtype=np.int32)
        # From the place of an index in the rows to its place here
        shifts = np.repeat(self.indptr[posts] - indptr[:-1], lengths)
        used, indices = np.unique(self.indices[shifts + np.arange(indptr[-1])], return_inverse=True)
        words = tuple([self.words[i] for i in used.tolist()])
        return WordSets(_Matrix(words, indptr, indices.astype(np.int32)))

    def digests(self) -> Longs:
        """Return 128 bits for each post, in two columns: equal sets of words have the same."""
        names = [word.encode() for word in self.words]
        order = np.argsort(np.array(sorted(range(len(names)), key=names.__getitem__), np.int64))
        post = np.repeat(np.arange(self.posts), self.lengths)
        ordered = self.indices[np.lexsort((order[self.indices], post))].tolist()
        joined = bytearray()
        for start, end in pairwise(self.indptr.tolist()):
            text = b"\n".join([names[i] for i in ordered[start:end]])
            joined += blake2b(text, digest_size=16).digest()
        return np.frombuffer(joined, np.int64).reshape(-1, 2)


def word_sets(sets: Iterable[Collection[str]]) -> WordSets:
    """Return the matrix of posts by words for one set of words per post."""
    index: dict[str, int] = {}
    indices: list[int] = []
    indptr = [0]
    for words in sets:
        if words:
            indices.extend([index.setdefault(word, len(index)) for word in words])
        indptr.append(len(indices))
    return WordSets(_Matrix(tuple(index), np.array(indptr, np.int32), np.array(indices, np.int32)))


def word_sets_of(posts: int, post: Longs, number: Longs, words: Sequence[str]) -> WordSets:
    """Return the matrix of posts by words, given for each word in a post the numbers of both.

    A word may come more than once in a post, and the posts in any order.
    """
    codes = np.sort(post * len(words) + number)
    codes = codes[np.diff(codes, prepend=-1) > 0]
    post, number = np.divmod(codes, max(len(words), 1))
    return numbered_sets(words, np.searchsorted(post, np.arange(posts + 1)), number)


def numbered_sets(words: Sequence[str], indptr: Ints | Longs, indices: Ints | Longs) -> WordSets:
    """Return the matrix of posts by words, which are given by number; unused words are left out."""
    used = np.bincount(indices, minlength=len(words)) > 0
    if not used.all():
        indices = (np.cumsum(used) - 1)[indices]
        words = [words[i] for i in np.flatnonzero(used).tolist()]
    return WordSets(_Matrix(tuple(words), indptr.astype(np.int32), indices.astype(np.int32)))


def single_texts(texts: Sequence[object]) -> WordSets:
    """Return the matrix for one text per post, or none where it is not a string."""
    given = [text for text in texts if isinstance(text, str)]
    distinct = tuple(dict.fromkeys(given))
    index = {text: i for i, text in enumerate(distinct)}
    has_text = [isinstance(text, str) for text in texts]
    indptr = np.concatenate(([0], np.cumsum(has_text, dtype=np.int32)), dtype=np.int32)
    return WordSets(_Matrix(distinct, indptr, np.array([index[t] for t in given], np.int32)))


def packed_numbers(numbers: Longs) -> bytes:
    """Return numbers in few bytes where each is near the one before."""
    return compress(np.diff(numbers, prepend=0).tobytes(), 1)


def unpacked_numbers(packed: bytes) -> Longs:
    """Return what was given to `packed_numbers`."""
    return np.cumsum(np.frombuffer(decompress(packed), np.int64))


def _packed(matrix: _Matrix) -> bytes:
    lengths = np.diff(matrix.indptr)
    joined = "\n".join(matrix.words)
    parts = (
        # No word has a line break in it, but other texts may.
        joined if joined.count("\n") < max(len(matrix.words), 1) and joined else matrix.words,
        lengths.astype(np.min_scalar_type(lengths.max(initial=0))),
        matrix.indices.astype(np.min_scalar_type(len(matrix.words))),
    )
    return compress(pickle.dumps(parts, pickle.HIGHEST_PROTOCOL), 1)


def _unpacked(packed: bytes) -> _Matrix:
    joined, lengths, indices = pickle.loads(decompress(packed))  # noqa: S301  # our own
    words = tuple(joined.split("\n")) if isinstance(joined, str) else joined
    indptr = np.concatenate(([0], np.cumsum(lengths, dtype=np.int32)), dtype=np.int32)
    return _Matrix(words, indptr, indices.astype(np.int32))
