"""The rows of the result tables, made of what the steps have found; no Beam."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from dfpipe.analysis.pairs import Weighted
from dfpipe.analysis.parts import start_of
from dfpipe.analysis.recency import Sizes, recent, total
from dfpipe.analysis.rising import RisingWord, p_value, tests_of_pairs
from dfpipe.analysis.stories import Story
from dfpipe.analysis.tokenizing import Tally
from dfpipe.posts.slices import Window
from dfpipe.settings import RunSettings
from dfpipe.times import time_of
from dfpipe.transforms.pair_rankings import RankedPairs
from dfpipe.transforms.top_counts import Ranked
from dfpipe.version import VERSION
from dfpipe.warehouse import tables
from dfpipe.warehouse.tables import Row, Run, Table, TableRows, UrlCount, WordCooccur, WordCount


@dataclass(frozen=True, slots=True)
class Found:
    """What the steps have found in a window."""

    tally: Tally
    sizes: Sizes
    words: Ranked
    urls: Ranked
    pairs: RankedPairs
    rising: Sequence[RisingWord]
    stories: Sequence[Story]


def of_run(found: Found, settings: RunSettings, runner: str) -> TableRows:
    """Return the rows of all tables; in RUNS the one Run, its seconds 0.0 until it is written."""
    ts, sizes, stories = settings.ts, found.sizes, found.stories
    run = run_row(sizes, found.tally, found.urls.distinct, settings, runner)
    made: dict[Table, Iterable[Row]] = {
        tables.WORD_COUNTS: word_rows(found.words, found.tally, ts),
        tables.URLS: url_rows(found.urls, ts),
        tables.WORD_COOCCUR: pair_rows(found.pairs.telling, ts),
        tables.RISING_WORDS: rising_word_rows(found.rising, sizes, ts),
        tables.RISING_PAIRS: rising_pair_rows(found.pairs.rising, sizes, ts),
        tables.STORIES: story_rows(stories, ts),
        tables.STORY_POSTS: story_post_rows(stories, ts),
        tables.STORY_URLS: story_url_rows(stories, ts),
        tables.STORY_TIMELINE: story_timeline_rows(stories, ts, settings.window),
        tables.TIMELINE: timeline_rows(found.tally, ts, settings.window),
        tables.RUNS: (run,),
    }
    return {table: list(some) for table, some in made.items()}


def word_rows(ranked: Ranked, tally: Tally, ts: datetime) -> Iterable[WordCount]:
    """Return the rows of ranked words; percent = 100 * df / N."""
    for rank, (word, n) in enumerate(ranked.top, 1):
        yield WordCount(ts, rank, word, n, 100 * n / tally.posts)


def url_rows(ranked: Ranked, ts: datetime) -> Iterable[UrlCount]:
    """Return the rows of ranked URLs."""
    for rank, (url, n) in enumerate(ranked.top, 1):
        yield UrlCount(ts, rank, url, n)


def pair_rows(top: Sequence[Weighted], ts: datetime) -> Iterable[WordCooccur]:
    """Return the rows of the pairs that tell most."""
    for rank, pair in enumerate(top, 1):
        yield WordCooccur(ts, rank, pair.w1, pair.w2, total(pair.posts), pair.weight)


def rising_word_rows(
    words: Sequence[RisingWord], sizes: Sizes, ts: datetime
) -> Iterable[tables.RisingWord]:
    """Return the rows of rising words."""
    for rank, word in enumerate(words, 1):
        a, b = recent(word.count), total(word.count) - recent(word.count)
        yield tables.RisingWord(
            *(ts, rank, word.word, a, b, 100 * a / sizes.recent, 100 * b / sizes.before),
            *(word.score, p_value(word.score, sizes.words)),
        )


def rising_pair_rows(
    top: Sequence[Weighted], sizes: Sizes, ts: datetime
) -> Iterable[tables.RisingPair]:
    """Return the rows of rising pairs."""
    tests = tests_of_pairs(sizes)
    for rank, pair in enumerate(top, 1):
        a, b = recent(pair.posts), total(pair.posts) - recent(pair.posts)
        p = p_value(pair.weight, tests)
        yield tables.RisingPair(ts, rank, pair.w1, pair.w2, a, b, pair.weight, p)


def story_rows(stories: Sequence[Story], ts: datetime) -> Iterable[tables.StoryRow]:
    """Return the rows of the stories themselves."""
    for rank, story in enumerate(stories, 1):
        yield tables.StoryRow(
            ts=ts,
            rank=rank,
            w1=story.w1,
            w2=story.w2,
            words=story.words,
            posts=story.posts,
            users=story.users,
            recent=story.recent,
            before=story.posts - story.recent,
            score=story.score,
            p_value=story.p_value,
            pairs=story.pairs,
            first_seen=time_of(story.first_seen),
            last_seen=time_of(story.last_seen),
        )


def story_post_rows(stories: Sequence[Story], ts: datetime) -> Iterable[Row]:
    """Return the rows of the stories' examples."""
    for rank, story in enumerate(stories, 1):
        for i, (tid, copies) in enumerate(story.examples, 1):
            yield tables.StoryPost(ts, rank, i, tid, copies)


def story_url_rows(stories: Sequence[Story], ts: datetime) -> Iterable[Row]:
    """Return the rows of the stories' links."""
    for rank, story in enumerate(stories, 1):
        for i, (url, n) in enumerate(story.urls, 1):
            yield tables.StoryUrl(ts, rank, i, url, n)


def story_timeline_rows(stories: Sequence[Story], ts: datetime, window: Window) -> Iterator[Row]:
    """Return the rows of the stories' timelines, in the order of time."""
    for rank, story in enumerate(stories, 1):
        for part, n in story.timeline:
            yield tables.StoryPart(ts, rank, start_of(part, window.start, window.end), n)


def timeline_rows(tally: Tally, ts: datetime, window: Window) -> Iterator[Row]:
    """Return the rows of the window's timeline, in the order of time."""
    for part, n in sorted(tally.parts.items()):
        yield tables.TimelinePart(ts, start_of(part, window.start, window.end), n)


def run_row(sizes: Sizes, tally: Tally, urls: int, settings: RunSettings, runner: str) -> Run:
    """Return the row of the run itself, its seconds 0.0 until it is written."""
    return Run(
        ts=settings.ts,
        window_start=settings.start,
        window_end=settings.end,
        tweets=sizes.posts,
        skipped=tally.skipped,
        words=sizes.words,
        urls=urls,
        text_mode=settings.text,
        runner=runner,
        version=VERSION,
        seconds=0.0,
        languages=",".join(settings.languages),
        stop_words=settings.stop_words_digest,
        top_words=settings.top_words,
        top_urls=settings.top_urls,
        top_pairs=settings.top_pairs,
        recent_start=settings.window.since,
        recent=sizes.recent,
        settings=settings.digest,
        posts_read=tally.reads.posts_read,
        posts_cached=tally.reads.posts_cached,
    )
