"""The ranking of pairs by brute force, over plain sets of words."""

import math
from collections import Counter
from itertools import combinations

from dfpipe.analysis.pairs import Weighted

Sets = list[set[str]]


def frequencies(sets: Sets) -> Counter[str]:
    """In how many of the sets each word is."""
    return Counter(word for words in sets for word in words)


def brute_force(sets: Sets, k: int) -> list[Weighted]:
    """The k pairs of the highest weight above 0, as the specification ranks them."""
    df, n = frequencies(sets), len(sets)
    pairs = Counter(pair for words in sets for pair in combinations(sorted(words), 2))
    weighted = [
        (*pair, count, count * math.log(n / max(df[pair[0]], df[pair[1]])))
        for pair, count in pairs.items()
    ]
    return sorted((p for p in weighted if p[3]), key=lambda p: (-p[3], p[0], p[1]))[:k]
