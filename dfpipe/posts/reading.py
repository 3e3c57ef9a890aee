"""Reading the posts of a slice of time, in batches, and taking their words and URLs."""

from collections.abc import Iterable, Iterator

from google.cloud.datastore.query import PropertyFilter

from dfpipe.analysis.text import Tokenizer
from dfpipe.analysis.tokenizing import PostBatch, Tokens, tokenize
from dfpipe.datastore import Store, connect, fetch_values
from dfpipe.engines.read_ahead import Reading
from dfpipe.posts.post import KIND
from dfpipe.posts.slices import TimeSlice

BATCH = 5_000  # posts: some 2 MB of text, a fraction of the vocabulary
BATCH_CHARACTERS = 5_000_000  # where posts are long, which may each be of 1 MB


def read_posts(client: Store, time_slice: TimeSlice) -> Iterator[PostBatch]:
    """Read the posts of a slice of time."""
    query = client.query(kind=KIND)
    query.add_filter(filter=PropertyFilter("created_at", ">=", time_slice.start))
    query.add_filter(filter=PropertyFilter("created_at", "<", time_slice.end))
    return post_batches(fetch_values(query, "text", "urls"))


def post_batches(posts: Iterable[tuple[object, object]]) -> Iterator[PostBatch]:
    """Cut the texts and urls of posts into batches of BATCH posts, or fewer where they are long."""
    texts: list[object] = []
    urls: list[object] = []
    characters = 0
    for text, value in posts:
        texts.append(text)
        urls.append(value)
        characters += len(text) if isinstance(text, str) else 0
        if len(texts) == BATCH or characters >= BATCH_CHARACTERS:
            yield PostBatch(texts, urls)
            texts, urls, characters = [], [], 0
    if texts:
        yield PostBatch(texts, urls)


class Reader:
    """Reads slices and takes the words and URLs of their posts."""

    def __init__(self, reading: Reading) -> None:
        """Connect to the store. Raises DfpipeError."""
        self._client = connect(reading.source, create=False)
        self._tokenizer = Tokenizer(reading.text, reading.stop_words)

    def tokens(self, time_slice: TimeSlice) -> Iterator[Tokens]:
        """Give the tokens of a slice's posts, a batch at a time."""
        for batch in read_posts(self._client, time_slice):
            yield tokenize(batch, self._tokenizer)
