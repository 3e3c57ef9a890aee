"""Pairs of words in posts, counted and weighed by brute force."""

import math
from collections import Counter
from itertools import combinations

import numpy as np

from dfpipe.analysis.pairs import Weighted
from dfpipe.analysis.tokenizing import TokenBatch
from dfpipe.analysis.word_sets import word_sets

Sets = list[set[str]]  # the words of each post


def frequencies(sets: Sets) -> Counter[str]:
    """How many posts have each word."""
    return Counter(word for words in sets for word in words)


def brute_force(sets: Sets, k: int) -> list[Weighted]:
    """The k pairs of the highest log_weight by (-log_weight, w1, w2)."""
    df = frequencies(sets)
    together = Counter(pair for words in sets for pair in combinations(sorted(words), 2))
    larger = {(w1, w2): max(df[w1], df[w2]) for w1, w2 in together}
    weighted = [
        Weighted(*pair, n, larger[pair], n * math.log(len(sets) / larger[pair]))
        for pair, n in together.items()
    ]
    return sorted((p for p in weighted if p.weight), key=lambda p: (-p.weight, p.w1, p.w2))[:k]


def token_batch(sets: Sets, is_recent: bool = False) -> TokenBatch:
    """A batch of posts that have these words, and nothing else."""
    nothing = word_sets([()] * len(sets))
    zeros = np.zeros(len(sets), np.int64)
    return TokenBatch(word_sets(sets), nothing, nothing, zeros, zeros, is_recent, 0)
