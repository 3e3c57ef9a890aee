import math
import tracemalloc
from collections import Counter
from datetime import UTC, datetime, timedelta

import apache_beam as beam
import pytest
from apache_beam.pvalue import AsList
from hypothesis import given
from hypothesis import strategies as st

from dfpipe.analysis.recency import Sizes, recent, total
from dfpipe.analysis.tokenizer import Tokenizer
from dfpipe.analysis.tokenizing import PostBatch, Tally, TokenBatch, tokenize
from dfpipe.posts.reading import post_batches
from dfpipe.times import time_of
from dfpipe.transforms import (
    CountInShards,
    PairRankings,
    TimeSlice,
    TopCounts,
    time_slices,
)
from dfpipe.transforms.once import Once
from dfpipe.transforms.pair_rankings import _CountPairs
from dfpipe.transforms.top_counts import Counts, Ranked, add_in_parts, shard_of
from tests.support.pipelines import outputs, run_transform
from tests.support.ranking import brute_force, token_batch

START = datetime(2015, 1, 7, tzinfo=UTC)
TICK = timedelta(microseconds=1)


@given(st.integers(1, 10**12), st.integers(1, 50))
def test_slices_are_the_window_cut_without_gap_or_overlap(length: int, n: int) -> None:
    window = TimeSlice(START, START + length * TICK)
    slices = time_slices(window, n)
    assert slices[0].start == window.start
    assert slices[-1].end == window.end
    assert [s.end for s in slices[:-1]] == [s.start for s in slices[1:]]
    lengths = [s.end - s.start for s in slices]
    assert min(lengths) > timedelta(0)
    assert max(lengths) - min(lengths) <= TICK
    assert len(slices) == min(n, length)


def test_batches_have_few_posts_where_these_are_long() -> None:
    texts = ["x" * 2_000_000] * 4 + [None, b"x" * 9_000_000] + ["x"] * 7_000
    posts = ((text, [i], "anna", i, START) for i, text in enumerate(texts))
    batches = list(post_batches(posts))
    assert [len(batch.texts) for batch in batches] == [3, 5_000, 2_003]
    assert [text for batch in batches for text in batch.texts] == texts
    assert [url for batch in batches for url in batch.urls] == [[i] for i in range(len(texts))]
    assert list(post_batches([])) == []


def test_tokenize_skips_what_has_no_text() -> None:
    batch = PostBatch(
        ["Storm at sea", None, 7, "", "storm"],
        [["http://a.com", "http://A.com"], ["http://b.com"], None, "http://a.com", None],
        ["anna", "ben", "ben", None, 7],
        [2**60, 1, 2, "three", 4],
        [START + i * TICK for i in range(5)],
    )
    tokens = tokenize(batch, Tokenizer("modern", {"at"}), is_recent=False)
    assert dict(tokens.word_counts()) == {"storm": 2, "sea": 1}
    assert tokens.url_counts() == [("http://a.com/", 2)]
    assert tokens.users.counts() == [("anna", 1)]
    assert tokens.tids.tolist() == [2**60, 0, 4]
    assert [time_of(time) for time in tokens.times.tolist()] == [
        START + i * TICK for i in (0, 3, 4)
    ]
    assert tokens.tally() == Tally(posts=3, skipped=2)
    assert tokens.words.posts == tokens.urls.posts == tokens.users.posts == 3


def test_recent_posts_are_counted_as_such() -> None:
    columns = (["storm", None], [None] * 2, [None] * 2, [1, 2], [START] * 2)
    tokens = tokenize(PostBatch(*columns), Tokenizer("modern", set()), is_recent=True)
    (count,) = dict(tokens.word_counts()).values()
    assert (total(count), recent(count)) == (1, 1)
    assert tokens.tally() == Tally(posts=1, skipped=1, recent=1)


@pytest.mark.parametrize("held", [1, 2, 1_000_000])
def test_counts_add_up_over_batches(held: int) -> None:
    batches = [[("a", 1), ("b", 2)], [("b", 3)], [], [("é", 1), ("c", 9)]]
    shards = run_transform(CountInShards(3, list, held), batches)
    merged = [item for _, counts in shards for item in counts.items()]
    assert sorted(merged) == [("a", 1), ("b", 5), ("c", 9), ("é", 1)]
    if held > 2:
        assert len({shard for shard, _ in shards}) == len(shards) <= 3


