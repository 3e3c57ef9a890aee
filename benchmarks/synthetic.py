"""Made-up posts in any number, with the statistics of real ones: a store of them for measurements.

Measured on 38,672 real posts of four days, and drawn from here: how many words a post has; how
often each word is used (the word of rank r as (1 + r / SCALE) ** -EXPONENT, without a last one, so
that new words never cease to come); how many posts have a link, and how often each; the length of
texts; how many posts repeat another one, as retweets do. Some posts are on one of the STORIES,
whose words come together, and each story has its hours, as real ones have. A test compares how
words, links and repeated posts grow with those of real posts.
"""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from google.cloud.datastore.query import PropertyFilter

from dfpipe.datastore import connect
from dfpipe.posts.post import KIND, Post, to_entity

START = datetime(2015, 1, 7, tzinfo=UTC)
END = datetime(2015, 1, 11, tzinfo=UTC)
BATCH = 500  # posts made together, and put in one commit
# How many real posts had 0, 1, 2... words.
WORDS = (
    *(2288, 3419, 3855, 4062, 4153, 4255, 4316, 3762, 3117, 2196, 1398, 767, 417, 227),
    *(133, 92, 53, 42, 24, 36, 10, 38),
)
EXPONENT, SCALE = 1.45, 170.0  # of words
URL_EXPONENT, URL_SCALE = 1.28, 55.0
URL_SHARE = 0.13  # of posts
REPEATED = 0.12  # of posts, those that have the words and links of a post that others repeat too
REPEAT_EXPONENT, REPEAT_SCALE = 1.7, 150.0
STORIES, STORY_SHARE, STORY_WORDS = 200, 0.35, 10
STORY_USES = 0.85  # of each next word of a story, against the one before
BURST_LENGTH, BURST = 0.05, 100.0  # of the window, and how many times as many posts it has then
GOLDEN = (5**0.5 - 1) / 2  # its multiples spread the bursts over the window
SYLLABLES = [c + v for c in "bdfghjklmnprstvz" for v in "aeiou"]
FILLERS = (
    "of the",
    "and to do",
    "is in the",
    "what a",
    "for it on",
    "on",
    "that it is",
    "with the",
    "at",
)

Ranks = npt.NDArray[np.int64]
Places = npt.NDArray[np.float64]


def word_of(rank: int) -> str:
    """Return the word of a rank: six letters or more, never a stop word.

    >>> [word_of(rank) for rank in (0, 1, 80, 1_000_000)]
    ['bababab', 'bebabab', 'babebab', 'bahazebeb']
    """
    syllables = []
    while rank or len(syllables) < 3:
        rank, i = divmod(rank, len(SYLLABLES))
        syllables.append(SYLLABLES[i])
    return "".join(syllables) + "b"


def ranks(rng: np.random.Generator, n: int, exponent: float, scale: float) -> Ranks:
    """Draw ranks from 0, each as often as (1 + rank / scale) ** -exponent."""
    drawn = scale * ((1 - rng.random(n)) ** (-1 / (exponent - 1)) - 1)
    return np.minimum(drawn, 2.0**40).astype(np.int64)


def posts(n: int, seed: int = 2015, burst: float = BURST) -> Iterator[list[Post]]:
    """Yield n posts, evenly from START to END, in batches; the same for the same seed.

    A story has `burst` times as many posts in its hours: with 1.0, no story rises.
    """
    apart = (END - START) / n
    for first in range(0, n, BATCH):
        rng = np.random.default_rng([seed, first])
        texts, urls = _texts(rng, (first + np.arange(BATCH)) / n, burst), _urls(rng)
        _repeat(rng, seed, texts, urls)
        users = ranks(rng, BATCH, 1.5, 4000.0).tolist()
        yield [
            Post(
                tid=(first + i) * 2048 + 10**17,
                user=f"user{users[i]}",
                text=texts[i],
                created_at=START + (first + i) * apart,
                urls=urls[i],
            )
            for i in range(min(BATCH, n - first))
        ]


def _repeat(
    rng: np.random.Generator, seed: int, texts: list[str], urls: list[tuple[str, ...]]
) -> None:
    """Let some posts be those that are repeated, as often as their rank says."""
    at = np.flatnonzero(rng.random(BATCH) < REPEATED).tolist()
    repeated = ranks(rng, len(at), REPEAT_EXPONENT, REPEAT_SCALE).tolist()
    for i, rank in zip(at, repeated, strict=True):
        texts[i], urls[i] = _repeated(seed, rank)


