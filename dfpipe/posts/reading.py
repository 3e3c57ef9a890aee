"""Reading the posts of a slice of time, in batches, and taking their words and URLs."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from google.cloud.datastore.query import PropertyFilter

from dfpipe.analysis.tokenizer import Tokenizer
from dfpipe.analysis.tokenizing import PostBatch, Reads, TokenBatch, tokenize
from dfpipe.datastore import Store, connect, fetch_values
from dfpipe.posts.post import KIND
from dfpipe.posts.slices import Reading, TimeSlice

BATCH = 5_000  # posts: some 2 MB of text, a fraction of the vocabulary
BATCH_CHARACTERS = 5_000_000  # where posts are long, which may each be of 1 MB


# The properties of a PostBatch, in its order
PROPERTIES = ("text", "urls", "user", "tid", "created_at")


def read_posts(client: Store, time_slice: TimeSlice) -> Iterator[PostBatch]:
    """Read the posts of a slice of time."""
    query = client.query(kind=KIND)
    query.add_filter(filter=PropertyFilter("created_at", ">=", time_slice.start))
    query.add_filter(filter=PropertyFilter("created_at", "<", time_slice.end))
    return post_batches(fetch_values(query, *PROPERTIES))


def post_batches(posts: Iterable[tuple[object, ...]]) -> Iterator[PostBatch]:
    """Cut posts, which are their PROPERTIES, into batches as `post_columns` does."""
    for columns in post_columns(posts):
        yield PostBatch(*columns)


def post_columns(posts: Iterable[tuple[object, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    """Cut posts into batches of BATCH, or fewer where they are long; yield the columns of each.

    A post is its properties, of which the text is first.
    """
    batch: list[tuple[object, ...]] = []
    characters = 0
    for post in posts:
        batch.append(post)
        characters += len(post[0]) if isinstance(post[0], str) else 0
        if len(batch) == BATCH or characters >= BATCH_CHARACTERS:
            yield list(zip(*batch, strict=True))
            batch, characters = [], 0
    if batch:
        yield list(zip(*batch, strict=True))


class Reader:
    """Reads slices and takes the words and URLs of their posts."""

    def __init__(self, reading: Reading) -> None:
        """Connect to the store. Raises DfpipeError."""
        self._client = connect(reading.source, create=False)
        self._tokenizer = Tokenizer(reading.text, reading.stop_words)

    def tokens(self, time_slice: TimeSlice) -> Iterator[TokenBatch]:
        """Give the tokens of a slice's posts, a batch at a time."""
        for batch in read_posts(self._client, time_slice):
            tokens = tokenize(batch, self._tokenizer, time_slice.is_recent)
            yield replace(tokens, reads=Reads(len(batch.texts)))