@pytest.mark.parametrize("held", [1, 40, 10_000])
def test_a_shard_is_added_up_in_parts_of_bounded_size(held: int) -> None:
    halves = [{f"word{i}": i for i in range(600)}, {f"word{i}": 1 for i in range(300, 900)}]
    mine = [{w: n for w, n in half.items() if shard_of(w, 3) == 1} for half in halves]
    parts = list(add_in_parts([Counts.of(half) for half in mine], 3, held))
    assert max(len(part.items()) for part in parts) <= held
    assert (len(parts) == 1) == (held == 10_000)
    items = [item for part in parts for item in part.items()]
    assert sorted(items) == sorted((Counter(mine[0]) + Counter(mine[1])).items())


def test_top_counts_over_shards() -> None:
    shards = [(0, Counts.of({"a": 1, "c": 3})), (1, Counts.of({"b": 3}))]
    assert run_transform(TopCounts(2), shards) == [Ranked([("b", 3), ("c", 3)], 3)]
    assert run_transform(TopCounts(2), []) == [Ranked([], 0)]


def test_once_has_a_result_for_nothing() -> None:
    def build(p: beam.Pipeline) -> dict[str, beam.PCollection]:
        nothing = p | beam.Create([], reshuffle=False)
        return {"out": p | Once(len, AsList(nothing))}

    assert outputs(build) == {"out": [0]}


def rank_with_beam(sets: list[set[str]], k: int, candidates: int) -> list[object]:
    def build(p: beam.Pipeline) -> dict[str, beam.PCollection]:
        batches = p | "Sets" >> beam.Create([token_batch(sets[i::3]) for i in range(3)])
        counts = batches | CountInShards(4, TokenBatch.word_counts)
        sizes = p | "Sizes" >> beam.Create([Sizes(len(sets))])
        return {"out": (batches, counts, sizes) | PairRankings(k, candidates, 4)}

    (ranked,) = outputs(build)["out"]
    assert ranked.rising == []  # as no post is recent
    return ranked.telling


SETS = [{"a", "b", "c"}, {"a", "b"}, {"b", "c", "d"}, {"a"}, {"d", "e"}, {"d", "e", "a"}, set()]


@pytest.mark.parametrize(("k", "candidates"), [(1, 1), (3, 1), (3, 2), (3, 3), (3, 100), (50, 2)])
def test_pair_rankings_do_not_depend_on_the_candidates(k: int, candidates: int) -> None:
    assert rank_with_beam(SETS, k, candidates) == brute_force(SETS, k)


@pytest.mark.parametrize(("held", "long"), [(1_000, 64), (-1, 64), (-1, 2), (-1, 0)])
def test_pair_counts_within_bounded_memory_are_the_same(
    monkeypatch: pytest.MonkeyPatch, held: int, long: int
) -> None:
    monkeypatch.setattr("dfpipe.analysis.pairs.ALL_HELD", held)
    monkeypatch.setattr("dfpipe.analysis.pairs.LONG", long)
    monkeypatch.setattr("dfpipe.analysis.pairs.LISTED", 1)
    monkeypatch.setattr(_CountPairs, "LIMIT", 1)
    assert rank_with_beam(SETS, 9, 100) == brute_force(SETS, 9)


def test_the_pairs_of_long_posts_are_never_held_together(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AT_ONCE", "ALL_HELD", "LISTED"):
        monkeypatch.setattr(f"dfpipe.analysis.pairs.{name}", 100_000)
    words = [f"w{i:04}" for i in range(3_000)]
    sets = [set(words), set(words[::2]), *({word} for word in words[:500])]
    tracemalloc.start()
    try:
        ranked = rank_with_beam(sets, 50, candidates=1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert ranked[0] == ("w0500", "w0502", 2, 2, 2 * math.log(len(sets) / 2))
    # 16 bytes for each of the pairs of the longest would be 72 MB.
    assert peak < 36_000_000
