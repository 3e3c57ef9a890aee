"""Taking the words and URLs of batches of posts, here or in processes beside this one."""

import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process

from dfpipe.text import Tokenizer
from dfpipe.word_sets import WordSets, word_sets


@dataclass(frozen=True, slots=True)
class PostBatch:
    """The properties `text` and `urls` of some posts as stored, whatever they are."""

    texts: Sequence[object]
    urls: Sequence[object]


@dataclass(frozen=True, slots=True)
class Tally:
    """Posts of a window that count, and posts skipped because they have no text."""

    posts: int = 0
    skipped: int = 0


Tokens = tuple[WordSets, Counter[str], Tally]


def add_tallies(tallies: Iterable[Tally]) -> Tally:
    """Add up tallies; nothing gives zero."""
    listed = list(tallies)
    return Tally(sum(t.posts for t in listed), sum(t.skipped for t in listed))


def tokenize(batch: PostBatch, tokenizer: Tokenizer) -> Tokens:
    """Return the word sets of a batch's posts, the posts of each URL, and how many posts count.

    A post whose text is not a string is skipped, its URLs as well.
    """
    pairs = zip(batch.texts, batch.urls, strict=True)
    posts = [(text, urls) for text, urls in pairs if isinstance(text, str)]
    urls: Counter[str] = Counter()
    for _, value in posts:
        if value is not None and value != []:
            urls.update(tokenizer.urls(value))
    sets = word_sets(tokenizer.words(text) for text, _ in posts)
    return sets, urls, Tally(len(posts), len(batch.texts) - len(posts))


class TokenizerPool:
    """Processes that tokenize batches, of which so many are under way as keeps them at work."""

    def __init__(self, tokenizer: Tokenizer, processes: int) -> None:
        """Prepare the processes; they start with the first batch."""
        # A fork of a process with threads may inherit a lock that nobody is left to release.
        self._executor = ProcessPoolExecutor(
            processes, get_context("spawn"), initializer=_begin, initargs=(tokenizer,)
        )
        self._limit = 2 * processes
        self._under_way: deque[Future[Tokens]] = deque()

    def put(self, batch: PostBatch) -> Iterator[Tokens]:
        """Hand over a batch; give what is done of the earlier ones, in their order."""
        with _interrupts_held_back():
            self._under_way.append(self._executor.submit(_tokenize, batch))
        while len(self._under_way) > self._limit or self._under_way[0].done():
            yield self._under_way.popleft().result()
            if not self._under_way:
                return

    def rest(self) -> Iterator[Tokens]:
        """Give what is left, waiting for it."""
        while self._under_way:
            yield self._under_way.popleft().result()

    def close(self) -> None:
        """End the processes; what was not fetched is lost."""
        self._executor.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let processes that start here never see a Ctrl-C, which a terminal sends to them as well.

    They would each print a traceback; the first process tells them when to end.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_tokenizer: Tokenizer


def _begin(tokenizer: Tokenizer) -> None:
    global _tokenizer
    _tokenizer = tokenizer
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when its parent was killed, which nothing else would tell it."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _tokenize(batch: PostBatch) -> Tokens:
    return tokenize(batch, _tokenizer)
