"""From batches of posts to the words and the URLs of each."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from dfpipe.text import Tokenizer
from dfpipe.tokenizing import PostBatch, TokenizerPool, Tokens, tokenize

WORDS = "words"
URLS = "urls"
TALLY = "tally"


@dataclass
class TokenizePosts(beam.PTransform):
    """Take each post's words and URLs, once for all that follows.

    With `processes` above 1 the work of a large bundle is shared out to as many processes of this
    machine; a runner with worker processes of its own does without.
    """

    tokenizer: Tokenizer
    processes: int = 1

    def expand(self, batches: beam.PCollection) -> Any:
        """Give WordSets, and tagged URLS (Counter of URLs) and TALLY (Tally), one each a batch."""
        step = beam.ParDo(_Tokenize(self.tokenizer, self.processes))
        return batches | "TakeWordsAndUrls" >> step.with_outputs(URLS, TALLY, main=WORDS)


class _Tokenize(beam.DoFn):
    ALONE = 40_000  # posts of a bundle that are done sooner than other processes are started

    def __init__(self, tokenizer: Tokenizer, processes: int) -> None:
        self.tokenizer = tokenizer
        self.processes = processes
        self.pool: TokenizerPool | None = None
        self.skipped = Metrics.counter("dfpipe", "posts_skipped_without_text")

    def start_bundle(self) -> None:
        self.seen = 0

    def process(self, batch: PostBatch) -> Iterable[Any]:
        self.seen += len(batch.texts)
        if self.processes == 1 or self.seen <= self.ALONE:
            done: Iterable[Tokens] = [tokenize(batch, self.tokenizer)]
        else:
            self.pool = self.pool or TokenizerPool(self.tokenizer, self.processes)
            done = self.pool.put(batch)
        for tokens in done:
            for tag, value in self.outputs(tokens):
                yield value if tag == WORDS else TaggedOutput(tag, value)

    def finish_bundle(self) -> Iterable[Any]:
        window = GlobalWindow()
        for tokens in self.pool.rest() if self.pool else ():
            for tag, value in self.outputs(tokens):
                windowed = WindowedValue(value, window.max_timestamp(), [window])
                yield windowed if tag == WORDS else TaggedOutput(tag, windowed)

    def outputs(self, tokens: Tokens) -> Iterable[tuple[str, Any]]:
        words, urls, tally = tokens
        self.skipped.inc(tally.skipped)
        return (WORDS, words), (URLS, urls), (TALLY, tally)

    def teardown(self) -> None:
        if self.pool:
            self.pool.close()
            self.pool = None
