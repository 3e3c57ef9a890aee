"""The posts of a run's window, read from the store: when they have a word or carry a link."""

import logging
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from google.api_core.exceptions import GoogleAPIError
from google.cloud.datastore.query import PropertyFilter

from dfpipe.analysis.parts import PARTS
from dfpipe.analysis.text import END, Mode, classic_word, modern_word, runs, urls_of
from dfpipe.datastore import Store, StoreError, fetch_values
from dfpipe.posts.post import KIND
from dfpipe.warehouse.named_queries import ResultRow
from launcher.views.charts import Chart, drawn
from launcher.views.figures import Figures
from launcher.views.talk import KINDS, WORDS_OF_POSTS, Line, lines

# What a page waits for, and keeps in memory: some 20 MB a window.
MOST_POSTS, MOST_CHARACTERS = 50_000, 10_000_000
DEADLINE, KEPT = 4.0, 900.0  # seconds
MOST_WINDOWS = 2
MOST_LINES, MOST_EXAMPLES = 15, 5
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredPost:
    """What is kept of a post: `urls` is the property as stored, whatever it is."""

    tid: int
    time: datetime
    text: str
    urls: Any


@dataclass(frozen=True, slots=True)
class WindowPosts:
    """The posts of a run's window that the store has now, newest first.

    `reaches` is the time of the oldest one where a limit ended the reading, otherwise None.
    """

    mode: Mode
    posts: Sequence[StoredPost]
    reaches: datetime | None = None

    def with_words(self, words: Sequence[str]) -> list[StoredPost]:
        """The posts that have all of some words, as the run takes words from texts."""
        wanted = frozenset(words)
        likely = [post for post in self.posts if _may_have(post.text, wanted)]
        found = words_of([post.text for post in likely], self.mode)
        return [post for post, own in zip(likely, found, strict=True) if wanted <= own]

    def with_link(self, url: str) -> list[StoredPost]:
        """The posts that carry a link, which is given as the run counts it."""
        return [post for post in self.posts if url in urls_of(post.urls, self.mode)]


def _may_have(text: str, words: frozenset[str]) -> bool:
    # Only where characters are written in another way can a post have a word that is not in it.
    if "&" in text or not text.isascii():
        return True
    lower = text.lower()
    return all(word in lower for word in words)


def words_of(texts: Sequence[str], mode: Mode) -> Iterator[set[str]]:
    """Yield the words of each text; stop words are among them.

    >>> [sorted(words) for words in words_of(["One two", "", "ONE's"], "modern")]
    [['one', 'two'], [], ['one']]
    """
    # Not by Tokenizer, with which every launcher would import numpy.
    word_of = cache(modern_word if mode == "modern" else classic_word)
    own: set[str] = set()
    for run in runs(texts, mode) if texts else ():
        if run == END:
            yield own
            own = set()
        elif word := word_of(run):
            own.add(word)
    if texts:
        yield own


@dataclass(frozen=True, slots=True)
class Within:
    """The posts of a window with a word, pair or link: how many, when, and among how many.

    `stored` of the window's posts were read; see WindowPosts for `reaches`. `links`, `words` and
    `examples`, which are ids with the number of copies, are those of most of the posts.
    """

    posts: int
    stored: int
    reaches: datetime | None
    timeline: Chart
    links: tuple[Line, ...]
    words: tuple[Line, ...]
    examples: tuple[tuple[int, int], ...]


def within(
    window: WindowPosts,
    posts: Sequence[StoredPost],
    figures: Figures,
    known: frozenset[str] = frozenset(),
) -> Within:
    """Describe some posts of a window; their words are counted if they are among the known."""
    length = figures.end - figures.start
    parts = Counter(int(PARTS * (post.time - figures.start) // length) for post in posts)
    links = Counter(url for post in posts for url in urls_of(post.urls, window.mode))
    words = Counter[str]()
    for own in words_of([post.text for post in posts], window.mode) if known else ():
        words.update(own & known)
    return Within(
        posts=len(posts),
        stored=len(window.posts),
        reaches=window.reaches,
        timeline=drawn([parts[part] for part in range(PARTS)], figures),
        links=lines(KINDS["top_urls"], [{"url": u, "count": n} for u, n in _most(links)]),
        words=lines(WORDS_OF_POSTS, [{"word": w, "count": n} for w, n in _most(words)]),
        examples=_examples(posts),
    )


def _most(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:MOST_LINES]


def _examples(posts: Sequence[StoredPost]) -> tuple[tuple[int, int], ...]:
    """The earliest of the posts with each of the most frequent texts, and how many have it."""
    earliest = {post.text: post.tid for post in posts}  # they are newest first
    copies = Counter(post.text for post in posts)
    return tuple((earliest[text], number) for text, number in copies.most_common(MOST_EXAMPLES))


class Windows:
    """Reads windows of a store within limits, and keeps those that were asked for last.

    Safe for threads, of which one reads at a time.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[datetime, tuple[float, WindowPosts]] = OrderedDict()

    def posts(self, run: ResultRow) -> WindowPosts | None:
        """The posts of a run's window; None if the store cannot be read."""
        with self._lock:
            until, window = self._kept.pop(run["ts"], (0.0, None))
            if window is None or until <= self._clock():
                try:
                    window, until = self._read(run), self._clock() + KEPT
                except (StoreError, GoogleAPIError) as error:
                    _logger.warning("the posts of a window cannot be read: %s", error)
                    return None
            self._kept[run["ts"]] = until, window
            while len(self._kept) > MOST_WINDOWS:
                self._kept.popitem(last=False)
            return window

    def _read(self, run: ResultRow) -> WindowPosts:
        query = self._store.query(kind=KIND, order=["-created_at"])
        for sign, name in ((">=", "window_start"), ("<", "window_end")):
            query.add_filter(filter=PropertyFilter("created_at", sign, run[name]))
        posts: list[StoredPost] = []
        deadline, characters, reaches = self._clock() + DEADLINE, 0, None
        for tid, moment, text, urls in fetch_values(query, "tid", "created_at", "text", "urls"):
            is_full = len(posts) >= MOST_POSTS or characters >= MOST_CHARACTERS
            if is_full or self._clock() > deadline:
                reaches = posts[-1].time if posts else run["window_end"]
                break
            if isinstance(text, str):
                posts.append(StoredPost(tid, moment, text, urls))
                characters += len(text)
        return WindowPosts(run["text_mode"], posts, reaches)