@lru_cache(maxsize=10_000)
def _repeated(seed: int, rank: int) -> tuple[str, tuple[str, ...]]:
    batch, i = divmod(rank, BATCH)
    texts, urls = _originals(seed, batch)
    return texts[i], urls[i]


@lru_cache(maxsize=64)
def _originals(seed: int, batch: int) -> tuple[list[str], list[tuple[str, ...]]]:
    rng = np.random.default_rng([seed, batch, BATCH])
    return _texts(rng, rng.random(BATCH), BURST), _urls(rng)


def _texts(rng: np.random.Generator, at: Places, burst: float) -> list[str]:
    """Return the texts of a batch; `at` are its places in the window, from 0 to 1."""
    lengths = rng.choice(len(WORDS), BATCH, p=np.array(WORDS) / sum(WORDS))
    starts = np.concatenate(([0], np.cumsum(lengths))).tolist()
    chosen = ranks(rng, starts[-1], EXPONENT, SCALE)
    _tell_stories(rng, _stories(rng, at, burst), lengths, chosen)
    words = list(map(word_of, chosen.tolist()))
    fillers = rng.integers(len(FILLERS), size=(BATCH, 3)).tolist()
    names = rng.integers(36**4, size=(BATCH, 2)).tolist()
    return [
        _text(words[start:end], [FILLERS[i] for i in some], *name)
        for (start, end), some, name in zip(itertools.pairwise(starts), fillers, names, strict=True)
    ]


def _text(words: list[str], fillers: list[str], name: int, link: int) -> str:
    """Put what is no word of a post around its words."""
    middle = len(words) // 2
    parts = [fillers[0], *words[:middle], fillers[1], *words[middle:], fillers[2]]
    prefix = f"RT @name{name}: " if name % 2 else ""
    return f"{prefix}{' '.join(parts)} http://t.co/{link:010d}"


def _stories(rng: np.random.Generator, at: Places, burst: float) -> Ranks:
    """Return which story each post is on, or -1."""
    number = np.arange(1, STORIES + 1)
    is_burst = (at[:, None] - number * GOLDEN) % 1 < BURST_LENGTH
    popularity = np.cumsum(np.where(is_burst, burst, 1.0) / number, axis=1)
    drawn = rng.random((BATCH, 1)) * popularity[:, -1:]
    has_story = rng.random(BATCH) < STORY_SHARE
    return np.where(has_story, np.count_nonzero(popularity <= drawn, axis=1), -1)


def _tell_stories(rng: np.random.Generator, story: Ranks, lengths: Ranks, chosen: Ranks) -> None:
    """Replace words by those of the posts' stories: of rank STORY_WORDS * story and after."""
    of_word = np.repeat(story, lengths)
    place = np.arange(len(chosen)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    use = (of_word >= 0) & (place < STORY_WORDS) & (rng.random(len(chosen)) < STORY_USES**place)
    chosen[use] = of_word[use] * STORY_WORDS + place[use]


def _urls(rng: np.random.Generator) -> list[tuple[str, ...]]:
    shared = (rng.random(BATCH) < URL_SHARE).tolist()
    drawn = ranks(rng, BATCH, URL_EXPONENT, URL_SCALE).tolist()
    return [
        (f"http://news{rank % 97}.example/2015/01/{word_of(rank)}/{rank:012d}",) if has else ()
        for has, rank in zip(shared, drawn, strict=True)
    ]


def make_store(path: Path, n: int) -> str:
    """Put n posts into a new embedded store, through the store's own batches; return its URL."""
    url = f"sqlite:///{path}"
    client = connect(url)
    for batch in posts(n):
        client.put_multi([to_entity(post, client, post.created_at) for post in batch])
    query = client.query(kind=KIND)
    query.add_filter(filter=PropertyFilter("created_at", ">=", START))
    _ = list(query.fetch(limit=1))  # so that its index is built
    client.close()
    return url


def until() -> str:
    """Return the end of the window in which all the posts are."""
    return f"{END:%Y-%m-%dT%H:%M:%SZ}"
