import math
import random
from array import array
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfpipe.analysis import pairs, ranking
from dfpipe.analysis.measures import LogWeight
from dfpipe.analysis.pairs import Found, PairCounts, ShardOfPairs, Weighted
from dfpipe.analysis.ranking import Candidates, Mark, Measure
from dfpipe.analysis.recency import MOST_POSTS, Sizes
from dfpipe.analysis.word_sets import word_sets
from tests.support.ranking import Sets, brute_force, frequencies

WORDS = st.text("abcdé", min_size=1, max_size=2)
SETS = st.lists(st.sets(WORDS, max_size=6), max_size=25)


def by(posts: int) -> list[Measure]:
    return [LogWeight(Sizes(posts))]


def count(found: Found, words: Candidates) -> PairCounts:
    counter = pairs.PairCounter(len(words), words.leads)
    for codes in counter.codes([found]):
        counter.add(codes)
    return counter.counts()


def rank(
    sets: Sets, words: Candidates, k: int, parts: int = 3, shards: int = 3
) -> list[pairs.Weighted]:
    """Count in several parts, add up and rank in shards, merge: as the transforms do."""
    index = words.index()
    gathered: defaultdict[int, list[PairCounts | Found]] = defaultdict(list)
    for i in range(parts):
        found = pairs.among(word_sets(sets[i::parts]), index)
        if not pairs.all_held(len(words)):
            found, long = found.split()
            for shard in pairs.PairCounter(len(words), words.leads).shards_with(long, shards):
                gathered[shard].append(long)
        for shard, some in count(found, words).shards(shards, len(words)):
            gathered[shard].append(some)
    tops = [
        ShardOfPairs(i, shards, some).top(words, *by(len(sets)), k) for i, some in gathered.items()
    ]
    return pairs.merge_top_pairs(tops, k)


@given(st.dictionaries(WORDS, st.integers(1, 4)), st.integers(1, 5))
def test_top_counts_breaks_ties_by_text(counts: dict[str, int], k: int) -> None:
    expected = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:k]
    assert ranking.top_counts(counts, k) == expected
    halves = [dict(list(counts.items())[i::2]) for i in range(2)]
    tops = [ranking.top_counts(half, k) for half in halves]
    assert ranking.merge_top_counts(tops, k) == expected


@given(SETS)
def test_no_pair_exceeds_the_bound_of_its_words(sets: Sets) -> None:
    df = frequencies(sets)
    measure = LogWeight(Sizes(len(sets)))
    for pair in brute_force(sets, 10_000):
        assert pair.weight <= measure.bound(df[pair.w1])
        assert pair.weight <= measure.bound(df[pair.w2])


@given(st.integers(2, MOST_POSTS), st.data())
def test_the_bound_is_attained_by_words_of_one_df_that_are_always_together_alone(
    posts: int, data: st.DataObject
) -> None:
    df = data.draw(st.integers(1, posts - 1))
    other, n = data.draw(st.integers(df, min(df + 2, posts))), data.draw(st.integers(1, df))
    bound = LogWeight(Sizes(posts)).bound(df)
    for larger, together in ((other, df), (df, n), (other, n), (posts, df)):
        weight = together * math.log(posts / larger)
        assert weight <= bound
        assert (weight == bound) == (larger == df and together == df)


@given(SETS)
def test_word_sets_are_the_sets(sets: Sets) -> None:
    matrix = word_sets(sets)
    assert matrix.posts == len(sets)
    assert dict(matrix.counts()) == frequencies(sets)
    rows = [matrix.indices[a:b] for a, b in zip(matrix.indptr, matrix.indptr[1:], strict=False)]
    assert [{matrix.words[i] for i in row} for row in rows] == sets


@given(SETS, st.integers(1, 8))
def test_pairs_among_all_words_are_ranked_exactly(sets: Sets, k: int) -> None:
    words = ranking.survivors(frequencies(sets).items(), by(len(sets)), [Mark(0.0, "")])
    assert rank(sets, words, k) == brute_force(sets, k)


