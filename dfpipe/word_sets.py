"""Which words some posts have, as a sparse matrix."""

from collections.abc import Iterable
from dataclasses import dataclass

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
