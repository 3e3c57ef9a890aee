"""The edges of a window, the pairs that its stories are made of, and the posts that have them."""

import math
import pickle
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any
from zlib import compress, decompress

import numpy as np

from dfpipe.analysis.pairs import Weighted, following_in_post, in_each, pair_codes
from dfpipe.analysis.ranking import Counted, Ints
from dfpipe.analysis.recency import total
from dfpipe.analysis.tokenizing import TokenBatch
from dfpipe.analysis.word_sets import WordSets

Edge = tuple[str, str]  # two words, the lower in code-point order first
EdgeSet = tuple[int, ...]  # numbers of edges, ascending
NUMBERS = np.dtype("<i4")


def ordered_edges(rankings: Iterable[Sequence[Weighted]], posts: int) -> list[Edge]:
    """Return the pairs of several rankings by (-log_weight, w1, w2), each of them once."""
    weights = {
        (pair.w1, pair.w2): total(pair.posts) * math.log(posts / pair.larger)
        for ranked in rankings
        for pair in ranked
    }
    return sorted(weights, key=lambda edge: (-weights[edge], *edge))


@dataclass(frozen=True, slots=True)
class EdgePosts:
    """Posts that have an edge, in columns; all of them are recent, or none is.

    `edges` has the numbers of each post's edges, ascending, `edge_counts` of them a post; `words`
    the positions of its words among those of all edges, `word_counts` of them. `digests` are of
    the whole set of its words. The others are as in TokenBatch.
    """

    edges: Ints
    edge_counts: Ints
    words: Ints
    word_counts: Ints
    digests: Ints
    urls: WordSets
    users: WordSets
    tids: Ints
    times: Ints
    is_recent: bool

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle packed: most of the numbers are small."""
        columns = [getattr(self, field.name) for field in fields(self)]
        return _unpacked, (compress(pickle.dumps(columns, pickle.HIGHEST_PROTOCOL), 1),)

    def keys(self) -> Iterator[str]:
        """Give the edges of each post as a text, see `edges_of`."""
        packed = self.edges.astype(NUMBERS).tobytes().decode("latin-1")
        ends = np.cumsum(self.edge_counts) * NUMBERS.itemsize
        return (packed[start:end] for start, end in pairwise((0, *ends.tolist())))

    def set_counts(self) -> list[Counted]:
        """Return each distinct set of edges, as a text, with how many of the posts have it."""
        return list(Counter(self.keys()).items())


def _unpacked(packed: bytes) -> EdgePosts:
    return EdgePosts(*pickle.loads(decompress(packed)))  # noqa: S301  # our own


def edges_of(key: str) -> EdgeSet:
    """Return the set of edges that is written as this text."""
    return tuple(np.frombuffer(key.encode("latin-1"), NUMBERS).tolist())


class EdgeIndex:
    """Finds which edges, pairs of words, each post contains."""

    def __init__(self, edges: Sequence[Edge]) -> None:
        """Number the edges in the given order, and their words in code-point order."""
        self.words = sorted({word for edge in edges for word in edge})
        self._position = {word: i for i, word in enumerate(self.words)}
        codes = np.array([self.code(edge) for edge in edges], np.int64)
        self._numbers = np.argsort(codes)
        self._codes = codes[self._numbers]

    def code(self, edge: Edge) -> int:
        """Return the number of a pair among all pairs of the words."""
        return self._position[edge[0]] * len(self.words) + self._position[edge[1]]

    def posts_of(self, batch: TokenBatch) -> EdgePosts:
        """Return the posts of a batch that have an edge."""
        found = in_each(batch.words, self._position)
        post, edge = self._edges_in(found.positions, following_in_post(found), found.lengths)
        posts, edge_counts = np.unique(post, return_counts=True)
        has_edge = np.zeros(len(found.lengths), np.bool_)
        has_edge[posts] = True
        return EdgePosts(
            edges=edge,
            edge_counts=edge_counts,
            words=found.positions[np.repeat(has_edge, found.lengths)],
            word_counts=found.lengths[posts],
            digests=batch.words.rows(posts).digests(),
            urls=batch.urls.rows(posts),
            users=batch.users.rows(posts),
            tids=batch.tids[posts],
            times=batch.times[posts],
            is_recent=batch.is_recent,
        )

    def _edges_in(self, positions: Ints, following: Ints, lengths: Ints) -> tuple[Ints, Ints]:
        """Return places of posts, and beside them the numbers of their edges; both ascend."""
        of_word = np.repeat(np.arange(len(lengths)), lengths)
        posts, edges = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for first, codes in pair_codes(positions, following, len(self.words)):
            place = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
            hits = np.flatnonzero(self._codes[place] == codes)
            posts.append(of_word[first[hits]])
            edges.append(self._numbers[place[hits]])
        post, edge = np.concatenate(posts), np.concatenate(edges)
        order = np.lexsort((edge, post))
        return post[order], edge[order]