@given(SETS, st.integers(1, 8), st.integers(1, 12))
def test_the_two_passes_are_exact_for_any_number_of_candidates(
    sets: Sets, k: int, limit: int
) -> None:
    df, n = frequencies(sets), len(sets)
    parts = [ranking.candidates(list(df.items())[i::3], by(n), limit) for i in range(3)]
    likely = ranking.merge_candidates(parts, by(n), limit)
    assert likely == ranking.candidates(df.items(), by(n), limit)
    ranked = rank(sets, likely, k)
    marks = pairs.marks([ranked], likely, by(n), k)
    if marks != [None]:
        reaching = [ranking.survivors(list(df.items())[i::3], by(n), marks) for i in range(3)]
        ranked = rank(sets, ranking.join_survivors(reaching, by(n), marks), k)
    assert ranked == brute_force(sets, k)


def test_the_many_words_of_one_post_are_not_paired_with_each_other() -> None:
    words = [f"w{i:05}" for i in range(20_000)]
    # The first candidates are a post of their own, too few for k pairs.
    sets = [{"a", "b", "c"}, set(words), {"w00001"}]
    df, n = frequencies(sets), len(sets)
    likely = ranking.candidates(df.items(), by(n), 10)
    ranked = rank(sets, likely, 8)
    marks = pairs.marks([ranked], likely, by(n), 8)
    assert marks == [Mark(math.log(3), "w00000")]
    whole = ranking.join_survivors([ranking.survivors(df.items(), by(n), marks)], by(n), marks)
    found = pairs.among(word_sets(sets), whole.index())
    assert len(count(found, whole).codes) < 3 * len(words)
    expected = [("a", "b"), ("a", "c"), ("b", "c"), *(("w00000", w) for w in words[2:7])]
    larger = [max(df[w1], df[w2]) for w1, w2 in expected]
    weights = [math.log(n / posts) for posts in larger]
    found = zip(expected, larger, weights, strict=True)
    assert rank(sets, whole, 8) == [(*pair, 1, posts, weight) for pair, posts, weight in found]


def test_the_bound_spares_nearly_all_words_of_a_long_tail() -> None:
    chance = random.Random(7)
    sets = [{f"w{int(chance.paretovariate(0.7))}" for _ in range(8)} for _ in range(3_000)]
    df = frequencies(sets)
    likely = ranking.candidates(df.items(), by(len(sets)), 100)
    ranked = rank(sets, likely, 20)
    assert pairs.marks([ranked], likely, by(len(sets)), 20) == [None]
    assert ranked == brute_force(sets, 20)
    assert len(df) > 500


def test_a_tie_with_what_was_left_out_is_not_final() -> None:
    likely = Candidates("a\nb", array("q", [1, 1]), left_out=(2.0,))

    def marks(weight: float, k: int) -> list[Mark | None]:
        return pairs.marks([[Weighted("a", "b", 1, 1, weight)]], likely, by(9), k)

    assert marks(2.0, 1) == [Mark(2.0, "a")]
    assert marks(2.5, 1) == [None]
    assert marks(2.5, 2) == [Mark(0.0, "")]


def test_words_in_every_post_alone_leave_nothing_to_look_for() -> None:
    likely = ranking.candidates([("a", 3), ("b", 3)], by(3), 1)
    assert pairs.marks([[]], likely, by(3), 1) == [None]


def test_nothing_gives_nothing() -> None:
    empty = ranking.merge_candidates([], by(0), 10)
    assert empty == Candidates(left_out=(0.0,))
    assert not ranking.join_survivors([], by(0), [Mark(0.0, "")])
    assert len(pairs.add_pairs([]).codes) == len(pairs.PairCounter(0).counts().codes) == 0
    assert ShardOfPairs(0, 4, []).top(empty, *by(0), 5) == []
    assert list(pairs.NO_PAIRS.shards(4, 0)) == []


