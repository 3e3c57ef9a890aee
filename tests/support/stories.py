"""Rising words, rising pairs and stories by the functions of the analysis alone, without Beam."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from dfpipe.analysis import pairs, ranking, rising
from dfpipe.analysis.copies import largest, merged
from dfpipe.analysis.edges import EdgeIndex, ordered_edges
from dfpipe.analysis.measures import measures
from dfpipe.analysis.pairs import Found, PairCounts, ShardOfPairs
from dfpipe.analysis.parts import Parts, start_of
from dfpipe.analysis.ranking import Candidates, Counted
from dfpipe.analysis.recency import Sizes, recent, total
from dfpipe.analysis.stories import EXAMPLES, FactFinder, Story, facts, grouped, stories
from dfpipe.analysis.tokenizer import Tokenizer
from dfpipe.analysis.tokenizing import (
    PostBatch,
    TokenBatch,
    add_tallies,
    tokenize,
)
from dfpipe.times import microseconds, time_of
from tests.stories_oracle import Stories

BATCHES = 3  # of the recent posts, and of those before


def batches(
    posts: Iterable[Mapping[str, Any]], since: datetime, tokenizer: Tokenizer
) -> list[TokenBatch]:
    """Posts of a window, in several batches."""
    found = []
    for is_recent in (False, True):
        some = [post for post in posts if (post["created_at"] >= since) == is_recent]
        for i in range(BATCHES):
            names = ("text", "urls", "user", "tid", "created_at")
            columns: list[Any] = [[post.get(name) for post in some[i::BATCHES]] for name in names]
            found.append(tokenize(PostBatch(*columns), tokenizer, is_recent))
    return found


def analyse(
    posts: Sequence[Mapping[str, Any]],
    end: datetime,
    days: float = 4,
    text_mode: str = "modern",
    stop_words: Iterable[str] = (),
    top_pairs: int = 300,
    recent: float = 24,
    top_rising: int = 100,
    top_stories: int = 50,
    story_users: int = 2,
    candidates: int = 2048,
) -> Stories:
    """Find what the oracle of the same name does, in its form; all posts are in the window."""
    start, since = end - timedelta(days=days), end - timedelta(hours=recent)
    tokens = batches(posts, since, Tokenizer(text_mode, frozenset(stop_words)))
    counts: Counter[str] = Counter()
    for batch in tokens:
        counts.update(dict(batch.word_counts()))
    tally = add_tallies(batch.tally() for batch in tokens)
    sizes = Sizes(tally.posts, tally.recent, len(counts))
    words = rising.merge_rising(
        [rising.rising_words(some, sizes, top_rising) for some in halves(counts)], sizes, top_rising
    )
    telling, rising_pairs = ranked_pairs(tokens, counts, sizes, top_pairs, candidates)
    tests = rising.tests_of_pairs(sizes)
    listed = [p for p in rising_pairs if rising.p_value(p.weight, tests) < rising.LEVEL]
    told = told_stories(tokens, (telling, listed), sizes, start, end, top_stories, story_users)
    found = rows(since, sizes, words, listed, told, start, end)
    parts = add_tallies(batch.tally(parts_of(start, end)) for batch in tokens).parts
    found.timeline = [(start_of(part, start, end), n) for part, n in sorted(parts.items())]
    return found


def halves(counts: Mapping[str, int]) -> list[list[Counted]]:
    return [list(counts.items())[i::2] for i in range(2)]


def ranked_pairs(
    tokens: Sequence[TokenBatch], counts: Mapping[str, int], sizes: Sizes, k: int, limit: int
) -> list[list[pairs.Weighted]]:
    """Rank pairs by both measures, in the two passes of the pipeline."""
    by = measures(sizes)
    parts = [ranking.candidates(some, by, limit) for some in halves(counts)]
    likely = ranking.merge_candidates(parts, by, limit)
    first = [rank(tokens, likely, measure, k) for measure in by]
    marks = pairs.marks(first, likely, by, k)
    reaching = [ranking.survivors(some, by, marks) for some in halves(counts)]
    every = ranking.join_survivors(reaching, by, marks)
    return [
        ranked if mark is None else rank(tokens, every, measure, k)
        for ranked, mark, measure in zip(first, marks, by, strict=True)
    ]


def rank(
    tokens: Sequence[TokenBatch], words: Candidates, measure: ranking.Measure, k: int
) -> list[pairs.Weighted]:
    index, shards = words.index(), 2
    gathered: list[list[PairCounts | Found]] = [[] for _ in range(shards)]
    for batch in tokens:
        counter = pairs.PairCounter(len(words), words.leads)
        found = pairs.among(batch.words, index, batch.is_recent)
        for codes in counter.codes([found]):
            counter.add(codes, found.is_recent)
        for shard, some in counter.counts().shards(shards, len(words)):
            gathered[shard].append(some)
    tops = [ShardOfPairs(i, shards, some).top(words, measure, k) for i, some in enumerate(gathered)]
    return pairs.merge_top_pairs(tops, k)


def told_stories(
    tokens: Sequence[TokenBatch],
    rankings: Sequence[Sequence[pairs.Weighted]],
    sizes: Sizes,
    start: datetime,
    end: datetime,
    k: int,
    users: int,
) -> list[Story]:
    edges = ordered_edges(rankings, sizes.posts)
    posts = [EdgeIndex(edges).posts_of(batch) for batch in tokens]
    sets: Counter[str] = Counter()
    for some in posts:
        sets.update(dict(some.set_counts()))
    grouping = grouped(edges, sets.items())
    finder = FactFinder(grouping, parts_of(start, end))
    told = [finder.facts_of(some) for some in posts]
    texts: Counter[str] = Counter()
    for one in told:
        texts.update(dict(one.texts))
    listed = [fact for half in halves(texts) for fact in facts(half)]
    alike = merged(one.copies for one in told)
    parts = [largest(alike[i::2], EXAMPLES) for i in range(2)]
    return stories(grouping, listed, parts, sizes, k, users)


def rows(
    since: datetime,
    sizes: Sizes,
    words: Sequence[rising.RisingWord],
    rising_pairs: Sequence[pairs.Weighted],
    told: Sequence[Story],
    start: datetime,
    end: datetime,
) -> Stories:
    """The results in the oracle's form."""
    tests = rising.tests_of_pairs(sizes)
    found = Stories(
        recent_start=since,
        recent=sizes.recent,
        rising_words=[
            (
                *(rank, w.word, recent(w.count), total(w.count) - recent(w.count)),
                100 * recent(w.count) / sizes.recent,
                100 * (total(w.count) - recent(w.count)) / sizes.before,
                *(w.score, rising.p_value(w.score, sizes.words)),
            )
            for rank, w in enumerate(words, 1)
        ],
        rising_pairs=[
            (
                *(rank, p.w1, p.w2, recent(p.posts), total(p.posts) - recent(p.posts)),
                *(p.weight, rising.p_value(p.weight, tests)),
            )
            for rank, p in enumerate(rising_pairs, 1)
        ],
    )
    for rank, story in enumerate(told, 1):
        found.stories.append(
            (
                *(rank, story.w1, story.w2, story.words, story.posts, story.users),
                *(story.recent, story.posts - story.recent, story.score, story.p_value),
                *(story.pairs, time_of(story.first_seen), time_of(story.last_seen)),
            )
        )
        for i, (tid, n) in enumerate(story.examples, 1):
            found.story_posts.append((rank, i, tid, n))
        for i, (url, n) in enumerate(story.urls, 1):
            found.story_urls.append((rank, i, url, n))
        for part, n in story.timeline:
            found.story_timeline.append((rank, start_of(part, start, end), n))
    return found


def parts_of(start: datetime, end: datetime) -> Parts:
    return Parts(microseconds(start), microseconds(end) - microseconds(start))
