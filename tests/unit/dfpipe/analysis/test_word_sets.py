"""The sets of words of posts, and the form in which they are sent."""

import pickle

import pytest

from dfpipe.analysis.word_sets import word_sets

SETS = {
    "usual": [{"storm", "sea"}, set(), {"sea", "caf\u00e9", "it's"}],
    "no-post": [],
    "no-word": [set(), set()],
    "long-post": [{f"word{i}" for i in range(70_000)}, {"word7"}],
}


@pytest.mark.parametrize("name", SETS)
def test_a_pickle_holds_the_same(name: str) -> None:
    sets = word_sets(SETS[name])
    pickled = pickle.dumps(sets)
    read = pickle.loads(pickled)
    assert read.words == sets.words
    for mine, other in ((read.indptr, sets.indptr), (read.indices, sets.indices)):
        assert mine.dtype == other.dtype
        assert mine.tolist() == other.tolist()
    assert sorted(read.counts()) == sorted(sets.counts())
    assert pickle.dumps(read) == pickled


def test_a_pickle_is_small() -> None:
    sets = word_sets([{f"word{i % 900}", f"word{i % 77}", "sea"} for i in range(5_000)])
    assert len(pickle.dumps(sets)) < 4 * len(sets.indices) / 2