@pytest.mark.parametrize("held", [-1, 1_000])
@pytest.mark.parametrize("at_once", [1, 2, 7, 1_000_000])
def test_pairs_are_counted_in_parts_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch, at_once: int, held: int
) -> None:
    monkeypatch.setattr(pairs, "AT_ONCE", at_once)
    monkeypatch.setattr(pairs, "ALL_HELD", held)
    sets = [{"a", "b", "c", "d"}, set(), {"b", "d"}, {"a"}, {"a", "b", "c", "d"}, {"c", "d"}]
    words = ranking.survivors(frequencies(sets).items(), by(len(sets)), [Mark(0.0, "")])
    assert rank(sets, words, 10) == brute_force(sets, 10)


@given(SETS, st.integers(1, 8), st.integers(0, 6), st.integers(1, 20), st.data())
def test_long_posts_may_come_whole(
    sets: Sets, k: int, long: int, listed: int, data: st.DataObject
) -> None:
    n, df = len(sets), frequencies(sets)
    words = ranking.survivors(df.items(), by(n), [Mark(0.0, "")])
    leads = data.draw(st.none() | st.sets(st.integers(0, max(len(words) - 1, 0))))
    if leads is not None:
        words = replace(words, leads=array("q", sorted(leads & set(range(len(words))))))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("ALL_HELD", -1), ("LONG", long), ("LISTED", listed)):
            patch.setattr(pairs, name, value)
        ranked = rank(sets, words, k, shards=data.draw(st.sampled_from([1, 3, 70_000])))
    expected = brute_force(sets, 10_000)
    if words.leads is not None:
        first = {words.words[i] for i in words.leads}
        expected = [pair for pair in expected if pair[0] in first]
    assert ranked == expected[:k]


def test_no_more_pairs_of_long_posts_are_counted_than_may_be_ranked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    added = []
    add = pairs.PairCounter.add
    monkeypatch.setattr(
        pairs.PairCounter,
        "add",
        lambda self, codes, now=False: (added.append(len(codes)), add(self, codes, now)),
    )
    monkeypatch.setattr(pairs, "LISTED", 10_000)
    # Two posts of a few million pairs, which all weigh the same but for those of the last words.
    sets = [{f"w{i:04}" for i in range(3_000)}] * 2 + [{"w2998", "w2999"}] * 2 + [set()] * 9
    words = ranking.survivors(frequencies(sets).items(), by(len(sets)), [Mark(0.0, "")])
    first = [("w0000", f"w{i:04}", 2, 2, 2 * math.log(13 / 2)) for i in range(1, 3)]
    expected = [("w2998", "w2999", 4, 4, 4 * math.log(13 / 4)), *first]
    assert rank(sets, words, 3, parts=2) == expected
    assert 0 < sum(added) < 100_000 < math.comb(3_000, 2)


def sum_of(parts: Sequence[PairCounts]) -> PairCounts:
    """Return what a Sum that collects few pairs makes of these."""
    added = pairs.Sum(waiting=3)
    for part in parts:
        added.add(part)
    return added.total()


@given(st.lists(st.dictionaries(st.integers(0, 2**62), st.integers(1, 2**40)), max_size=5))
def test_pair_counts_add_up_in_any_order(parts: list[dict[int, int]]) -> None:
    import numpy as np

    arrays = [
        PairCounts(np.array(sorted(p), np.int64), np.array([p[c] for c in sorted(p)], np.int64))
        for p in parts
    ]
    expected = sum((Counter(part) for part in parts), Counter())
    for total in (pairs.add_pairs(arrays), sum_of(arrays)):
        assert dict(zip(total.codes.tolist(), total.counts.tolist(), strict=True)) == expected
        assert (np.diff(total.codes) > 0).all()
