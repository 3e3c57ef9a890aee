"""Reading a window with the cache and without, as values to compare."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from dfpipe.analysis.tokenizing import TokenBatch
from dfpipe.analysis.word_sets import WordSets
from dfpipe.posts.slices import Reading, Window
from dfpipe.slices.parts import parts
from dfpipe.slices.reader import tokens_of

Post = tuple[Any, ...]


def posts_of(batches: Iterable[TokenBatch]) -> Counter[Post]:
    """All that the analysis has of each post; under None how many have no text."""
    found: Counter[Any] = Counter()
    for batch in batches:
        sets = (_sets(each) for each in (batch.words, batch.urls, batch.users))
        numbers = batch.tids.tolist(), batch.times.tolist()
        found.update(zip(*numbers, *sets, [batch.is_recent] * len(batch.tids), strict=True))
        found[None, batch.is_recent] += batch.skipped
        assert all(len(s.words) == len(set(s.words)) for s in (batch.words, batch.urls))
        assert 0 not in dict(batch.word_counts()).values()
    return +found


def _sets(sets: WordSets) -> Iterator[frozenset[str]]:
    for start, end in pairwise(sets.indptr.tolist()):
        yield frozenset(sets.words[i] for i in sets.indices[start:end].tolist())


def batches_of(reading: Reading, window: Window, n: int) -> list[TokenBatch]:
    """The tokens of a window in n parts, as one worker reads them."""
    tokens = tokens_of(reading)
    return [batch for part in parts(reading, window, n) for batch in tokens(part)]
