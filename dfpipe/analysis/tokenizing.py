"""Taking the words and URLs of batches of posts."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dfpipe.analysis.text import Tokenizer
from dfpipe.analysis.word_sets import WordSets, word_sets


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
